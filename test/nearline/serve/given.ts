/** What tests of the server begin with. */
import type { Log } from '../../../src/log/port.ts';
import type { Serdes } from '../../../src/log/serde.ts';
import { CANDIDATES, type Candidate, type UserCandidates } from '../../../src/nearline/records.ts';
import { TRIGGERS, type ChannelTrigger } from '../../../src/serengpt/records.ts';
import { readAll } from '../../support/outcome-of.ts';

export const NOW = Date.UTC(2026, 2, 1);
export const HOUR = 3_600_000;

export const candidate = (item_id: string, given: Partial<Candidate> = {}): Candidate => ({
  item_id,
  title: `${item_id}, best of its kind`,
  category_id: null,
  brand_id: null,
  seller_id: 'seller-1',
  price: 9.5,
  score: 0.5,
  led_by: 'walking boots for rain',
  led_by_kind: 'title',
  channels: ['keyword', 'vector'],
  novel_category: true,
  novel_brand: true,
  novel_seller: true,
  category_last_seen: null,
  ...given,
});

export const listOf = (user_id: string, given: Partial<UserCandidates> = {}): UserCandidates => ({
  user_id,
  request_id: `${user_id}-r1`,
  round: 1,
  revision: 0,
  asked_at: NOW - HOUR,
  generated_at: NOW - HOUR + 30_000,
  expires_at: NOW + 23 * HOUR,
  model: 'test-1',
  prompt_version: 'serengpt-1',
  retriever: 'bm25-1',
  ranker: 'none',
  candidates: [candidate('c1', { score: 0.9 }), candidate('c2')],
  left_out: [{ rule: 'NOT_NOVEL', count: 3 }],
  ...given,
});

export async function makeTopics(log: Log, partitions = 2): Promise<void> {
  const admin = log.admin();
  await admin.create([
    { topic: CANDIDATES.topic, partitions, config: { 'cleanup.policy': 'compact' } },
    { topic: TRIGGERS.topic, partitions },
  ]);
  await admin.close();
}

/** A list; or bytes as they are, or a tombstone, under a key. */
export async function publish(
  log: Log,
  serdes: Serdes,
  ...records: (UserCandidates | { key: string; value: Buffer | null })[]
): Promise<void> {
  const serde = await serdes.serde<UserCandidates>(CANDIDATES.topic, CANDIDATES.schema);
  const producer = log.producer();
  await producer.open();
  await producer.send(
    records.map((record) => ({
      topic: CANDIDATES.topic,
      key: Buffer.from('key' in record ? record.key : record.user_id),
      value: 'key' in record ? record.value : serde.encode(record),
    })),
  );
  await producer.close();
}

export async function triggersIn(log: Log, serdes: Serdes): Promise<ChannelTrigger[]> {
  const serde = await serdes.serde<ChannelTrigger>(TRIGGERS.topic, TRIGGERS.schema);
  return (await readAll(log, TRIGGERS.topic)).map(({ value }) => serde.decode(value));
}

export async function until(check: () => boolean | Promise<boolean>): Promise<void> {
  const { setTimeout: sleep } = await import('node:timers/promises');
  for (const deadline = Date.now() + 15_000; !(await check()); await sleep(10)) {
    if (Date.now() > deadline) throw new Error('it did not come to be within 15 s');
  }
}

/** A log whose brokers can be made unreachable: every call fails and what is being read ends in an error. */
export class UnsteadyLog {
  readonly log: Log;
  #away = false;
  readonly #cut = new Set<() => void>();

  constructor(inner: Log, failure: () => Error) {
    const guarded = <T extends object>(target: T): T =>
      new Proxy(target, {
        get: (of, name) => {
          const member = Reflect.get(of, name);
          if (typeof member !== 'function') return member;
          if (name === 'read') return (...given: unknown[]) => this.#read(member.apply(of, given), failure);
          return async (...given: unknown[]) => {
            if (this.#away && name !== 'close') throw failure();
            return member.apply(of, given);
          };
        },
      });
    this.log = {
      ...inner,
      producer: () => guarded(inner.producer()),
      reader: () => guarded(inner.reader()),
      admin: () => guarded(inner.admin()),
      close: async () => {},
    };
  }

  leave(): void {
    this.#away = true;
    for (const cut of this.#cut) cut();
  }

  comeBack(): void {
    this.#away = false;
  }

  async *#read(inner: AsyncIterable<unknown>, failure: () => Error): AsyncGenerator<unknown> {
    if (this.#away) throw failure();
    const iterator = inner[Symbol.asyncIterator]();
    const gone = Promise.withResolvers<never>();
    gone.promise.catch(() => {});
    const cut = () => gone.reject(failure());
    this.#cut.add(cut);
    try {
      for (;;) {
        const next = iterator.next();
        next.catch(() => {});
        const { value, done } = await Promise.race([next, gone.promise]);
        if (done === true) return;
        yield value;
      }
    } finally {
      this.#cut.delete(cut);
    }
  }
}
