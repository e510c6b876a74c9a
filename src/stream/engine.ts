/**
 * The synchronous core. It takes a micro-batch through the topology stage by stage: name the state keys of all records
 * (rounds of `keys`, each followed by one read over all stores), then process the records in order. What processors
 * forward goes to the queue of a later stage or to the outputs. It knows no log and no disk.
 *
 * A record's result does not depend on where the batch was cut: each delivery sees the stream time of its own record,
 * and where `keys` looked at state (peek) it is asked again right before `process`, since an earlier record of the
 * batch may have changed what it saw.
 */
import { TopologyError } from '../errors.ts';
import {
  isSink,
  type CompiledProcessor,
  type CompiledSink,
  type CompiledSource,
  type CompiledTopology,
} from './compile.ts';
import type { State } from './state.ts';
import type { Steps } from './steps.ts';
import type { DueTimer, TimerService } from './timers.ts';
import type { Processor, ProcessorContext, StreamRecord, Table, Timer, Want } from './topology.ts';

/** A record inside the topology, with what is to blame if it breaks something. */
export class Item<V = any> implements StreamRecord<V> {
  readonly key: string;
  readonly value: V;
  readonly time: number;
  /** where it entered; null for what a timer or a flush forwards */
  readonly source: CompiledSource | null;
  /** the feeder's own: which record this was */
  place: unknown;
  readonly timer: DueTimer | null;
  /** stream time when it (or what it came from) entered */
  streamTime = -Infinity;
  /** the place in the batch of what it came from */
  order = 0;

  constructor(
    key: string,
    value: V,
    time: number,
    source: CompiledSource | null,
    place: unknown,
    timer: DueTimer | null,
  ) {
    this.key = key;
    this.value = value;
    this.time = time;
    this.source = source;
    this.place = place;
    this.timer = timer;
  }
}

export interface Output {
  sink: CompiledSink;
  key: string;
  value: unknown;
  time: number;
  /** what it came from; null for a flush */
  cause: Item | null;
}

/** A processor broke. `cause` is its error, `item` what it broke on: a record, a timer, or (in a flush) nothing. */
export class ProcessingError extends Error {
  readonly item: Item | null;
  readonly processor: string;

  constructor(processor: string, item: Item | null, cause: unknown) {
    super(`processor "${processor}": ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    this.processor = processor;
    this.item = item;
  }
}

export interface EngineHost {
  now(): number;
  tables: ReadonlyMap<string, Table<any>>;
  count(name: string, by: number, labels?: Record<string, string>): void;
  level(name: string, value: number): void;
}

interface Node {
  compiled: CompiledProcessor;
  processor: Processor<any>;
  want: Want;
}

/** Deliveries of a stage that wait: parallel arrays, no object a delivery. */
class Queue {
  items: Item[] = [];
  nodes: Node[] = [];
  /** whether it got records both from sources and from an earlier stage */
  mixed = false;

  push(item: Item, node: Node): void {
    this.items.push(item);
    this.nodes.push(node);
  }
}

/** `keys` may be asked this often about one record; more would be a circle. */
const MAX_ROUNDS = 4;

export class Engine {
  readonly #topology: CompiledTopology;
  readonly #state: State;
  readonly #timers: TimerService;
  readonly #host: EngineHost;
  #nodes: Node[] = [];
  #queues: Queue[] = [];
  #current: Item | null = null;
  #defaultTime = 0;
  #streamTime: number;
  /** what was forwarded to sinks and not yet taken, in order */
  outputs: Output[] = [];

  constructor(topology: CompiledTopology, state: State, timers: TimerService, host: EngineHost, streamTime: number) {
    this.#topology = topology;
    this.#state = state;
    this.#timers = timers;
    this.#host = host;
    this.#streamTime = streamTime;
    state.streamTime = streamTime;
    this.#nodes = topology.processors.map((compiled) => ({
      compiled,
      processor: compiled.spec.create(this.#context(compiled)),
      want: this.#want(compiled),
    }));
    this.#queues = topology.stages.map(() => new Queue());
  }

  get streamTime(): number {
    return this.#streamTime;
  }

  takeOutputs(): Output[] {
    const outputs = this.outputs;
    if (outputs.length > 0) this.outputs = [];
    return outputs;
  }

  /** One micro-batch. Throws ProcessingError; then nothing since the last commit may be kept. */
  *run(items: readonly Item[]): Steps {
    for (let order = 0; order < items.length; order++) {
      const item = items[order]!;
      if (item.time > this.#streamTime) this.#streamTime = item.time;
      item.streamTime = this.#streamTime;
      item.order = order;
      const targets = item.source!.targets;
      for (let i = 0; i < targets.length; i++) {
        const target = targets[i]!;
        this.#queues[target.stage]!.push(item, this.#nodes[target.index]!);
      }
    }
    yield* this.#runStages();
  }

  /** Fires up to `limit` due timers. `poisoned` ones are given to the caller instead. Returns how many were due. */
  *runTimers(limit: number, poisoned?: (due: DueTimer) => boolean): Steps<number> {
    if (!this.#timers.isDue(this.#streamTime, this.#host.now())) return 0;
    const due = yield* this.#timers.due(this.#streamTime, this.#host.now(), limit);
    yield* this.#fire(due, poisoned);
    return due.length;
  }

  /** A bounded input has ended: fires everything that waits for that. Returns how many. */
  *runAtEnd(poisoned?: (due: DueTimer) => boolean): Steps<number> {
    const due = yield* this.#timers.atEnd();
    yield* this.#fire(due, poisoned);
    return due.length;
  }

  /** Before a commit. */
  *flush(): Steps {
    for (let stage = 0; stage < this.#queues.length; stage++) {
      yield* this.#runStage(this.#queues[stage]!);
      for (const compiled of this.#topology.stages[stage]!) {
        const { processor } = this.#nodes[compiled.index]!;
        if (processor.flush === undefined) continue;
        this.#current = null;
        this.#defaultTime = this.#timeOfDay();
        try {
          processor.flush();
        } catch (error) {
          throw new ProcessingError(compiled.spec.name, null, error);
        }
      }
    }
  }

  *#fire(due: readonly DueTimer[], poisoned?: (due: DueTimer) => boolean): Steps {
    if (due.length === 0) return;
    const queue = new Queue();
    for (const one of due) {
      if (poisoned?.(one) === true) {
        this.#timers.fire(one);
        continue;
      }
      const compiled = this.#topology.processors.find((p) => p.spec.name === one.processor);
      if (compiled === undefined) {
        // its processor was taken out of the code or renamed
        this.#timers.fire(one);
        this.#host.count('orphaned_timers', 1);
        continue;
      }
      const time = one.timer.clock === 'event' ? one.timer.due : this.#timeOfDay();
      const item = new Item<Timer>(one.timer.key, one.timer, time, null, null, one);
      item.streamTime = this.#streamTime;
      item.order = queue.items.length;
      queue.push(item, this.#nodes[compiled.index]!);
    }
    yield* this.#runStage(queue, true);
    yield* this.#runStages();
  }

  *#runStages(): Steps {
    for (const queue of this.#queues) yield* this.#runStage(queue);
  }

  *#runStage(queue: Queue, timers = false): Steps {
    if (queue.items.length === 0) return;
    if (queue.mixed) sortByOrder(queue);
    const { items, nodes } = queue;

    const again = new Uint8Array(items.length);
    for (let round = 1, asked = this.#nameKeys(queue, again, timers, false); asked; round++) {
      if (round > MAX_ROUNDS) this.#tooManyRounds(queue, again);
      const loaded = this.#state.load();
      if (loaded !== undefined) yield loaded;
      asked = this.#nameKeys(queue, again, timers, true);
    }

    for (let next = this.#process(queue, 0, again, timers); next < items.length;) {
      // what this record needs is not in memory after all: an earlier one of the batch changed what it depends on
      for (let round = 1; this.#state.missing.length > 0; round++) {
        if (round > MAX_ROUNDS) this.#tooManyRounds(queue, again);
        const loaded = this.#state.load();
        if (loaded !== undefined) yield loaded;
        this.#ask(nodes[next]!, items[next]!, timers);
      }
      next = this.#process(queue, next, again, timers);
    }
    this.#current = null;
    this.#state.streamTime = this.#streamTime;
    queue.items = [];
    queue.nodes = [];
    queue.mixed = false;
  }

  /** Asks what each record will read. `again`: 1 = something was missing, ask once more; 2 = it depends on state. */
  #nameKeys(queue: Queue, again: Uint8Array, timers: boolean, onlyMissing: boolean): boolean {
    const { items, nodes } = queue;
    const state = this.#state;
    let missed = false;
    for (let i = 0; i < items.length; i++) {
      if (onlyMissing && (again[i]! & 1) === 0) continue;
      state.peeked = false;
      const found = this.#ask(nodes[i]!, items[i]!, timers);
      again[i] = (found ? 0 : 1) | (again[i]! & 2) | (state.peeked ? 2 : 0);
      if (!found) missed = true;
    }
    return missed;
  }

  #missed = false;

  /** False where something is not in memory. */
  #ask({ compiled, processor, want }: Node, item: Item, timers: boolean): boolean {
    this.#missed = false;
    this.#state.streamTime = item.streamTime;
    try {
      if (timers) processor.timerKeys?.(item.value as Timer, want);
      else processor.keys?.(item, want);
    } catch (error) {
      throw new ProcessingError(compiled.spec.name, item, error);
    }
    return !this.#missed;
  }

  /** Processes from `from` on. Stops, and returns where, when a record needs a fetch. */
  #process(queue: Queue, from: number, again: Uint8Array, timers: boolean): number {
    const { items, nodes } = queue;
    const state = this.#state;
    for (let i = from; i < items.length; i++) {
      const item = items[i]!;
      const node = nodes[i]!;
      if (again[i] === 2 && !this.#ask(node, item, timers)) return i;
      this.#current = item;
      this.#defaultTime = item.time;
      state.streamTime = item.streamTime;
      if (timers && !this.#timers.fire(item.timer!)) continue;
      try {
        if (timers) node.processor.timer?.(item.value as Timer);
        else node.processor.process(item);
      } catch (error) {
        throw new ProcessingError(node.compiled.spec.name, item, error);
      }
    }
    return items.length;
  }

  #tooManyRounds(queue: Queue, again: Uint8Array): never {
    const i = Math.max(
      again.findIndex((flags) => (flags & 1) === 1),
      0,
    );
    const name = queue.nodes[i]!.compiled.spec.name;
    const error = new TopologyError(
      'KEYS_ENDLESS',
      `processor "${name}" still names new keys after ${MAX_ROUNDS} fetches`,
    );
    throw new ProcessingError(name, queue.items[i]!, error);
  }

  /** For what no record caused. */
  #timeOfDay(): number {
    return Number.isFinite(this.#streamTime) ? this.#streamTime : this.#host.now();
  }

  #want(compiled: CompiledProcessor): Want {
    const stores = new Map((compiled.spec.stores ?? []).map((name) => [name, this.#state.byName.get(name)!]));
    return (name, key) => {
      const store = stores.get(name);
      if (store === undefined) {
        throw new TopologyError('STATE_NOT_DECLARED', `"${compiled.spec.name}" does not declare store "${name}"`);
      }
      if (!store.want(key)) this.#missed = true;
    };
  }

  #context(compiled: CompiledProcessor): ProcessorContext {
    const { spec, targets } = compiled;
    const named = <T>(kind: string, declared: string[] | undefined, all: ReadonlyMap<string, T>, name: string): T => {
      const found = declared?.includes(name) === true ? all.get(name) : undefined;
      if (found === undefined) {
        throw new TopologyError('STATE_NOT_DECLARED', `"${spec.name}" does not declare ${kind} "${name}"`);
      }
      return found;
    };
    return {
      store: (name) => named('store', spec.stores, this.#state.byName, name),
      table: (name) => named('table', spec.tables, this.#host.tables, name),
      timers: this.#timers.of(spec.name),
      streamTime: () => this.#state.streamTime,
      now: () => this.#host.now(),
      count: (name, by = 1, labels) => this.#host.count(name, by, labels),
      level: (name, value) => this.#host.level(name, value),
      forward: (to, key, value, time = this.#defaultTime) => {
        const target = targets.get(to);
        if (target === undefined) {
          throw new TopologyError(
            'NO_SUCH_TARGET',
            `"${spec.name}" forwards to "${to}", which does not name it in from`,
          );
        }
        const current = this.#current;
        if (isSink(target)) {
          const outKey = target.spec.key === undefined ? key : target.spec.key(value);
          this.outputs.push({ sink: target, key: outKey, value, time, cause: current });
          return;
        }
        const item = new Item(key, value, time, current?.source ?? null, current?.place, current?.timer ?? null);
        item.streamTime = this.#state.streamTime;
        item.order = current?.order ?? 0;
        const queue = this.#queues[target.stage]!;
        if (target.mixed) queue.mixed = true;
        queue.push(item, this.#nodes[target.index]!);
      },
    };
  }
}

/** Back into the order of what each delivery came from. The sort is stable: sources before what was forwarded. */
function sortByOrder(queue: Queue): void {
  const order = queue.items.map((_, i) => i).sort((a, b) => queue.items[a]!.order - queue.items[b]!.order);
  const { items, nodes } = queue;
  queue.items = order.map((i) => items[i]!);
  queue.nodes = order.map((i) => nodes[i]!);
}
