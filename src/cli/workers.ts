/** The workers that answer the requests of topologies. */
import { PROFILE_ANSWERS, PROFILE_REQUESTS, PROFILE_WORKER } from '../profile/worker/settings.ts';
import { GENERATIONS, REGENERATION_REQUESTS } from '../serengpt/records.ts';
import { SERENGPT_WORKER } from '../serengpt/worker/settings.ts';
import type { Topology } from '../stream/topology.ts';

export interface WorkerEntry {
  /** of `seral worker` */
  command: string;
  /** part of the names of its group, its transactions and its dead letters */
  name: string;
  requests: { topic: string; schema: string };
  answers: { topic: string; schema: string };
}

export const WORKERS: readonly WorkerEntry[] = [
  { command: 'profile', name: PROFILE_WORKER, requests: PROFILE_REQUESTS, answers: PROFILE_ANSWERS },
  { command: 'serengpt', name: SERENGPT_WORKER, requests: REGENERATION_REQUESTS, answers: GENERATIONS },
];

/** The one of the topologies whose requests it answers. */
export const askerOf = ({ requests }: WorkerEntry, topologies: readonly Topology[]): Topology | undefined =>
  topologies.find(({ sinks }) => sinks.some(({ topic }) => topic === requests.topic));

/** Those that answer one of the topologies. */
export const workersOf = (topologies: readonly Topology[]): WorkerEntry[] =>
  WORKERS.filter((worker) => askerOf(worker, topologies) !== undefined);
