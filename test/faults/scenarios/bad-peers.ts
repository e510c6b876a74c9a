import { strict as assert } from 'node:assert';
import { readDeadLetters, replayDeadLetters, replayedTopic, type DeadLetter } from '../../../src/cli/dead-letters.ts';
import { removeTopics } from '../../support/apart.ts';
import { TcpProxy } from '../../support/tcp-proxy.ts';
import { Handmade } from '../handmade.ts';
import type { Scenario } from '../scenario.ts';

const ASKED_AGAIN = 'the schema registry does not answer';
const PATIENCE_MS = 20_000;
const EVENTS = 200;

/** A schema with a field more than ours. */
const withField = (name: string): [string, string] => [
  '{"name":"query"',
  `{"name":"${name}","type":["null","string"],"default":null},{"name":"query"`,
];

export const badPeers: Scenario = {
  name: 'bad-peers',
  title:
    'the schema registry is away or hangs: at the start, in the middle, for less and for more than it is waited for',
  brokers: 1,
  faults: 4,
  async round(world) {
    const { protocol, host, pathname } = new URL(world.registry.url);
    const proxy = await TcpProxy.to(host);
    const settings = { registryUrl: `${protocol}//${proxy.address}${pathname}` };
    const slow = { rebuildBackoffMs: 50, rebuildBackoffMaxMs: 500, registryPatienceMs: PATIENCE_MS };
    const shop: { kept?: Handmade } = {};
    try {
      return await world.with(
        (place) => (shop.kept = new Handmade(place)),
        { partitions: 2, commitIntervalMs: 200, ...slow },
        async (job, made) => {
          const letters = async (): Promise<DeadLetter[]> => {
            const found: DeadLetter[] = [];
            for await (const letter of readDeadLetters(world.log, job.names.deadLetters)) found.push(letter);
            return found;
          };
          const asked = (n: number): Promise<void> =>
            job.until(`it is asked ${n} times`, () => job.times(ASKED_AGAIN) >= n);

          proxy.shut();
          // the start is waited for, however long the round takes on a busy machine
          job.start(0, undefined, { registryPatienceMs: 600_000 }, settings);
          await asked(2);
          proxy.open();
          await job.running();
          await job.feed(made.next(EVENTS));
          await job.settled();

          // known writers need no registry, and one that is met for the first time waits for it
          proxy.shut();
          await job.feed(made.next(EVENTS));
          await job.settled();
          const second = await made.writer(...withField('note'));
          const [shown, clicked] = [made.shown('new', 'thing'), made.clicked('new', 'thing')];
          made.good.push(shown, clicked);
          const before = job.times(ASKED_AGAIN);
          await job.feed([second(shown), second(clicked)]);
          await asked(before + 1);
          assert.equal((await letters()).length, 0);
          proxy.open();
          await job.settled();
          await job.stop(0);

          // it hangs for longer than it is waited for
          job.start(0, undefined, {}, settings);
          await job.running();
          await job.feed(made.next(EVENTS));
          await job.settled();
          proxy.silence();
          const third = await made.writer(...withField('remark'));
          const late = [made.shown('late', 'thing'), made.clicked('late', 'thing')];
          await job.feed([...late.map(third), ...made.next(EVENTS)]);
          job.mayRefuse = true;
          await job.settled();
          assert.deepEqual(
            (await letters()).map(({ code }) => code),
            ['SCHEMA_UNAVAILABLE', 'SCHEMA_UNAVAILABLE'],
          );
          proxy.open();
          await job.stop(0);
          job.start(0, undefined, {}, settings);
          await job.running();
          const { sent } = await replayDeadLetters(world.log, job.names.deadLetters);
          assert.equal(sent.length, 2);
          made.good.push(...late);

          // stopped while it waits
          proxy.shut();
          const fourth = await made.writer(...withField('memo'));
          const last = made.shown('last', 'thing');
          const waits = job.times(ASKED_AGAIN);
          await job.feed([fourth(last)]);
          await asked(waits + 1);
          await job.stop(0);
          proxy.open();
          made.good.push(last);
          job.start(0, undefined, {}, settings);
          const { seen } = await job.finish();
          assert.equal(job.times('the task is rebuilt from its last commit'), 0);
          await removeTopics(world.log, [replayedTopic(job.names.deadLetters)]);
          return `${seen}; asked again ${job.times(ASKED_AGAIN)} times, 2 dead letters, which came back`;
        },
      );
    } finally {
      await shop.kept?.close();
      await proxy.close();
    }
  },
};
