/** The environment variable of a key: `labels.visitDays` is SERAL_LABELS_VISIT_DAYS. */
export const variableOf = (path: readonly string[]): string =>
  `SERAL_${path.map((part) => part.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()).join('_')}`;
