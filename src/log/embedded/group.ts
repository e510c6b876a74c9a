import { LogError } from '../../errors.ts';
import { assign, type Candidate, type Share } from '../assignment.ts';
import { claimsOf, wishesOf } from '../claims.ts';
import type { Claim, GroupConsumer, GroupHandler, GroupOptions, TopicPartition } from '../port.ts';
import type { Core } from './core.ts';
import { FETCH_BYTES, checkPosition, fetch } from './fetch.ts';
import type { Partition } from './partition.ts';

/** The members of one consumer group in this process. */
export class Group {
  readonly #members = new Set<EmbeddedGroupConsumer>();
  #generation = 0;
  #rebalance: Promise<void> | null = null;
  /** one after the other */
  #assigning: Promise<void> = Promise.resolve();
  readonly #core: Core;

  constructor(core: Core) {
    this.#core = core;
  }

  join(member: EmbeddedGroupConsumer): Promise<void> {
    this.#members.add(member);
    return this.balance();
  }

  /** What each member has now. */
  get members(): TopicPartition[][] {
    return Array.from(this.#members, (member) => member.owned);
  }

  leave(member: EmbeddedGroupConsumer): void {
    if (this.#members.delete(member) && this.#members.size > 0) void this.balance();
  }

  /** One turn later, so that members which join together meet one rebalance. */
  balance(): Promise<void> {
    if (this.#rebalance !== null) return this.#rebalance;
    const rebalance = new Promise<void>((resolve) => setImmediate(resolve)).then(() => {
      // whoever comes from here on is not among those that are asked
      this.#rebalance = null;
      return (this.#assigning = this.#assigning.then(() => this.#assign()));
    });
    return (this.#rebalance = rebalance);
  }

  async #assign(): Promise<void> {
    const asked = [...this.#members];
    const said = await Promise.all(asked.map((member) => member.claims()));
    const members = asked
      .map((member, i) => ({ member, claims: said[i]! }))
      .filter(({ member }) => this.#members.has(member));
    if (members.length === 0) return;
    const candidates = members.map(({ member, claims }, i) => ({ ...member.candidate(String(i)), claims }));
    const topics = [...new Set(candidates.flatMap((candidate) => candidate.topics))];
    const counts = new Map(topics.map((topic) => [topic, this.#core.topics.get(topic)?.partitions.length ?? 0]));
    const shares = assign(candidates, counts, wishesOf(members[0]!.member.options));
    this.#generation++;
    // all lose before any gains, so that no two own a partition at once
    members.forEach(({ member }, i) => member.revokeAllBut(partitionsOf(shares.get(String(i))!)));
    members.forEach(({ member }, i) => member.assign(shares.get(String(i))!, this.#generation));
  }
}

const partitionsOf = ({ assignment }: Share): TopicPartition[] =>
  Object.entries(assignment).flatMap(([topic, numbers]) => numbers.map((partition) => ({ topic, partition })));

/** One assigned partition of a member: paused, or delivering from `position` on under the run of `run`. */
interface Slot {
  at: TopicPartition;
  partition: Partition;
  position: number;
  /** the number of the delivery that may go on; each start and pause begins another */
  run: number;
  wake: (() => void) | null;
  /** settles when the batch under way is done */
  busy: Promise<void>;
}

const nameOf = (at: TopicPartition): string => `${at.topic}/${at.partition}`;

/** Life: new -> joined (assigned again and again) -> stopped, by stop or by a crash, which its handler is told. */
export class EmbeddedGroupConsumer implements GroupConsumer {
  readonly options: GroupOptions;
  readonly #core: Core;
  readonly #group: Group;
  readonly #maxBytes: number;
  readonly #slots = new Map<string, Slot>();
  readonly #reading = new Set<Promise<unknown>>();
  #handler: GroupHandler | null = null;
  #stopped = false;
  #takeBack: () => void = () => {};

  constructor(core: Core, group: Group, options: GroupOptions) {
    this.#core = core;
    this.#group = group;
    this.options = options;
    this.#maxBytes = options.maxBytesPerPartition ?? FETCH_BYTES;
  }

  get owned(): TopicPartition[] {
    return Array.from(this.#slots.values(), ({ at }) => at);
  }

  claims(): Promise<Claim[]> {
    return claimsOf(this.options, () => undefined);
  }

  /** All of one process: what each has is known, and of no generation before. */
  candidate(memberId: string): Omit<Candidate, 'claims'> {
    const numbers = [...new Set(this.owned.map(({ partition }) => partition))];
    return { memberId, topics: this.options.topics, generation: 0, numbers };
  }

  async run(handler: GroupHandler): Promise<void> {
    this.#core.checkOpen();
    if (this.#stopped || this.#handler !== null) throw new LogError('LOG_CLOSED', 'a group consumer runs once');
    for (const topic of this.options.topics) this.#core.topic(topic);
    this.#handler = handler;
    this.#takeBack = this.#core.onClose(() => this.stop());
    await this.#group.join(this);
  }

  start(at: TopicPartition, position: number): void {
    const slot = this.#slots.get(nameOf(at));
    // the partition may have gone to another member while the call was on its way
    if (slot === undefined || this.#stopped) return;
    this.#hold(slot);
    slot.position = position;
    void this.#deliver(slot, slot.run);
  }

  pause(at: TopicPartition): void {
    const slot = this.#slots.get(nameOf(at));
    if (slot !== undefined) this.#hold(slot);
  }

  rejoin(): void {
    if (!this.#stopped) void this.#group.balance();
  }

  async stop(): Promise<void> {
    if (!this.#stopped) {
      this.#stopped = true;
      this.revokeAllBut([]);
      this.#takeBack();
      this.#group.leave(this);
    }
    // reads under way use the database; a handler's batch under way is its owner's
    await Promise.allSettled(this.#reading);
  }

  revokeAllBut(kept: readonly TopicPartition[]): void {
    const names = new Set(kept.map(nameOf));
    for (const [name, slot] of this.#slots) {
      if (names.has(name)) continue;
      this.#hold(slot);
      this.#slots.delete(name);
    }
  }

  assign(share: Share, generation: number): void {
    if (this.#stopped) return;
    const partitions = partitionsOf(share);
    for (const at of partitions) {
      if (this.#slots.has(nameOf(at))) continue;
      const partition = this.#core.partition(at);
      this.#slots.set(nameOf(at), { at, partition, position: 0, run: 0, wake: null, busy: Promise.resolve() });
    }
    try {
      const { standbys, warming } = share;
      this.#handler!.assigned({ partitions, restarted: [], generation, standbys, warming });
    } catch (error) {
      this.#crash(error);
    }
  }

  /** Ends the delivery under way, if any: it will hand over nothing more. */
  #hold(slot: Slot): void {
    slot.run++;
    slot.wake?.();
  }

  async #deliver(slot: Slot, run: number): Promise<void> {
    const { partition } = slot;
    try {
      // one batch of a partition at a time, also across a restart
      await slot.busy;
      while (slot.run === run) {
        checkPosition(partition, slot.position);
        if (partition.end <= slot.position) {
          await new Promise<void>((resolve) => {
            const callOff = partition.onGrowth(resolve);
            slot.wake = () => (callOff(), resolve());
          });
          slot.wake = null;
          continue;
        }
        const fetching = fetch(this.#core, partition, slot.position, Infinity, this.#maxBytes);
        this.#reading.add(fetching);
        const batch = await fetching.finally(() => this.#reading.delete(fetching));
        if (slot.run !== run) return;
        slot.position = batch.position;
        const handled = this.#handler!.batch(batch);
        slot.busy = handled.catch(() => {});
        await handled;
      }
    } catch (error) {
      if (slot.run !== run || this.#stopped) return;
      const handler = this.#handler!;
      if (!(error instanceof LogError) || error.code !== 'OFFSET_OUT_OF_RANGE' || handler.outOfRange === undefined) {
        this.#crash(error);
      } else handler.outOfRange({ ...slot.at }, error);
    }
  }

  #crash(error: unknown): void {
    if (this.#stopped) return;
    void this.stop();
    this.#handler!.crashed(error instanceof Error ? error : new Error(String(error)));
  }
}
