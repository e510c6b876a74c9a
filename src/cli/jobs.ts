/** What runs for an application: topologies, and the workers that answer their requests. */
import { namesOf, requestNamesOf } from '../stream/names.ts';
import type { Topology } from '../stream/topology.ts';
import { workersOf } from './workers.ts';

export interface Job {
  kind: 'topology' | 'worker';
  name: string;
  /** the command that starts it */
  start: string;
  group: string;
  /** that the group reads */
  reads: string[];
  deadLetters: string;
}

export function jobsOf(topologies: readonly Topology[], app: string): Job[] {
  const asking = topologies.map(({ name, sources }): Job => {
    const { group, source, deadLetters } = namesOf(name, { app });
    return { kind: 'topology', name, start: `seral run ${name}`, group, reads: sources.map(source), deadLetters };
  });
  const answering = workersOf(topologies).map(({ name, command, requests }): Job => {
    const { group, deadLetters } = requestNamesOf(name, { app });
    return { kind: 'worker', name, start: `seral worker ${command}`, group, reads: [requests.topic], deadLetters };
  });
  return [...asking, ...answering];
}
