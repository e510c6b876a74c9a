/**
 * Each scenario once, with a seed that is printed:
 *   SEED=7 npx vitest run --project broker test/faults/faults -t kill-9
 */
import { afterAll, beforeAll, describe, it } from 'vitest';
import { hasJava } from '../support/artifacts.ts';
import { describeWithKafkaAndRegistry } from '../support/broker.ts';
import { scenarios } from './scenarios/index.ts';
import { World } from './world.ts';

const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1e6));
// several brokers, and signals to them, take more than a container
const counts = (await hasJava()) ? ([1, 3] as const) : ([1] as const);

describeWithKafkaAndRegistry(`exact whatever happens (SEED=${seed})`, () => {
  describe.each(counts)('brokers: %d', (brokers) => {
    let world: World;
    beforeAll(async () => {
      world = await World.start(brokers);
    });
    afterAll(() => world?.stop());

    for (const scenario of scenarios.filter((one) => one.brokers === brokers)) {
      it(`${scenario.name}: ${scenario.title}`, { timeout: 600_000 }, async () => {
        console.log(`${scenario.name}: SEED=${seed}`);
        console.log(`${scenario.name}: ${await scenario.round(world, seed)}`);
      });
    }
  });
});
