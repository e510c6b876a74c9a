/** Every attack that the approval was changed for: it was built while looking at them. */
import { FIRST } from './attacks-first.ts';
import { SECOND } from './attacks-second.ts';
import type { Attack } from './victim.ts';

export const ATTACKS: Attack[] = [...FIRST, ...SECOND];
