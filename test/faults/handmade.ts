/** Events made one by one, among them some that cannot be used: the labels are the oracle's of the good ones. */
import { strict as assert } from 'node:assert';
import { SchemaRegistryClient } from '@confluentinc/schemaregistry/dist/schemaregistry-client.js';
import avsc from 'avsc';
import { encodeKey } from '../../src/log/keys.ts';
import type { Log, OutRecord } from '../../src/log/port.ts';
import { confluentSerdes } from '../../src/log/registry/confluent.ts';
import { registerSchemas } from '../../src/log/registry/subjects.ts';
import { readSchema, subjectOf } from '../../src/log/schemas.ts';
import type { Serde, Serdes } from '../../src/log/serde.ts';
import type { SerendipityLabel } from '../../src/serendipity/records.ts';
import type { BehaviorEvent } from '../../src/shop/behaviour.ts';
import type { Topology } from '../../src/stream/topology.ts';
import { labelsTopology } from '../../topologies/labels.ts';
import { oracle, type RawEvent } from '../oracle/oracle.ts';
import { apart, schemasOf, type Place } from '../support/apart.ts';
import type { CommittedRecord } from '../support/committed-records.ts';
import { lastRevisions } from '../support/outcome-of.ts';
import { eventOf } from '../support/sample.ts';
import type { Subject } from './subject.ts';

export class Handmade implements Subject {
  readonly name = 'labels';
  readonly topology: Topology;
  readonly source: string;
  /** what was produced and can be used */
  readonly good: RawEvent[] = [];
  readonly #place: Place;
  readonly #start = Date.now() - 3_600_000;
  #registryUrl!: string;
  #serdes!: Serdes;
  #events!: Serde<BehaviorEvent>;
  #labels!: Serde<SerendipityLabel>;
  #moment = 0;

  constructor(place: Place) {
    this.#place = place;
    this.topology = apart(labelsTopology(), place);
    this.source = this.topology.sources[0]!.topic;
  }

  async prepare(_log: Log, registryUrl: string): Promise<void> {
    this.#registryUrl = registryUrl;
    await registerSchemas({ url: registryUrl }, schemasOf([this.topology], this.#place));
    this.#serdes = confluentSerdes({ url: registryUrl });
    this.#events = await this.#serdes.serde(this.source, 'BehaviorEvent');
    this.#labels = await this.#serdes.serde('serendipity.labels', 'SerendipityLabel');
  }

  get serdes(): Serdes {
    return this.#serdes;
  }

  close(): Promise<void> {
    return this.#serdes?.close() ?? Promise.resolve();
  }

  event(user: string, type: string, rest: Partial<RawEvent> = {}): RawEvent {
    const n = ++this.#moment;
    const event_type = type as RawEvent['event_type'];
    return {
      event_id: `e${n}`,
      event_type,
      event_time: this.#start + n * 1000,
      user_id: user,
      request_id: null,
      ...rest,
    };
  }

  shown(user: string, item: string): RawEvent {
    const items = [{ item_id: item, category_id: `c-${item}` }];
    return this.event(user, 'exposure', { request_id: `r-${item}`, items });
  }

  clicked(user: string, item: string): RawEvent {
    const items = [{ item_id: item, category_id: `c-${item}` }];
    return this.event(user, 'click', { request_id: `r-${item}`, items });
  }

  record(raw: RawEvent): OutRecord {
    return { topic: this.source, key: encodeKey(raw.user_id), value: this.#events.encode(eventOf(raw)) };
  }

  /** A producer that is ahead of us: its schema is ours with something replaced, and is registered. */
  async writer(ours: string, theirs: string): Promise<(raw: RawEvent) => OutRecord> {
    const schema = (await readSchema('BehaviorEvent')).replace(ours, theirs);
    const client = new SchemaRegistryClient({ baseURLs: [this.#registryUrl], maxRetries: 0 });
    const id = await client.register(subjectOf(this.source), { schema, schemaType: 'AVRO' });
    await client.close();
    const type = avsc.Type.forSchema(JSON.parse(schema) as avsc.Schema);
    return (raw) => {
      const header = Buffer.alloc(5);
      header.writeInt32BE(id, 1);
      // of a type that we may not know
      const event = { ...eventOf({ ...raw, event_type: 'visit' }), event_type: raw.event_type };
      const value = Buffer.concat([header, type.toBuffer(event)]);
      return { topic: this.source, key: encodeKey(raw.user_id), value };
    };
  }

  /** Users of whom everything can be used: something is shown to each and clicked. */
  next(count: number): OutRecord[] {
    return Array.from({ length: Math.ceil(count / 2) }, () => `user-${this.#moment}`).flatMap((user) => {
      const events = [this.shown(user, 'thing'), this.clicked(user, 'thing')];
      this.good.push(...events);
      return events.map((raw) => this.record(raw));
    });
  }

  verify(_input: readonly CommittedRecord[], [labels]: readonly (readonly CommittedRecord[])[]): string {
    const found = lastRevisions(labels!.map(({ value }) => this.#labels.decode(value)));
    assert.deepEqual(found, oracle(this.good).labels);
    return `${found.length} labels of ${this.good.length} good events`;
  }
}
