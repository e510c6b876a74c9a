import type { Scenario } from '../scenario.ts';
import { badInput } from './bad-input.ts';
import { badPeers } from './bad-peers.ts';
import { brokerBounce } from './broker-bounce.ts';
import { channelKills } from './channel.ts';
import { checksum } from './checksum.ts';
import { churn } from './churn.ts';
import { closeDuringRestore } from './close-during-restore.ts';
import { commitFaults } from './commit-faults.ts';
import { crashMidTransaction } from './crash-mid-transaction.ts';
import { disk } from './disk.ts';
import { kill9 } from './kill-9.ts';
import { offsetsOutOfRange } from './offsets-out-of-range.ts';
import { rescale } from './rescale.ts';
import { restoreTails } from './restore-tails.ts';
import { zombie } from './zombie.ts';

export const scenarios: readonly Scenario[] = [
  kill9,
  crashMidTransaction,
  zombie,
  brokerBounce,
  churn,
  closeDuringRestore,
  restoreTails,
  commitFaults,
  rescale,
  checksum,
  disk,
  offsetsOutOfRange,
  badInput,
  badPeers,
  channelKills,
];
