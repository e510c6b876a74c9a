/** What rounds have come to: one JSON object a line in docs/faults.ndjson, and the table of docs/faults.md made from it. */
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Scenario } from './scenario.ts';

const docs = join(import.meta.dirname, '../../docs');
const DATA = join(docs, 'faults.ndjson');
const TABLE = join(docs, 'faults.md');
const [BEGIN, END] = ['<!-- rounds: npm run test:faults -->', '<!-- /rounds -->'];

export interface Round {
  scenario: string;
  seed: number;
  outcome: 'exact' | 'failed';
  /** verified one by one */
  faults: number;
  seconds: number;
  seen: string;
}

export function readRounds(): Round[] {
  if (!existsSync(DATA)) return [];
  const lines = readFileSync(DATA, 'utf8').split('\n');
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as Round);
}

export const addRound = (round: Round): void => appendFileSync(DATA, `${JSON.stringify(round)}\n`);

/** 1, 2, 3, 7: `1–3, 7` */
export function ranges(seeds: readonly number[]): string {
  const found: [number, number][] = [];
  for (const seed of [...new Set(seeds)].sort((a, b) => a - b)) {
    const last = found.at(-1);
    if (last !== undefined && last[1] === seed - 1) last[1] = seed;
    else found.push([seed, seed]);
  }
  return found.map(([from, to]) => (from === to ? `${from}` : `${from}–${to}`)).join(', ');
}

/** A seed that failed and later did not shows as both. */
function rowOf({ name, title }: Scenario, all: readonly Round[]): string {
  const rounds = all.filter(({ scenario }) => scenario === name);
  const failed = rounds.filter(({ outcome }) => outcome === 'failed');
  const faults = rounds.filter(({ outcome }) => outcome === 'exact').reduce((sum, one) => sum + one.faults, 0);
  const bad = `${failed.length} failed (seeds ${ranges(failed.map(({ seed }) => seed))})`;
  const outcome = rounds.length === 0 ? 'not run' : failed.length === 0 ? 'all exact' : bad;
  const seeds = ranges(rounds.map(({ seed }) => seed));
  return `| ${name} | ${title} | ${rounds.length} | ${faults} | ${seeds} | ${outcome} |`;
}

export function tableOf(scenarios: readonly Scenario[], rounds: readonly Round[]): string {
  const head = '| scenario | a round | rounds | faults, each verified | seeds | outcome |\n|---|---|--:|--:|---|---|';
  return [head, ...scenarios.map((scenario) => rowOf(scenario, rounds))].join('\n');
}

export function renderTable(scenarios: readonly Scenario[]): void {
  const text = readFileSync(TABLE, 'utf8');
  const [before, after] = [text.slice(0, text.indexOf(BEGIN)), text.slice(text.indexOf(END))];
  writeFileSync(TABLE, `${before}${BEGIN}\n${tableOf(scenarios, readRounds())}\n${after}`);
}
