/**
 * What a job under test computes, and what must have come of it: the labels of real baskets, held against the oracle, or
 * chains of digests. Neither check shares code with the runtime.
 */
import { strict as assert } from 'node:assert';
import { encodeKey } from '../../src/log/keys.ts';
import type { Log, OutRecord } from '../../src/log/port.ts';
import { confluentSerdes } from '../../src/log/registry/confluent.ts';
import { registerSchemas } from '../../src/log/registry/subjects.ts';
import type { Serde } from '../../src/log/serde.ts';
import type { SerendipityLabel } from '../../src/serendipity/records.ts';
import type { BehaviorEvent } from '../../src/shop/behaviour.ts';
import type { CatalogItem } from '../../src/shop/catalog.ts';
import type { UserDay } from '../../src/serendipity/records.ts';
import type { Topology } from '../../src/stream/topology.ts';
import { LABELS_DEFAULTS, labelsTopology } from '../../topologies/labels.ts';
import { oracle, type CatalogEntry, type MetricsRow, type RawEvent } from '../oracle/oracle.ts';
import { randomFrom, shuffleWithinGrace } from '../oracle/random-logs.ts';
import { apart, produce, schemasOf, type Place } from '../support/apart.ts';
import type { CommittedRecord } from '../support/committed-records.ts';
import { lastRevisions } from '../support/outcome-of.ts';
import { closing, entriesOf, eventOf, sample, type Sample } from '../support/sample.ts';
import { chainTopology, linkAfter, type Link, type Said } from './chain.ts';

export interface Subject {
  readonly name: 'labels' | 'chain';
  readonly topology: Topology;
  /** What the job needs besides its topics. */
  prepare(log: Log, registryUrl: string): Promise<void>;
  /** The next records of the source; after them all that can be known of them is said. */
  next(count: number): OutRecord[];
  /** Throws where the outputs, in the order of the topology's sinks, are not what comes of the input. */
  verify(input: readonly CommittedRecord[], outputs: readonly (readonly CommittedRecord[])[]): string;
}

const SAMPLE = 67_808;
/** that a round takes */
const MOST = 6000;
const { grace } = LABELS_DEFAULTS;
let baskets: Promise<Sample> | null = null;

/** Users that only visit, so that there is state of some size. */
const crowd = (size: number, time: number): RawEvent[] =>
  Array.from({ length: size }, (_, n) => ({
    event_id: `crowd-${n}`,
    event_type: 'visit',
    event_time: time,
    user_id: `crowd-${n}`,
  }));

export class Labels implements Subject {
  readonly name = 'labels';
  readonly topology: Topology;
  readonly #place: Place;
  readonly #seed: number;
  readonly #from: number;
  #events: RawEvent[] = [];
  #catalog!: Map<string, CatalogEntry>;
  #crowd: number;
  #at = 0;
  #takes = 0;
  #eventSerde!: Serde<BehaviorEvent>;
  #labels!: Serde<SerendipityLabel>;
  #days!: Serde<UserDay>;
  /** what stands in a value, without decoding it as the job does */
  readonly #meaning = new Map<string, RawEvent>();

  /** Baskets from a place in the sample that the seed picks; `users` more come first, with a visit each. */
  constructor(place: Place, seed: number, { users = 0 } = {}) {
    this.#place = place;
    this.#seed = seed;
    this.topology = apart(labelsTopology(), place);
    this.#crowd = users;
    this.#from = Math.floor(randomFrom(seed)() * (SAMPLE - MOST));
  }

  async prepare(log: Log, registryUrl: string): Promise<void> {
    const { events, catalog } = await (baskets ??= sample(SAMPLE, 1));
    this.#events = events.slice(this.#from, this.#from + MOST);
    const met = new Set(this.#events.flatMap(({ items }) => (items ?? []).map(({ item_id }) => item_id)));
    const known = catalog.filter(({ item_id }) => met.has(item_id));
    this.#catalog = entriesOf(known);
    await registerSchemas({ url: registryUrl }, schemasOf([this.topology], this.#place));
    const serdes = confluentSerdes({ url: registryUrl });
    const [{ topic: source }, { topic: items }] = [this.topology.sources[0]!, this.topology.tables[0]!];
    this.#eventSerde = await serdes.serde(source, 'BehaviorEvent');
    const itemSerde = await serdes.serde<CatalogItem>(items, 'CatalogItem');
    this.#labels = await serdes.serde('serendipity.labels', 'SerendipityLabel');
    this.#days = await serdes.serde('serendipity.user-days', 'UserDay');
    await serdes.close();
    await produce(
      log,
      known.map((item) => ({ topic: items, key: encodeKey(item.item_id), value: itemSerde.encode(item) })),
    );
  }

  next(count: number): OutRecord[] {
    const events = this.#events.slice(this.#at, (this.#at += count));
    const take = this.#takes++;
    const before = crowd(this.#crowd, events[0]!.event_time);
    this.#crowd = 0;
    const arrivals = shuffleWithinGrace(events, grace, this.#seed + take, { repeats: 0.1 });
    const last = closing(events, this.#place.partitions, grace, `last-${take}`);
    return [...before, ...arrivals, ...last].map((raw) => {
      const value = this.#eventSerde.encode(eventOf(raw));
      this.#meaning.set(value.toString('latin1'), raw);
      return { topic: this.topology.sources[0]!.topic, key: encodeKey(raw.user_id), value };
    });
  }

  verify(input: readonly CommittedRecord[], [labels, days]: readonly (readonly CommittedRecord[])[]): string {
    const events = input.map(({ value }) => this.#meaning.get(value!.toString('latin1'))!);
    const expected = oracle(events, { catalog: this.#catalog });
    const found = lastRevisions(labels!.map(({ value }) => this.#labels.decode(value)));
    same(found, expected.labels, 'labels');
    const totals = totalsOf(days!.map(({ value }) => this.#days.decode(value)));
    same(
      totals.map((row) => JSON.stringify(row)).sort(),
      expected.metrics.map((row) => JSON.stringify(countsOf(row))).sort(),
      'counts of a day and arm',
    );
    return `${found.length} labels of ${input.length} events`;
  }
}

type Counts = Omit<MetricsRow, 'users' | 'uv3'>;

const countsOf = ({ users: _users, uv3: _uv3, ...counts }: MetricsRow): Counts => counts;

/** The days and arms that have an event, from the last word on each user. Throws where a revision did not come next. */
function totalsOf(published: readonly UserDay[]): Counts[] {
  const last = new Map<string, UserDay>();
  for (const row of published) {
    const name = JSON.stringify([row.user_id, row.day, row.arm]);
    const before = last.get(name)?.revision ?? -1;
    if (row.revision <= before) throw new Error(`${name} has revision ${row.revision} after ${before}`);
    last.set(name, row);
  }
  const totals = new Map<string, Counts>();
  for (const row of last.values()) {
    if (row.events === 0) continue;
    const { day, arm } = row;
    const name = JSON.stringify([day, arm]);
    const zero = { exposures: 0, s_exposures: 0, clicks: 0, s_clicks: 0, purchases: 0, s_purchases: 0 };
    const total = totals.get(name) ?? { day, arm, ...zero };
    for (const field of Object.keys(zero) as (keyof typeof zero)[]) total[field] += row[field];
    totals.set(name, total);
  }
  return [...totals.values()];
}

export class Chain implements Subject {
  readonly name = 'chain';
  readonly topology: Topology;
  readonly #keys: number;
  readonly #random: () => number;
  #n = 0;

  /** Records come of keys at random, once each has come. */
  constructor(place: Place, seed: number, { keys = 10 } = {}) {
    this.topology = apart(chainTopology(), place);
    this.#keys = keys;
    this.#random = randomFrom(seed);
  }

  prepare(): Promise<void> {
    return Promise.resolve();
  }

  next(count: number): OutRecord[] {
    return Array.from({ length: count }, () => {
      const said: Said = { text: `${++this.#n} ${this.#random()}`, at: this.#n };
      const key = encodeKey(`key-${this.#n <= this.#keys ? this.#n : Math.floor(this.#random() * this.#keys)}`);
      return { topic: this.topology.sources[0]!.topic, key, value: Buffer.from(JSON.stringify(said)) };
    });
  }

  /** Link by link and partition by partition: also the order is the input's. */
  verify(input: readonly CommittedRecord[], [links]: readonly (readonly CommittedRecord[])[]): string {
    const last = new Map<string, Link>();
    const expected = inOrder(input).map(({ partition, key, value }) => {
      const link = linkAfter(last.get(String(key)), (JSON.parse(String(value)) as Said).text);
      last.set(String(key), link);
      return { partition, key: String(key), ...link };
    });
    const found = inOrder(links!).map(({ partition, key, value }) => ({
      partition,
      key: String(key),
      ...(JSON.parse(String(value)) as Link),
    }));
    same(found, expected, 'links');
    return `${found.length} links of ${last.size} keys`;
  }
}

const inOrder = (records: readonly CommittedRecord[]): CommittedRecord[] =>
  [...records].sort((a, b) => a.partition - b.partition || a.offset - b.offset);

/** Says the first difference: a whole diff of thousands helps nobody. */
function same<T>(found: readonly T[], expected: readonly T[], what: string): void {
  for (let n = 0; n < Math.max(found.length, expected.length); n++) {
    const place = `${what}: ${found.length} found, ${expected.length} expected; they differ at ${n}`;
    assert.deepEqual(found[n], expected[n], new Error(`${place}: ${JSON.stringify([found[n], expected[n]])}`));
  }
}
