/**
 * npm run test:faults -- --rounds 20 [--scenario kill-9 zombie] [--seed 7]: further rounds of the fault suite, each noted in
 * docs/faults.ndjson as soon as it is over. Ctrl-C ends it in peace; the next run goes on with the next seeds.
 */
import { Command, InvalidArgumentError } from 'commander';
import { messageOf } from '../../src/errors.ts';
import { addRound, readRounds, renderTable, type Round } from './rounds.ts';
import type { Scenario } from './scenario.ts';
import { scenarios } from './scenarios/index.ts';
import { World } from './world.ts';

const whole = (text: string): number => {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('expected a whole number');
  return Number(text);
};
const named = (name: string, before: Scenario[] = []): Scenario[] => {
  const scenario = scenarios.find((one) => one.name === name);
  if (scenario === undefined) throw new InvalidArgumentError('see --list');
  return [...before, scenario];
};

const program = new Command('npm run test:faults --')
  .description('further rounds of the fault suite, on brokers and workers of its own')
  .option('-r, --rounds <n>', 'rounds of each scenario', whole, 1)
  .option('-s, --scenario <name...>', 'only these', named)
  .option(
    '--seed <n>',
    'of the first round, the next ones count up (default: the first that a scenario has not run)',
    whole,
  )
  .option('-l, --list', 'name the scenarios and end')
  .parse();
const options = program.opts<{ rounds: number; scenario?: Scenario[]; seed?: number; list?: true }>();

if (options.list === true) {
  for (const { name, title } of scenarios) console.log(`${name.padEnd(20)} ${title}`);
  process.exit(0);
}

const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort(new Error(signal)));

/** False where it failed, null where it was stopped. */
async function runRound(world: World, scenario: Scenario, seed: number): Promise<boolean | null> {
  const began = Date.now();
  const note = (outcome: Round['outcome'], seen: string): void => {
    const seconds = Math.round((Date.now() - began) / 1000);
    addRound({ scenario: scenario.name, seed, outcome, faults: scenario.faults ?? 1, seconds, seen });
    console.error(`${scenario.name} seed ${seed}: ${outcome} in ${seconds} s: ${seen}`);
  };
  try {
    note('exact', await scenario.round(world, seed));
    return true;
  } catch (error) {
    if (stop.signal.aborted) return null;
    console.error(error);
    note('failed', messageOf(error).split('\n')[0]!.slice(0, 300));
    return false;
  }
}

const nextSeed = ({ name }: Scenario): number =>
  readRounds().reduce((next, { scenario, seed }) => (scenario === name ? Math.max(next, seed + 1) : next), 1);

let failures = 0;
const wanted = [...new Set(options.scenario ?? scenarios)];
for (const brokers of [1, 3] as const) {
  const these = wanted.filter((scenario) => scenario.brokers === brokers);
  if (these.length === 0 || stop.signal.aborted) continue;
  const world = await World.start(brokers, stop.signal);
  try {
    for (let n = 0; n < options.rounds; n++) {
      for (const scenario of these) {
        if (stop.signal.aborted) break;
        const seed = options.seed === undefined ? nextSeed(scenario) : options.seed + n;
        if ((await runRound(world, scenario, seed)) === false) failures++;
      }
    }
  } finally {
    await world.stop();
  }
}
renderTable(scenarios);
if (failures > 0) console.error(`${failures} rounds failed`);
process.exitCode = stop.signal.aborted ? 130 : failures > 0 ? 1 : 0;
