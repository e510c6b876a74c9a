import { LABELS_DEFAULTS, labelsTopology, type LabelsOptions } from '../../topologies/labels.ts';
import { metricsKey, type MetricsDay } from '../../src/serendipity/metrics.ts';
import type { ItemFacts, SerendipityLabel, UserDay } from '../../src/serendipity/records.ts';
import { eventFromJson, type BehaviorEvent } from '../../src/shop/behaviour.ts';
import { AvroSerde, WriterSchemas } from '../../src/log/avro.ts';
import { readSchema } from '../../src/log/schemas.ts';
import type { ProcessorContext, Store, Timer } from '../../src/stream/topology.ts';

const schema = await readSchema('BehaviorEvent');
const writers = new WriterSchemas(() => Promise.resolve(null));
const serde = new AvroSerde<BehaviorEvent>(schema, 1, 'behavior.events-value', writers, { lazy: true });

/** As the job has it from the log, with its items in bytes; as it is, where bytes would not be the same. */
const throughBytes = (event: BehaviorEvent): BehaviorEvent =>
  JSON.stringify(event).includes('\\ud') ? event : serde.decode(serde.encode(event));

/**
 * The labels processor by itself, with the least context that the interface allows. `forget(i)` says after which events
 * every value in memory is put through its bytes, as if it had been evicted and read again.
 */
export class BenchOfOne {
  readonly said: SerendipityLabel[] = [];
  readonly userDays = new Map<string, UserDay>();
  readonly counted = new Map<string, number>();
  readonly #memory = new Map<string, Map<string, unknown>>();
  readonly #bytes = new Map<string, Map<string, Buffer>>();
  readonly #timers = new Map<string, Timer>();
  readonly #processor;
  readonly #topology;
  #streamTime = -Infinity;
  #arrived = 0;

  constructor(options: Partial<LabelsOptions> = {}, catalog: Map<string, ItemFacts> = new Map()) {
    this.#topology = labelsTopology({ ...LABELS_DEFAULTS, ...options });
    for (const { name } of this.#topology.stores) {
      this.#memory.set(name, new Map());
      this.#bytes.set(name, new Map());
    }
    const id = (timer: Timer) => `${timer.clock} ${timer.due} ${timer.kind} ${timer.key}`;
    const context: ProcessorContext = {
      store: <V>(name: string): Store<V> => {
        const memory = this.#memory.get(name)! as Map<string, V | null>;
        const bytes = this.#bytes.get(name)!;
        return {
          get: (key) => {
            if (!memory.has(key)) throw new Error(`${name} ${key} was not declared`);
            return memory.get(key) ?? undefined;
          },
          peek: (key) => memory.get(key) ?? undefined,
          put: (key, value) => void memory.set(key, value),
          delete: (key) => {
            memory.set(key, null);
            bytes.delete(key);
          },
        };
      },
      table: <P>() => catalog as unknown as { get(key: string): P | undefined; size: number },
      timers: {
        set: (timer) => void this.#timers.set(id(timer), timer),
        cancel: (timer) => void this.#timers.delete(id(timer)),
      },
      forward: (to, _key, value) => {
        if (to === 'labels') this.said.push(value as SerendipityLabel);
        else {
          const row = value as UserDay;
          const key = `${row.user_id}|${metricsKey(row.day, row.arm)}`;
          const before = this.userDays.get(key);
          if (before !== undefined && before.revision >= row.revision) throw new Error('a revision went back');
          this.userDays.set(key, row);
        }
      },
      streamTime: () => this.#streamTime,
      now: () => Infinity,
      count: (name, by = 1) => void this.counted.set(name, (this.counted.get(name) ?? 0) + by),
      level: () => {},
    };
    this.#processor = this.#topology.processors[0].create(context);
  }

  #fetch(declare: (want: (store: string, key: string) => void) => void): void {
    for (let more = true; more;) {
      more = false;
      declare((store, key) => {
        const memory = this.#memory.get(store)!;
        if (memory.has(key)) return;
        const bytes = this.#bytes.get(store)!.get(key);
        const { codec } = this.#topology.stores.find(({ name }) => name === store)!;
        memory.set(key, bytes === undefined ? null : codec.decode(bytes));
        more = true;
      });
    }
  }

  /** Everything in memory goes to bytes; a flush comes before it, as before a commit. */
  forget(): void {
    this.#processor.flush!();
    for (const { name, codec } of this.#topology.stores) {
      const memory = this.#memory.get(name)!;
      for (const [key, value] of memory) if (value !== null) this.#bytes.get(name)!.set(key, codec.encode(value));
      memory.clear();
    }
  }

  get stateBytes(): number {
    let sum = 0;
    for (const store of this.#bytes.values()) for (const bytes of store.values()) sum += bytes.length;
    return sum;
  }

  /** Every other event as it comes from the log, the others as from a file. */
  arrive(json: unknown): void {
    const parsed = eventFromJson(json);
    const event = this.#arrived++ % 2 === 0 ? throughBytes(parsed) : parsed;
    const record = { key: event.user_id, value: event, time: event.event_time };
    this.#streamTime = Math.max(this.#streamTime, event.event_time);
    this.#fetch((want) => this.#processor.keys!(record, want));
    this.#processor.process(record);
  }

  /** How many entries the user has, whatever is in them, and the bytes of them all. */
  left(user: string): { entries: number; bytes: number; timers: Timer[] } {
    this.forget();
    let [entries, bytes] = [0, 0];
    for (const store of this.#bytes.values()) {
      for (const [key, value] of store) {
        if (key !== user && !(key.startsWith(`${user}#`) && /^\d+$/.test(key.slice(user.length + 1)))) continue;
        entries++;
        bytes += value.length;
      }
    }
    return { entries, bytes, timers: [...this.#timers.values()].filter(({ key }) => key === user) };
  }

  erase(user: string, until: number): void {
    const record = { key: user, value: { user_id: user, requested_at: until }, time: 0 };
    this.#fetch((want) => this.#processor.keys!(record, want));
    this.#processor.process(record);
    // what was counted stays counted; the days of a fresh user begin with revision 0
    for (const [name, row] of [...this.userDays]) {
      if (row.user_id !== user || !this.userDays.delete(name)) continue;
      this.userDays.set(`${name} until ${until} ${this.userDays.size}`, row);
    }
  }

  fireTimers(due: (timer: Timer) => boolean): void {
    for (const [key, timer] of [...this.#timers]) {
      if (!due(timer) || !this.#timers.delete(key)) continue;
      this.#fetch((want) => this.#processor.timerKeys!(timer, want));
      this.#processor.timer!(timer);
    }
  }

  passTime(): void {
    this.fireTimers(({ clock, due }) => clock === 'event' && due <= this.#streamTime);
  }

  end(): void {
    this.fireTimers(({ atEnd }) => atEnd === true);
    this.#processor.flush!();
  }

  /** The labels that hold, without revision and withdrawn, by label id. */
  get labels(): Omit<SerendipityLabel, 'revision' | 'withdrawn'>[] {
    const last = new Map<string, SerendipityLabel>();
    for (const label of this.said) {
      const before = last.get(label.label_id);
      if (label.revision !== (before === undefined ? 0 : before.revision + 1))
        throw new Error(`revision of ${label.label_id}`);
      last.set(label.label_id, label);
    }
    return [...last.values()]
      .filter(({ withdrawn }) => !withdrawn)
      .map(({ revision: _revision, withdrawn: _withdrawn, ...label }) => label)
      .sort((a, b) => Buffer.compare(Buffer.from(a.label_id), Buffer.from(b.label_id)));
  }

  get metrics(): MetricsDay[] {
    const rows = new Map<string, MetricsDay>();
    for (const { user_id: _user, day, arm, revision: _revision, events, ...counts } of this.userDays.values()) {
      if (events === 0) continue;
      const key = metricsKey(day, arm);
      let row = rows.get(key);
      if (row === undefined) {
        row = {
          day,
          arm,
          exposures: 0,
          s_exposures: 0,
          clicks: 0,
          s_clicks: 0,
          purchases: 0,
          s_purchases: 0,
          users: 0,
          uv3: 0,
        };
        rows.set(key, row);
      }
      for (const [name, value] of Object.entries(counts)) row[name as keyof typeof counts] += value;
      row.users++;
      if (counts.exposures > 200) row.uv3++;
    }
    return [...rows.values()].sort((a, b) => {
      if (a.day !== b.day) return a.day < b.day ? -1 : 1;
      return a.arm === b.arm
        ? 0
        : a.arm === null
          ? -1
          : b.arm === null
            ? 1
            : Buffer.compare(Buffer.from(a.arm), Buffer.from(b.arm));
    });
  }
}
