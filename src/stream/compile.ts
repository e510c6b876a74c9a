/**
 * A topology checked and wired: names become indexes, `from` lists become targets. Done once; every task, the test
 * driver and the local run share the result.
 */
import { TopologyError } from '../errors.ts';
import type { ProcessorSpec, SinkSpec, SourceSpec, StoreSpec, TableSpec, Topology } from './topology.ts';

export interface CompiledSource {
  index: number;
  spec: SourceSpec;
  targets: CompiledProcessor[];
}

export interface CompiledProcessor {
  index: number;
  spec: ProcessorSpec;
  /**
   * The longest way from a source. A micro-batch goes through the topology stage by stage, so that each stage's state is
   * fetched in one read.
   */
  stage: number;
  /** whom `forward` may name */
  targets: Map<string, CompiledProcessor | CompiledSink>;
  /** fed by a source and by a processor: its input is put back into the order of the sources */
  mixed: boolean;
}

export interface CompiledSink {
  index: number;
  spec: SinkSpec;
  /** tells a sink from a processor among the targets of a `forward` */
  sink: true;
}

export interface CompiledTopology {
  name: string;
  sources: CompiledSource[];
  processors: CompiledProcessor[];
  /** processors by stage */
  stages: CompiledProcessor[][];
  sinks: CompiledSink[];
  stores: StoreSpec[];
  tables: TableSpec[];
}

export const isSink = (target: CompiledProcessor | CompiledSink): target is CompiledSink => 'sink' in target;

/** The store that the runtime keeps for itself: timers and stream time. */
export const TIMERS = 'timers';

const NAME = /^[A-Za-z0-9._-]{1,100}$/;

/** Throws TopologyError TOPOLOGY_INVALID that names every problem. */
export function compile(topology: Topology): CompiledTopology {
  const problems = problemsOf(topology);
  if (problems.length > 0) {
    throw new TopologyError(
      'TOPOLOGY_INVALID',
      `topology "${topology.name}" has ${problems.length} problem(s):\n${problems.map((p) => `  - ${p}`).join('\n')}`,
    );
  }
  const sources = topology.sources.map((spec, index): CompiledSource => ({ index, spec, targets: [] }));
  const sinks = topology.sinks.map((spec, index): CompiledSink => ({ index, spec, sink: true }));
  const stageOf = stagesOf(topology)!;
  const processors = topology.processors.map((spec, index): CompiledProcessor => ({
    index,
    spec,
    stage: stageOf.get(spec.name)!,
    targets: new Map(),
    mixed: spec.from.some((name) => stageOf.has(name)) && spec.from.some((name) => !stageOf.has(name)),
  }));
  const byName = new Map(processors.map((processor) => [processor.spec.name, processor]));
  const sourceByName = new Map(sources.map((source) => [source.spec.name, source]));
  for (const processor of processors) {
    for (const from of processor.spec.from) {
      sourceByName.get(from)?.targets.push(processor);
      byName.get(from)?.targets.set(processor.spec.name, processor);
    }
  }
  for (const sink of sinks) {
    for (const from of sink.spec.from) byName.get(from)!.targets.set(sink.spec.name, sink);
  }
  const stages: CompiledProcessor[][] = [];
  for (const processor of processors) (stages[processor.stage] ??= []).push(processor);
  return { name: topology.name, sources, processors, stages, sinks, stores: topology.stores, tables: topology.tables };
}

function problemsOf(topology: Topology): string[] {
  const problems: string[] = [];
  const { sources, processors, sinks, stores, tables } = topology;
  const names = (specs: { name: string }[]) => new Set(specs.map((spec) => spec.name));
  const sourceNames = names(sources);
  const processorNames = names(processors);
  const storeNames = names(stores);
  const tableNames = names(tables);

  if (!NAME.test(topology.name)) problems.push(`the topology's name "${topology.name}" is not of ${NAME.source}`);
  if (sources.length === 0) problems.push('it has no source');
  if (processors.length === 0) problems.push('it has no processor');

  const check = (kind: string, specs: { name: string }[]) => {
    for (const spec of specs) {
      if (!NAME.test(spec.name)) problems.push(`${kind} name "${spec.name}" is not of ${NAME.source}`);
    }
  };
  check('source', sources);
  check('processor', processors);
  check('sink', sinks);
  check('store', stores);
  check('table', tables);
  // Sources, processors and sinks are named by `from` and `forward`: one name, one thing.
  problems.push(
    ...twice([...sources, ...processors, ...sinks].map((spec) => spec.name)).map(
      (n) => `the name "${n}" is used twice`,
    ),
  );
  problems.push(...twice(stores.map((spec) => spec.name)).map((n) => `store "${n}" is there twice`));
  problems.push(...twice(tables.map((spec) => spec.name)).map((n) => `table "${n}" is there twice`));
  problems.push(
    ...twice([...sources, ...tables].map((spec) => spec.topic)).map((topic) => `topic "${topic}" is read twice`),
  );
  if (storeNames.has(TIMERS)) problems.push(`the store name "${TIMERS}" is the runtime's own`);

  for (const store of stores) {
    if (store.ttlMs !== undefined && !(store.ttlMs > 0)) problems.push(`store "${store.name}": ttlMs must be above 0`);
    if (!processors.some((p) => p.stores?.includes(store.name)))
      problems.push(`store "${store.name}" is used by no processor`);
  }
  for (const table of tables) {
    if (!processors.some((p) => p.tables?.includes(table.name)))
      problems.push(`table "${table.name}" is used by no processor`);
  }
  for (const processor of processors) {
    const where = `processor "${processor.name}"`;
    if (processor.from.length === 0) problems.push(`${where} has no input`);
    for (const name of twice(processor.from)) problems.push(`${where} names "${name}" twice in from`);
    for (const from of processor.from) {
      if (!sourceNames.has(from) && !processorNames.has(from)) {
        problems.push(`${where} reads from "${from}", which is no source or processor`);
      }
    }
    for (const store of processor.stores ?? []) {
      if (!storeNames.has(store)) problems.push(`${where} uses store "${store}", which is not there`);
    }
    for (const table of processor.tables ?? []) {
      if (!tableNames.has(table)) problems.push(`${where} uses table "${table}", which is not there`);
    }
  }
  for (const sink of sinks) {
    if (sink.from.length === 0) problems.push(`sink "${sink.name}" has no input`);
    for (const from of sink.from) {
      if (!processorNames.has(from)) problems.push(`sink "${sink.name}" takes from "${from}", which is no processor`);
    }
    const back = sources.find((source) => source.topic === sink.topic);
    if (sink.internal === true && back?.internal !== true) {
      problems.push(`internal sink "${sink.name}" writes "${sink.topic}", which no internal source reads`);
    }
    if (sink.internal !== true && back !== undefined) {
      problems.push(`sink "${sink.name}" writes its own source topic "${sink.topic}": mark both internal`);
    }
    if (back?.internal === true && sink.internal === true && back.schema !== sink.schema) {
      problems.push(`"${sink.topic}" is written as ${sink.schema} and read as ${back.schema}`);
    }
  }
  for (const source of sources) {
    if (!processors.some((p) => p.from.includes(source.name)))
      problems.push(`source "${source.name}" feeds no processor`);
    if (source.internal === true && !sinks.some((sink) => sink.internal === true && sink.topic === source.topic)) {
      problems.push(`internal source "${source.name}" reads "${source.topic}", which no internal sink writes`);
    }
  }

  const stageOf = stagesOf(topology);
  if (stageOf === null) problems.push('its processors form a circle');
  else {
    // In a micro-batch a later stage runs after the earlier one has seen the whole batch: were they to share a store,
    // what they read would depend on where the batch was cut.
    for (const store of stores) {
      const users = processors.filter((p) => p.stores?.includes(store.name));
      if (new Set(users.map((p) => stageOf.get(p.name))).size > 1) {
        problems.push(
          `store "${store.name}" is shared by processors of different stages (${users.map((p) => p.name).join(', ')})`,
        );
      }
    }
  }
  return problems;
}

const twice = (names: string[]): string[] => [...new Set(names.filter((name, i) => names.indexOf(name) !== i))];

/** Longest way from a source for each processor; null where they form a circle. */
function stagesOf(topology: Topology): Map<string, number> | null {
  const stage = new Map(topology.processors.map((processor) => [processor.name, 0]));
  for (let round = 0; round <= topology.processors.length; round++) {
    let changed = false;
    for (const processor of topology.processors) {
      for (const from of processor.from) {
        const before = stage.get(from);
        if (before !== undefined && stage.get(processor.name)! <= before) {
          stage.set(processor.name, before + 1);
          changed = true;
        }
      }
    }
    if (!changed) return stage;
  }
  return null;
}
