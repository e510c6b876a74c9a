/** The rules of an experiment's arms, as the configuration writes them: a mapping, or its JSON in a variable. */
import type { FusionRule } from '../nearline/fuse.ts';

/** By arm, what differs from the rule of all others. */
export type Arms = Record<string, Partial<FusionRule>>;

const LONGEST_ARM = 256;
const BOUNDS: Record<keyof FusionRule, { most: number; least: number; whole: boolean }> = {
  weight: { least: 0, most: 1, whole: false },
  atLeast: { least: 0, most: 200, whole: true },
  within: { least: 1, most: 200, whole: true },
  perCategory: { least: 1, most: 1000, whole: true },
};

/** Undefined for what is none. */
export function parseArms(value: unknown): Arms | undefined {
  const arms = typeof value === 'string' ? parsed(value) : value;
  if (!isMapping(arms)) return undefined;
  const entries = Object.entries(arms);
  if (!entries.every(([arm, rule]) => arm !== '' && arm.length <= LONGEST_ARM && isRule(rule))) return undefined;
  return Object.fromEntries(entries) as Arms;
}

const isMapping = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isRule = (value: unknown): value is Partial<FusionRule> =>
  isMapping(value) &&
  Object.entries(value).every(([key, number]) => {
    const bounds = Object.hasOwn(BOUNDS, key) ? BOUNDS[key as keyof FusionRule] : undefined;
    if (bounds === undefined || typeof number !== 'number') return false;
    const { least, most, whole } = bounds;
    return number >= least && number <= most && (!whole || Number.isInteger(number));
  });

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
