/**
 * node bench/report.ts --input user-days.ndjson [--splits 2000]: whether `seral report` keeps its word on real users. They are
 * put into two arms by chance, again and again: no split has a lift, so a 95 % interval should hold 0 in 95 % of them.
 */
import { parseArgs } from 'node:util';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { rowsOfFile } from '../src/cli/report-days.ts';
import { table } from '../src/cli/table.ts';
import { Bootstrap } from '../src/report/bootstrap.ts';
import { liftOf } from '../src/report/lift.ts';
import { METRICS } from '../src/report/measures.ts';
import { LastRevisions, Population } from '../src/report/population.ts';

const { values } = parseArgs({
  options: {
    input: { type: 'string' },
    splits: { type: 'string', default: '2000' },
    seed: { type: 'string', default: '1' },
  },
});
if (values.input === undefined) throw new Error('--input is needed: `seral replay labels --user-days FILE` writes it');
const splits = Number(values.splits);
const users = new LastRevisions();
for await (const part of rowsOfFile(values.input, () => {}).parts(null)) {
  for await (const rows of part) for (const row of rows) users.add(row);
}
const people = [...users];
const generator = xoroshiro128plus(Number(values.seed));
const held = METRICS.map(() => ({ difference: 0, relative: 0, of: 0 }));

const split = (bootstrap: Bootstrap | null = null): Population => {
  const population = new Population('0000-01-01', '9999-12-31', bootstrap);
  for (const rows of people) {
    const arm = generator.next() & 0x10000 ? 'a' : 'b';
    population.add(rows.map((row) => ({ ...row, arm })));
  }
  return population;
};

for (let i = 0; i < splits; i++) {
  const { arms } = split();
  const [a, b] = ['a', 'b'].map((arm) => ({ sums: arms.get(arm)!.sums, moments: arms.get(arm)! }));
  METRICS.forEach((metric, m) => {
    const { difference, relative } = liftOf(a!, b!, metric, 0.95);
    if (relative.interval === null) return;
    const count = held[m]!;
    count.of++;
    if (difference.interval!.low <= 0 && difference.interval!.high >= 0) count.difference++;
    if (relative.interval.low <= 0 && relative.interval.high >= 0) count.relative++;
  });
}

const bootstrap = new Bootstrap(2000, 1);
const { arms } = split(bootstrap);
const share = (hits: number, of: number) => (of === 0 ? '-' : `${((100 * hits) / of).toFixed(1)} %`);
const rows = METRICS.map((metric, m) => {
  const { difference, relative, of } = held[m]!;
  const [a, b] = ['a', 'b'].map((arm) => ({ sums: arms.get(arm)!.sums, moments: arms.get(arm)! }));
  const delta = liftOf(a!, b!, metric, 0.95).relative.interval;
  const again = bootstrap.lift('a', 'b', metric.name, 0.95).relative;
  const text = (i: typeof delta) =>
    i === null ? '-' : `[${(100 * i.low).toFixed(1)}, ${(100 * i.high).toFixed(1)}] %`;
  return [metric.title, String(of), share(difference, of), share(relative, of), text(delta), text(again)];
});
console.log(`${people.length} users, ${splits} splits`);
console.log(
  table(['metric', 'splits', 'difference holds 0', 'relative holds 0', 'one split: delta', 'bootstrap'], rows),
);
