import fc from 'fast-check';
import { expect, test } from 'vitest';
import { oracle, type CatalogEntry } from '../oracle/oracle.ts';
import { caseArb, randomFrom, shuffleWithinGrace, type Case } from '../oracle/random-logs.ts';
import { BenchOfOne } from './bench-of-one.ts';

/** PROPERTY_RUNS=30000 PROPERTY_ZONE=America/St_Johns: more logs, and of one zone alone. */
const RUNS = Number(process.env['PROPERTY_RUNS'] ?? 1000);
const LOGS = { timeZone: process.env['PROPERTY_ZONE'] };

function facts(catalog: Map<string, CatalogEntry> | undefined) {
  return new Map(
    [...(catalog ?? [])].map(([id, { category_id, brand_id, seller_id }]) => [
      id,
      { category: category_id || null, brand: brand_id || null, seller: seller_id || null },
    ]),
  );
}

function run({ options, graceMs, seed }: Case, arrivals: readonly unknown[]): BenchOfOne {
  const { visitDays, today, timeZone, attributionWindowMs, catalog } = options;
  const bench = new BenchOfOne(
    { visitDays, today, timeZone, attributionWindow: attributionWindowMs, grace: graceMs },
    facts(catalog),
  );
  const random = randomFrom(seed ^ 0x5ea1);
  const evicts = random();
  for (const event of arrivals) {
    bench.arrive(event);
    if (random() < evicts) bench.passTime();
    if (random() < evicts) bench.forget();
  }
  bench.end();
  return bench;
}

test('labels and metrics of a log in order are those of a batch job over all of it', () => {
  fc.assert(
    fc.property(caseArb(LOGS), (made) => {
      const events = [...made.events].sort((a, b) => a.event_time - b.event_time);
      const expected = oracle(made.events, made.options);
      const bench = run(made, events);
      expect(bench.labels).toEqual(expected.labels);
      expect(bench.metrics).toEqual(expected.metrics);
    }),
    { numRuns: RUNS },
  );
});

test('any order of arrival within grace, with repeats, comes to the same labels and metrics', () => {
  fc.assert(
    fc.property(caseArb(LOGS), (made) => {
      const expected = oracle(made.events, made.options);
      const bench = run(made, shuffleWithinGrace(made.events, made.graceMs, made.seed));
      expect(bench.labels).toEqual(expected.labels);
      expect(bench.metrics).toEqual(expected.metrics);
    }),
    { numRuns: RUNS },
  );
});
