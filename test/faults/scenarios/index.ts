import type { Scenario } from '../scenario.ts';
import { kill9 } from './kill-9.ts';

export const scenarios: readonly Scenario[] = [kill9];
