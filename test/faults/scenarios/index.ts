import type { Scenario } from '../scenario.ts';
import { badInput } from './bad-input.ts';
import { badPeers } from './bad-peers.ts';
import { closeDuringRestore } from './close-during-restore.ts';
import { commitFaults } from './commit-faults.ts';
import { disk } from './disk.ts';
import { kill9 } from './kill-9.ts';
import { offsetsOutOfRange } from './offsets-out-of-range.ts';
import { restoreTails } from './restore-tails.ts';

export const scenarios: readonly Scenario[] = [
  kill9,
  closeDuringRestore,
  restoreTails,
  commitFaults,
  disk,
  offsetsOutOfRange,
  badInput,
  badPeers,
];
