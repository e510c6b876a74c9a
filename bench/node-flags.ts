/** As bin/seral starts Node; BENCH_NODE_FLAGS adds to them. */
export const NODE_FLAGS = [
  '--max-semi-space-size=16',
  '--no-parallel-scavenge',
  '--disable-warning=ExperimentalWarning',
  ...(process.env['BENCH_NODE_FLAGS'] ?? '').split(' ').filter(Boolean),
];
