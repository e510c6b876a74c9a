/** The workers that answer the requests of topologies. */
import { PROFILE_REQUESTS, PROFILE_WORKER } from '../profile/worker-settings.ts';

export interface WorkerEntry {
  /** of `seral worker` */
  command: string;
  /** part of the names of its group, its transactions and its dead letters */
  name: string;
  requests: { topic: string; schema: string };
}

export const WORKERS: readonly WorkerEntry[] = [
  { command: 'profile', name: PROFILE_WORKER, requests: PROFILE_REQUESTS },
];

export const deadLettersOf = (worker: string): string => `${worker}.dlq`;
