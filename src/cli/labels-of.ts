import type { Log } from '../log/port.ts';
import type { Serdes } from '../log/serde.ts';
import type { SerendipityLabel } from '../serendipity/records.ts';
import { recordsOf } from './records-of.ts';

export const LABELS_TOPIC = 'serendipity.labels';

export interface LabelsOf {
  /** the last revision of each label, in order of time */
  labels: SerendipityLabel[];
  /** records of the user that could not be read */
  unreadable: number;
}

/** A user's labels as published: each label's last revision. */
export async function labelsOf(
  log: Log,
  serdes: Serdes,
  user: string,
  item?: string,
  topic = LABELS_TOPIC,
): Promise<LabelsOf> {
  const { values, unreadable } = await recordsOf<SerendipityLabel>(log, serdes, topic, 'SerendipityLabel', user);
  const last = new Map<string, SerendipityLabel>();
  for (const label of values) {
    if (label !== null && (item === undefined || label.item_id === item)) last.set(label.label_id, label);
  }
  const labels = [...last.values()].sort(
    (a, b) => a.click_time - b.click_time || (a.label_id < b.label_id ? -1 : a.label_id > b.label_id ? 1 : 0),
  );
  return { labels, unreadable };
}
