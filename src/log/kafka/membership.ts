/**
 * A member of a consumer group: joins, is given partitions, keeps its heartbeats up whatever its owner is busy with, and
 * joins again when the group changes. kafkajs's own consumer does this between fetches and tells nobody in between.
 *
 *   joining → (assigned) member → joining → ...; from each of them to stopped, or to failed by an error that will not
 *   pass
 *
 * What was assigned stays ours until the next assignment says otherwise, also while we join: no partition stands still
 * for a rebalance that does not move it. That another may have been given one meanwhile is no harm, since every owner
 * fences the one before.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf, type LogError } from '../../errors.ts';
import { assign, type Candidate, type Wishes } from '../assignment.ts';
import type { Claim, GroupAssignment } from '../port.ts';
import type { Cluster } from './cluster.ts';
import { asLogError, closedError, hasName, isConnectionError, isPassing, KafkaError } from './errors.ts';
import { MemberAssignment, MemberMetadata, protocolOf } from './kafkajs.ts';

export interface MembershipOptions {
  group: string;
  topics: readonly string[];
  sessionTimeoutMs: number;
  rebalanceTimeoutMs: number;
  heartbeatMs: number;
  /** How often a leader looks whether a topic has more partitions. */
  metadataMs: number;
  /** What we have the state of. */
  claims: () => Promise<readonly Claim[]>;
  /** What counts where we lead. */
  wishes: Wishes;
}

/** `unbroken`: nobody else can have had a partition that we had and still have. */
export type Given = Omit<GroupAssignment, 'restarted'> & { unbroken: boolean };

export interface MembershipEvents {
  assigned(given: Given): void;
  failed(error: LogError): void;
}

const REQUEST_TIMED_OUT = 7;
const PROTOCOL = 'seral-sticky-copartitioned';

interface Joined {
  generationId: number;
  leaderId: string;
  memberId: string;
  members: { memberId: string; memberMetadata: Buffer }[];
}

export class Membership {
  private readonly cluster: Cluster;
  private readonly options: MembershipOptions;
  private readonly events: MembershipEvents;
  private readonly stopping = new AbortController();
  private memberId = '';
  private generation = -1;
  private leading = false;
  /** Ends the wait between two heartbeats: the group is to be balanced anew. */
  private again = new AbortController();
  /** The numbers of our partitions, and the generation they are from. */
  private owned: { generation: number; memberId: string; numbers: number[] } = {
    generation: -1,
    memberId: '',
    numbers: [],
  };
  private running: Promise<void> = Promise.resolve();

  constructor(cluster: Cluster, options: MembershipOptions, events: MembershipEvents) {
    this.cluster = cluster;
    this.options = options;
    this.events = events;
  }

  /** Joins the group; resolves when the first assignment was told. */
  start(): Promise<void> {
    const first = Promise.withResolvers<void>();
    let joined = false;
    const onJoined = (): void => {
      joined = true;
      first.resolve();
    };
    this.running = this.run(onJoined).then(
      () => first.reject(closedError('the consumer')),
      (error: unknown) => {
        const failure = asLogError(error, `in group ${this.options.group}`);
        if (joined) this.events.failed(failure);
        else first.reject(failure);
      },
    );
    return first.promise;
  }

  /** Joins again though the group has not changed: what we claim has. */
  rejoin(): void {
    this.again.abort();
  }

  /** Leaves. `other` has connections that no join is waiting on. */
  async stop(other: Cluster): Promise<void> {
    if (this.stopped) return;
    this.stopping.abort();
    if (this.memberId !== '') {
      const leaving = async (): Promise<void> => {
        const { group: groupId } = this.options;
        await other.call(await other.coordinator('group', groupId), 'LeaveGroup', { groupId, memberId: this.memberId });
      };
      const error = await Promise.race([
        leaving().then(
          () => null,
          (failure: unknown) => failure,
        ),
        sleep(2_000, 'no answer', { ref: false }),
      ]);
      // the session will end by itself
      if (error !== null) this.cluster.log('debug', 'leaving the group failed', { error: messageOf(error) });
    }
    await this.cluster.close();
    await this.running;
  }

  private get stopped(): boolean {
    return this.stopping.signal.aborted;
  }

  private async run(first: () => void): Promise<void> {
    let failures = 0;
    while (!this.stopped) {
      try {
        await this.join();
        failures = 0;
        first();
        await this.beat();
      } catch (error) {
        if (this.stopped) return;
        if (!this.recover(error)) throw error;
        // a group that rebalances is joined again at once; a broker that is away is given some time
        const quick = hasName(error, 'REBALANCE_IN_PROGRESS', 'ILLEGAL_GENERATION', 'UNKNOWN_MEMBER_ID');
        failures = quick ? 0 : failures + 1;
        const level = quick ? 'info' : 'warn';
        this.cluster.log(level, 'joining the group again', { group: this.options.group, error: messageOf(error) });
        if (failures > 0) await sleep(Math.min(50 * 2 ** failures, 1_000));
      }
    }
  }

  /** Whether joining again may help; what the error says of our standing is taken in. */
  private recover(error: unknown): boolean {
    if (hasName(error, 'UNKNOWN_MEMBER_ID')) {
      this.memberId = '';
      return true;
    }
    if (hasName(error, 'REBALANCE_IN_PROGRESS', 'ILLEGAL_GENERATION')) return true;
    if (isPassing(error) || isConnectionError(error)) {
      this.cluster.forgetCoordinator('group', this.options.group);
      return true;
    }
    return false;
  }

  private async join(): Promise<void> {
    const { group: groupId, topics } = this.options;
    // whoever asks for it from here on asks for a further one
    this.again = new AbortController();
    const claims = await this.options.claims();
    const coordinator = await this.cluster.coordinator('group', groupId);
    const joined = await this.askToJoin(claims);
    if (this.stopped) return;
    this.memberId = joined.memberId;
    this.generation = joined.generationId;
    this.leading = joined.leaderId === joined.memberId;
    const groupAssignment = this.leading ? await this.assignAll(joined.members) : [];
    const { memberAssignment } = await this.cluster.call(coordinator, 'SyncGroup', {
      groupId,
      generationId: this.generation,
      memberId: this.memberId,
      groupAssignment,
    });
    if (this.stopped) return;
    const decoded = MemberAssignment.decode(memberAssignment);
    const { assignment = {}, userData = null } = decoded ?? {};
    const partitions = Object.entries(assignment)
      .filter(([topic]) => topics.includes(topic))
      .flatMap(([topic, numbers]) => numbers.map((partition) => ({ topic, partition })));
    const known = this.owned.memberId === this.memberId;
    // a join that told the group nothing new is answered with what holds already
    if (known && this.owned.generation === this.generation) return;
    const unbroken = known && this.owned.generation === this.generation - 1;
    const numbers = [...new Set(partitions.map((p) => p.partition))];
    this.owned = { generation: this.generation, memberId: this.memberId, numbers };
    this.cluster.log('info', 'joined the group', { group: groupId, generation: this.generation, partitions: numbers });
    const { standbys = [], warming = [] } = parsed<{ standbys: number[]; warming: number[] }>(userData);
    this.events.assigned({ partitions, generation: this.generation, unbroken, standbys, warming });
  }

  /** The first answer to a new member is its id, with which it asks again; so it is known before the long wait. */
  private async askToJoin(claims: readonly Claim[]): Promise<Joined> {
    const {
      group: groupId,
      topics,
      sessionTimeoutMs: sessionTimeout,
      rebalanceTimeoutMs: rebalanceTimeout,
    } = this.options;
    const { generation, numbers } = this.owned;
    const said: Said = {
      generation,
      numbers,
      claims: claims.map(({ partition, behind, of }) => [partition, behind, of]),
    };
    const userData = Buffer.from(JSON.stringify(said));
    const metadata = MemberMetadata.encode({ version: 0, topics: [...topics], userData });
    const groupProtocols = [{ name: PROTOCOL, metadata }];
    for (;;) {
      const coordinator = await this.cluster.coordinator('group', groupId);
      const { memberId } = this;
      const args = { groupId, sessionTimeout, rebalanceTimeout, memberId, protocolType: 'consumer', groupProtocols };
      try {
        return await this.cluster.send(coordinator, protocolOf(coordinator, 'JoinGroup', args));
      } catch (error) {
        if (!hasName(error, 'MEMBER_ID_REQUIRED')) throw error;
        this.memberId = (error as { memberId?: string }).memberId ?? '';
        if (this.stopped) throw error;
      }
    }
  }

  private async assignAll(members: Joined['members']): Promise<{ memberId: string; memberAssignment: Buffer }[]> {
    const candidates: Candidate[] = members.map(({ memberId, memberMetadata }) => {
      const { topics, userData } = MemberMetadata.decode(memberMetadata);
      return { memberId, topics, ...saidBy(userData) };
    });
    const topics = [...new Set(candidates.flatMap((candidate) => candidate.topics))];
    const counts = await this.partitionCounts(topics);
    return [...assign(candidates, counts, this.options.wishes)].map(([memberId, { assignment, ...rest }]) => ({
      memberId,
      memberAssignment: MemberAssignment.encode({
        version: 0,
        assignment,
        userData: Buffer.from(JSON.stringify(rest)),
      }),
    }));
  }

  /** A topic that is not there has none: it may come yet. */
  private async partitionCounts(topics: readonly string[]): Promise<Map<string, number>> {
    const counts = new Map<string, number>();
    for (const { topic, partitionMetadata } of await this.cluster.describe(topics))
      counts.set(topic, partitionMetadata.length);
    return counts;
  }

  /** Heartbeats until the group changes, which throws, or we are to join again: a topic has grown, or we were told to. */
  private async beat(): Promise<void> {
    const { group: groupId, heartbeatMs, sessionTimeoutMs, metadataMs, topics } = this.options;
    const counts = this.leading ? await this.partitionCounts(topics) : new Map<string, number>();
    let looked = Date.now();
    let heard = Date.now();
    const woken = AbortSignal.any([this.stopping.signal, this.again.signal]);
    while (!this.stopped) {
      await sleep(heartbeatMs, undefined, { signal: woken }).catch(() => undefined);
      if (woken.aborted) return;
      try {
        const coordinator = await this.cluster.coordinator('group', groupId);
        const beat = { groupId, groupGenerationId: this.generation, memberId: this.memberId };
        const left = heard + sessionTimeoutMs - Date.now();
        await within(left, this.cluster.call(coordinator, 'Heartbeat', beat));
        heard = Date.now();
      } catch (error) {
        if (!isPassing(error) && !isConnectionError(error)) throw error;
        // the coordinator is away; we are members until our session is over, and not a moment longer
        this.cluster.forgetCoordinator('group', groupId);
        if (Date.now() - heard >= sessionTimeoutMs) throw error;
        this.cluster.log('warn', 'a heartbeat failed', { group: groupId, error: messageOf(error) });
        continue;
      }
      if (this.leading && Date.now() - looked > metadataMs) {
        looked = Date.now();
        const now = await this.partitionCounts(topics).catch(() => counts);
        if (topics.some((topic) => now.get(topic) !== counts.get(topic))) return;
      }
    }
  }
}

/** The promise, or after `ms` a failure that passes. */
async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  const timer = new AbortController();
  const late = sleep(Math.max(ms, 0), undefined, { signal: timer.signal }).then(() => {
    throw new KafkaError(REQUEST_TIMED_OUT);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    late.catch(() => undefined);
    timer.abort();
  }
}

/** What a member says of itself at its join. */
interface Said {
  generation: number;
  numbers: number[];
  claims: [partition: number, behind: number, of: number][];
}

function saidBy(userData: Buffer | null): Pick<Candidate, 'generation' | 'numbers' | 'claims'> {
  const { generation, numbers, claims } = parsed<Said>(userData);
  const known = Number.isInteger(generation) && Array.isArray(numbers);
  return {
    generation: known ? generation! : -1,
    numbers: known ? numbers! : [],
    claims: (Array.isArray(claims) ? claims : []).map(([partition, behind, of]) => ({ partition, behind, of })),
  };
}

/** Nothing, where it is from another kind of member, or from a new one. */
function parsed<T extends object>(userData: Buffer | null): Partial<T> {
  try {
    return (JSON.parse(String(userData)) as T | null) ?? {};
  } catch {
    return {};
  }
}
