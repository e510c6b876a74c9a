import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ranges, readRounds, tableOf, type Round } from '../faults/rounds.ts';
import type { Scenario } from '../faults/scenario.ts';
import { scenarios } from '../faults/scenarios/index.ts';

const scenario: Scenario = { name: 'fire', title: 'it burns', brokers: 1, round: () => Promise.resolve('') };
const round = (seed: number, outcome: Round['outcome'] = 'exact'): Round => ({
  scenario: 'fire',
  seed,
  outcome,
  faults: 3,
  seconds: 1,
  seen: '',
});

describe('docs/faults.md', () => {
  it('shows the rounds of docs/faults.ndjson', () => {
    const text = readFileSync(join(import.meta.dirname, '../../docs/faults.md'), 'utf8');
    expect(text).toContain(`\n${tableOf(scenarios, readRounds())}\n`);
  });

  it('names seeds that count up by the first and the last', () => {
    expect(ranges([3, 1, 2, 2, 7])).toBe('1–3, 7');
    expect(ranges([])).toBe('');
  });

  it('counts the faults of the rounds that were exact, and names the seeds of those that failed', () => {
    const [, , row] = tableOf([scenario], [round(1), round(2, 'failed'), round(3)]).split('\n');
    expect(row).toBe('| fire | it burns | 3 | 6 | 1–3 | 1 failed (seeds 2) |');
    expect(tableOf([scenario], [round(1)])).toContain('all exact');
    expect(tableOf([scenario], [])).toContain('not run');
  });
});
