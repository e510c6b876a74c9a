/** As bin/seral starts Node. */
export const NODE_FLAGS = [
  '--max-semi-space-size=16',
  '--no-parallel-scavenge',
  '--disable-warning=ExperimentalWarning',
];
