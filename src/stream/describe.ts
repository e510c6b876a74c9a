/** A topology in words and as a picture. */
import { compile } from './compile.ts';
import { namesOf, type NameOptions } from './names.ts';
import type { Topology } from './topology.ts';

const DAY = 86_400_000;

export function describeText(topology: Topology, options: NameOptions): string {
  const { stages } = compile(topology);
  const names = namesOf(topology.name, options);
  const lines = [`topology ${topology.name}`, `  group ${names.group}`];
  const list = (what: string, items: readonly string[] | undefined) =>
    items === undefined || items.length === 0 ? '' : `  ${what} ${items.join(', ')}`;
  for (const source of topology.sources) {
    lines.push(`  source ${source.name} < ${names.source(source)} (${source.schema})`);
  }
  for (const table of topology.tables) lines.push(`  table ${table.name} < ${table.topic} (${table.schema})`);
  for (const { spec } of stages.flat()) {
    lines.push(
      `  processor ${spec.name} < ${spec.from.join(', ')}${list('stores', spec.stores)}${list('tables', spec.tables)}`,
    );
  }
  for (const store of topology.stores) {
    const ttl = store.ttlMs === undefined ? '' : `, kept ${+(store.ttlMs / DAY).toFixed(2)} days after the last write`;
    lines.push(`  store ${store.name} (changelog ${names.changelog(store.name)}${ttl})`);
  }
  for (const sink of topology.sinks) {
    lines.push(`  sink ${sink.name} < ${sink.from.join(', ')} > ${names.sink(sink)} (${sink.schema})`);
  }
  lines.push(`  dead letters > ${names.deadLetters}`);
  return `${lines.join('\n')}\n`;
}

export function describeMermaid(topology: Topology, options: NameOptions): string {
  compile(topology);
  const names = namesOf(topology.name, options);
  const lines = ['flowchart LR'];
  const ids = new Map<string, string>();
  const id = (kind: string, name: string): string => {
    const key = `${kind} ${name}`;
    if (!ids.has(key)) ids.set(key, `${kind[0]}${ids.size}`);
    return ids.get(key)!;
  };
  const isSource = (name: string) => topology.sources.some((source) => source.name === name);
  const topic = (name: string) => {
    const fresh = !ids.has(`topic ${name}`);
    const node = id('topic', name);
    if (fresh) lines.push(`  ${node}[/"${name}"/]`);
    return node;
  };
  for (const processor of topology.processors) lines.push(`  ${id('processor', processor.name)}("${processor.name}")`);
  for (const store of topology.stores) lines.push(`  ${id('store', store.name)}[("${store.name}")]`);
  for (const processor of topology.processors) {
    const node = id('processor', processor.name);
    for (const from of processor.from) {
      if (!isSource(from)) lines.push(`  ${id('processor', from)} --> ${node}`);
      else {
        const source = topology.sources.find((spec) => spec.name === from)!;
        lines.push(`  ${topic(names.source(source))} --> ${node}`);
      }
    }
    for (const store of processor.stores ?? []) lines.push(`  ${node} <--> ${id('store', store)}`);
    for (const name of processor.tables ?? []) {
      lines.push(`  ${topic(topology.tables.find((table) => table.name === name)!.topic)} -.-> ${node}`);
    }
  }
  for (const sink of topology.sinks) {
    for (const from of sink.from) lines.push(`  ${id('processor', from)} --> ${topic(names.sink(sink))}`);
  }
  return `${lines.join('\n')}\n`;
}
