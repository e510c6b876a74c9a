/** The server's defaults. They stand apart, since the configuration is read before anything of the server is loaded. */
import type { FusionRule } from '../fuse.ts';

const MB = 1024 * 1024;
const DAY_MS = 86_400_000;

export const SERVE_DEFAULTS = {
  limits: { requests: 10_000, refused: 50, windowMs: 1000 },
  memoryBytes: 256 * MB,
  /** Kafka's default of delete.retention.ms */
  staleAfterMs: DAY_MS,
  lookupMs: 50,
  triggerEveryMs: 60_000,
  bufferedTriggers: 10_000,
  fusion: { weight: 0.5, atLeast: 1, within: 10, perCategory: 3 } satisfies FusionRule,
};
