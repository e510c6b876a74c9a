import { LogError } from '../../errors.ts';
import type { GroupConsumer, GroupHandler, GroupOptions, TopicPartition } from '../port.ts';
import type { Core } from './core.ts';
import { FETCH_BYTES, checkPosition, fetch } from './fetch.ts';
import type { Partition } from './partition.ts';
import { share } from './share.ts';

/** The members of one consumer group in this process. */
export class Group {
  readonly #members = new Set<EmbeddedGroupConsumer>();
  #generation = 0;
  #rebalance: Promise<void> | null = null;
  readonly #core: Core;

  constructor(core: Core) {
    this.#core = core;
  }

  join(member: EmbeddedGroupConsumer): Promise<void> {
    this.#members.add(member);
    return this.#balance();
  }

  /** What each member has now. */
  get members(): TopicPartition[][] {
    return Array.from(this.#members, (member) => member.owned);
  }

  leave(member: EmbeddedGroupConsumer): void {
    if (this.#members.delete(member) && this.#members.size > 0) void this.#balance();
  }

  /** One turn later, so that members which join together meet one rebalance. */
  #balance(): Promise<void> {
    this.#rebalance ??= new Promise<void>((resolve) =>
      setImmediate(() => {
        this.#rebalance = null;
        this.#assign();
        resolve();
      }),
    );
    return this.#rebalance;
  }

  #assign(): void {
    if (this.#members.size === 0) return;
    const members = [...this.#members];
    const shares = share(
      members.map((member) => ({ topics: member.topics, owned: member.owned })),
      (topic) => this.#core.topics.get(topic)?.partitions.length ?? 0,
    );
    this.#generation++;
    // all lose before any gains, so that no two own a partition at once
    members.forEach((member, i) => member.revokeAllBut(shares[i]!));
    members.forEach((member, i) => member.assign(shares[i]!, this.#generation));
  }
}

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
  readonly topics: readonly string[];
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
    this.topics = options.topics;
    this.#maxBytes = options.maxBytesPerPartition ?? FETCH_BYTES;
  }

  get owned(): TopicPartition[] {
    return Array.from(this.#slots.values(), (slot) => slot.at);
  }

  async run(handler: GroupHandler): Promise<void> {
    this.#core.checkOpen();
    if (this.#stopped || this.#handler !== null) throw new LogError('LOG_CLOSED', 'a group consumer runs once');
    for (const topic of this.topics) this.#core.topic(topic);
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

  assign(partitions: TopicPartition[], generation: number): void {
    if (this.#stopped) return;
    for (const at of partitions) {
      if (this.#slots.has(nameOf(at))) continue;
      const partition = this.#core.partition(at);
      this.#slots.set(nameOf(at), { at, partition, position: 0, run: 0, wake: null, busy: Promise.resolve() });
    }
    try {
      this.#handler!.assigned({ partitions: partitions.map((at) => ({ ...at })), restarted: [], generation });
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
      if (slot.run === run) this.#crash(error);
    }
  }

  #crash(error: unknown): void {
    if (this.#stopped) return;
    void this.stop();
    this.#handler!.crashed(error instanceof Error ? error : new Error(String(error)));
  }
}
