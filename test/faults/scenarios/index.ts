import type { Scenario } from '../scenario.ts';
import { brokerBounce } from './broker-bounce.ts';
import { checksum } from './checksum.ts';
import { churn } from './churn.ts';
import { crashMidTransaction } from './crash-mid-transaction.ts';
import { kill9 } from './kill-9.ts';
import { rescale } from './rescale.ts';
import { zombie } from './zombie.ts';

export const scenarios: readonly Scenario[] = [
  kill9,
  crashMidTransaction,
  zombie,
  churn,
  rescale,
  checksum,
  brokerBounce,
];
