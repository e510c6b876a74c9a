/**
 * The application's transactions, gathered and judged. A transaction hangs where its end will not come by itself:
 *
 *   overdue     its coordinator should have ended it by its time-out and has not
 *   undelivered it was decided long ago, and a partition never got the marker that says so
 *   orphaned    it is open on a partition, though no coordinator knows of it: nobody will ever end it
 *
 * Until it ends, nobody who reads at read_committed gets past its first record.
 */
import type { LogAdmin, OpenTransaction, TopicPartition, TransactionDescription } from '../log/port.ts';
import { namesOf, requiredTopics } from '../stream/names.ts';
import type { Topology } from '../stream/topology.ts';
import { replayedTopic } from './dead-letters.ts';
import { jobsOf } from './jobs.ts';
import { plain } from './words.ts';
import { workersOf } from './workers.ts';

/** A coordinator looks every ten seconds for what is over its time-out. */
export const MARGIN_MS = 15_000;

export interface HeldPartition extends TopicPartition {
  /** nothing from here on is read */
  from: number;
  /** how many offsets wait, up to the end */
  waiting: number;
}

export interface TransactionRow {
  /** null for an orphan: no coordinator has a name for it */
  transactionalId: string | null;
  phase: string;
  producerId: number | null;
  epoch: number;
  startedAt: number | null;
  ageMs: number | null;
  timeoutMs: number | null;
  partitions: TopicPartition[];
  held: HeldPartition[];
  hanging: 'overdue' | 'undelivered' | 'orphaned' | null;
  /** of an orphan: what its partition knows of it */
  open: OpenTransaction | null;
  /** an orphan on a topic that others write too: it may be of one whose ids we may not see */
  foreign: boolean;
}

export interface Ours {
  isOurs(transactionalId: string): boolean;
  /** that we write or read */
  topics: readonly string[];
  /** that nobody else writes */
  own: ReadonlySet<string>;
  groups: readonly string[];
}

export function oursOf(topologies: readonly Topology[], app: string): Ours {
  const jobs = jobsOf(topologies, app);
  const starts = jobs.map(({ group }) => `${group}-`);
  const replays = new Set(jobs.map(({ deadLetters }) => replayedTopic(deadLetters)));
  const required = requiredTopics(topologies, { app, partitions: 1 }).map(({ topic }) => topic);
  const topics = [...new Set([...required, ...jobs.map(({ deadLetters }) => deadLetters), ...replays])];
  const own = new Set(topics);
  const written = new Set([
    ...topologies.flatMap(({ name, sinks }) => sinks.map((sink) => namesOf(name, { app }).sink(sink))),
    ...workersOf(topologies).map(({ answers }) => answers.topic),
  ]);
  for (const { name, sources, tables } of topologies) {
    const read = [...sources.map((source) => namesOf(name, { app }).source(source)), ...tables.map((t) => t.topic)];
    for (const topic of read) if (!written.has(topic)) own.delete(topic);
  }
  return {
    isOurs: (id) =>
      replays.has(id) || starts.some((start) => id.startsWith(start) && /^\d+$/.test(id.slice(start.length))),
    topics,
    own,
    groups: jobs.map(({ group }) => group),
  };
}

export interface TransactionFacts {
  /** by the log's clock */
  now: number;
  ids: TransactionDescription[];
  open: OpenTransaction[];
  orphans: OpenTransaction[];
  ends: (TopicPartition & { end: number })[];
}

export async function gatherTransactions(admin: LogAdmin, ours: Ours): Promise<TransactionFacts> {
  const skew = await admin.clockSkew().catch(() => null);
  const open = await openOn(admin, ours);
  const entries = await admin.transactionalIds();
  const named = entries.filter(({ transactionalId }) => ours.isOurs(transactionalId));
  // an id can be forgotten between the two questions
  const ids = (await admin.describeTransactions(named.map((entry) => entry.transactionalId))).filter(
    (one) => one !== null,
  );
  const orphans = await findOrphans(admin, ours, open);
  const topics = new Set(open.map(({ topic }) => topic).filter((topic) => ours.topics.includes(topic)));
  const ends: TransactionFacts['ends'] = [];
  for (const topic of topics) {
    for (const { partition, end } of await admin.offsets(topic, 'uncommitted')) ends.push({ topic, partition, end });
  }
  return { now: Date.now() + (skew?.aheadMs ?? 0), ids, open, orphans, ends };
}

const openOn = (admin: LogAdmin, { topics, groups }: Ours): Promise<OpenTransaction[]> =>
  admin.openTransactions(topics, groups);

const placeOf = ({ topic, partition }: TopicPartition): string => `${topic}/${partition}`;
const keyOf = (open: OpenTransaction): string => `${placeOf(open)} ${open.producerId} ${open.epoch} ${open.from}`;

/**
 * A partition is in its coordinator's books before anything is written to it, and leaves them after its marker is. So
 * what is open on the partition, then not in the books, and then still open there, is in nobody's: the partition is asked
 * before and after the coordinators, and these a second time, as an id may move from one to another while they are asked.
 */
async function findOrphans(admin: LogAdmin, ours: Ours, open: readonly OpenTransaction[]): Promise<OpenTransaction[]> {
  let suspects = open.filter(({ producerId }) => producerId !== null);
  for (let look = 0; look < 2 && suspects.length > 0; look++) {
    const entries = await admin.transactionalIds();
    const ids = entries.filter(({ producerId }) => suspects.some((one) => one.producerId === producerId));
    const books = await admin.describeTransactions(ids.map(({ transactionalId }) => transactionalId));
    suspects = suspects.filter((one) => !books.some((book) => book !== null && accountsFor(book, one)));
    const still = suspects.length === 0 ? [] : await openOn(admin, ours);
    const keys = new Set(still.map(keyOf));
    suspects = suspects.filter((one) => keys.has(keyOf(one)));
  }
  return suspects;
}

/** While a producer is fenced off, its coordinator is an epoch ahead of the partitions. */
const accountsFor = ({ phase, producerId, epoch, partitions }: TransactionDescription, open: OpenTransaction) =>
  (phase === 'Ongoing' || phase.startsWith('Prepare')) &&
  producerId === open.producerId &&
  epoch >= open.epoch &&
  partitions.some((at) => placeOf(at) === placeOf(open));

export function judgeTransactions({ now, ids, open, orphans, ends }: TransactionFacts, ours: Ours): TransactionRow[] {
  const endOf = new Map(ends.map((at) => [placeOf(at), at.end]));
  const heldBy = (mine: (one: OpenTransaction) => boolean): HeldPartition[] =>
    open
      .filter(mine)
      // where an older one is open too, that one is what readers wait for
      .filter((one) => !open.some((other) => placeOf(other) === placeOf(one) && other.from < one.from))
      .map((one) => ({
        topic: one.topic,
        partition: one.partition,
        from: one.from,
        waiting: Math.max((endOf.get(placeOf(one)) ?? one.from) - one.from, 0),
      }));
  const orphaned = new Set(orphans.map(keyOf));
  const known = ids.map((one): TransactionRow => {
    const ageMs = one.startedAt === null ? null : Math.max(now - one.startedAt, 0);
    const isOf = (at: OpenTransaction) =>
      !orphaned.has(keyOf(at)) &&
      at.producerId === one.producerId &&
      one.partitions.some((partition) => placeOf(partition) === placeOf(at));
    return { ...one, ageMs, held: heldBy(isOf), hanging: hangs(one, ageMs), open: null, foreign: false };
  });
  const unknown = orphans.map((one): TransactionRow => ({
    transactionalId: null,
    phase: 'unknown',
    producerId: one.producerId,
    epoch: one.epoch,
    startedAt: null,
    ageMs: one.lastAt === null ? null : Math.max(now - one.lastAt, 0),
    timeoutMs: null,
    partitions: [{ topic: one.topic, partition: one.partition }],
    held: heldBy((other) => keyOf(other) === keyOf(one)),
    hanging: 'orphaned',
    open: one,
    foreign: !ours.own.has(one.topic),
  }));
  return [...known, ...unknown];
}

function hangs({ phase, timeoutMs }: TransactionDescription, ageMs: number | null): TransactionRow['hanging'] {
  if (ageMs === null || timeoutMs === null || ageMs <= timeoutMs + MARGIN_MS) return null;
  if (phase === 'Ongoing') return 'overdue';
  return phase.startsWith('Prepare') ? 'undelivered' : null;
}

/** What `abort` takes: an id, or for an orphan the place and the producer. */
export const nameOf = ({ transactionalId, open }: TransactionRow): string =>
  transactionalId ?? `${placeOf(open!)}@${open!.producerId}`;

export type Abort = { row: TransactionRow; how: 'coordinator' | 'partition' | 'refused'; why: string };

/** What would be done with each, decided apart from doing it. */
export function planAbort(row: TransactionRow, force: boolean): Abort {
  const planned = (how: Abort['how'], why: string): Abort => ({ row, how, why });
  if (row.open !== null) {
    if (row.foreign && !force) {
      const why = 'others write this topic too, and it may be of one whose ids we may not see; --force aborts it';
      return planned('refused', why);
    }
    return planned('partition', 'no coordinator knows of it: its partition alone is told');
  }
  if (row.phase.startsWith('Prepare')) {
    const why =
      row.hanging === null
        ? 'it is ending already'
        : 'it is decided, and its partitions have not been told: see the brokers that lead them';
    return planned('refused', why);
  }
  if (row.phase !== 'Ongoing') return planned('refused', 'nothing is open under it');
  if (row.hanging === null && !force) {
    const why =
      'it is within its time-out, so its task may be running: that would be fenced and do its work again; --force does it';
    return planned('refused', why);
  }
  return planned('coordinator', 'its producer is fenced and what it left open is aborted');
}

export const inWords = ({ topic, partition, from, waiting }: HeldPartition): string =>
  `${plain(topic)}/${partition} from ${from} (${waiting} waiting)`;
