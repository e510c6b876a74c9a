/** The workers that answer the requests of topologies. */
import { RETRIEVAL_ANSWERS, RETRIEVAL_REQUESTS, RETRIEVAL_WORKER } from '../nearline/worker/settings.ts';
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
  { command: 'retrieval', name: RETRIEVAL_WORKER, requests: RETRIEVAL_REQUESTS, answers: RETRIEVAL_ANSWERS },
];

/** The one of the topologies whose requests it answers, itself or after another worker. */
export function askerOf({ requests }: WorkerEntry, topologies: readonly Topology[]): Topology | undefined {
  const before = WORKERS.find(({ answers }) => answers.topic === requests.topic);
  if (before !== undefined) return askerOf(before, topologies);
  return topologies.find(({ sinks }) => sinks.some(({ topic }) => topic === requests.topic));
}

/** Those that answer one of the topologies. */
export const workersOf = (topologies: readonly Topology[]): WorkerEntry[] =>
  WORKERS.filter((worker) => askerOf(worker, topologies) !== undefined);
