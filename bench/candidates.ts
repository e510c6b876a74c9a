import type { SoldItem } from '../src/nearline/candidates/rules.ts';
import { soldItem } from '../src/nearline/candidates/rules.ts';
import type { UserCandidates } from '../src/nearline/records.ts';
import { readLines } from '../src/log/ndjson.ts';
import type { Asked, RetrievedItem } from '../src/serengpt/records.ts';
import { eventFromJson } from '../src/shop/behaviour.ts';
import type { LocalRecord } from '../src/stream/local-task.ts';
import { runLocal, type LocalRunStats } from '../src/stream/local.ts';
import { CANDIDATES_DEFAULTS, candidatesTopology } from '../topologies/candidates.ts';
import { answerTo } from './asked.ts';
import { itemsOf } from './generate.ts';
import { randomOf } from './world.ts';

const DAY = 86_400_000;
/** of one answer, as many as a retrieval gives */
const ITEMS = 100;

export interface Filtered {
  stats: LocalRunStats;
  answers: number;
  /** the last list of each user, or null where it has ended */
  lists: ReadonlyMap<string, UserCandidates | null>;
}

/**
 * The topology `candidates` over a generated log: a user is answered for with a hundred items of the catalog on the first
 * event, and again on the first one a day or more after that.
 */
export async function filterFile(
  input: string,
  { folder, cacheBytes, seed }: { folder: string; cacheBytes: number; seed: string },
  onTables: () => void,
): Promise<Filtered> {
  const sold: RetrievedItem[] = [];
  const catalog = new Map<string, SoldItem>();
  for (const item of itemsOf({ seed })) {
    catalog.set(item.item_id, soldItem(item));
    const { item_id, title, category_id, brand_id, seller_id, price } = item;
    sold.push({ item_id, title, category_id, brand_id, seller_id, price, ...FOUND });
  }
  onTables();
  const random = randomOf(`${seed} answers`);
  const asked = new Map<string, { at: number; round: number }>();
  const lists = new Map<string, UserCandidates | null>();
  let answers = 0;
  const inputs = async function* (): AsyncGenerator<LocalRecord[]> {
    for await (const lines of readLines(input)) {
      const records: LocalRecord[] = [];
      for (const { value } of lines) {
        const event = eventFromJson(value);
        const { user_id: user, event_time: time } = event;
        records.push({ source: 'events', key: user, value: event });
        const before = asked.get(user);
        if (before !== undefined && time - before.at < DAY) continue;
        const round = (before?.round ?? 0) + 1;
        asked.set(user, { at: time, round });
        answers++;
        const items = Array.from({ length: ITEMS }, () => sold[Math.floor(random() * sold.length)]!);
        records.push({ source: 'retrieved', key: user, value: answerTo(asking(user, round, time), items) });
      }
      yield records;
    }
  };
  const stats = await runLocal(candidatesTopology(CANDIDATES_DEFAULTS), {
    inputs: inputs(),
    tables: { catalog },
    stateDir: folder,
    cacheBytes,
    now: () => Infinity,
    onOutput: (_sink, key, value) => lists.set(key, value as UserCandidates | null),
    onDeadLetter: ({ code, error }) => {
      throw new Error(`${code}: ${error}`);
    },
  });
  return { stats, answers, lists };
}

const FOUND = {
  score: 0.5,
  retrieval_score: 0.5,
  led_by: 'a generated title of some words',
  led_by_kind: 'title' as const,
  channels: ['keyword', 'vector'],
};

const asking = (user: string, round: number, time: number): Asked => ({
  request_id: `${user}/${round}`,
  user_id: user,
  round,
  attempt: 1,
  asked_at: time,
  expires_at: time,
  valid_until: time + DAY,
});
