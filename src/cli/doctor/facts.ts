/**
 * What `seral doctor` finds out, as plain data: judge.ts says what of it is wrong. Whatever cannot be found out is a fact
 * too: each question has a deadline, and its failure says why.
 */
import { messageOf, SeralError } from '../../errors.ts';
import type { SubjectCheck } from '../../log/registry/subjects.ts';
import type { BrokerDescription, GroupDescription, TopicDescription } from '../../log/port.ts';
import type { Config } from '../config.ts';
import type { Job } from '../jobs.ts';
import type { PlannedTopic } from '../topic-plan.ts';
import type { TransactionRow } from '../transactions.ts';

/** An answer, or why there is none. */
export type Answer<T> = { value: T } | { code: string; problem: string };

export const known = <T>(answer: Answer<T>): answer is { value: T } => 'value' in answer;

/** Asks, for so long. What comes later is dropped. */
export async function ask<T>(withinMs: number, question: () => T | Promise<T>): Promise<Answer<T>> {
  const late = Promise.withResolvers<Answer<T>>();
  const problem = `no answer within ${withinMs / 1000} s`;
  const timer = setTimeout(() => late.resolve({ code: 'NO_ANSWER', problem }), withinMs);
  try {
    const answer = (async (): Promise<Answer<T>> => ({ value: await question() }))().catch(failed);
    return await Promise.race([answer, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

const failed = (error: unknown): { code: string; problem: string } => {
  const code = error instanceof SeralError ? error.code : (error as { code?: unknown } | null)?.code;
  return { code: typeof code === 'string' ? code : 'FAILED', problem: messageOf(error) };
};

export interface FolderFacts {
  path: string;
  /** where it is not made yet, the folder that it will be made in */
  looked: string;
  writable: boolean;
  fileSystem: string;
  freeBytes: number;
  totalBytes: number;
}

export interface TopicFacts extends PlannedTopic {
  found: TopicDescription | null;
  /** a source, whose records must not be compacted away */
  isSource: boolean;
}

export interface PartitionFacts {
  topic: string;
  partition: number;
  start: number;
  end: number;
  /** null: the group has committed none */
  committed: number | null;
}

export interface GroupFacts {
  job: Job;
  description: GroupDescription;
  partitions: PartitionFacts[];
}

export interface DeadLetterFacts {
  job: Job;
  kept: number;
  lastHour: number;
  lastDay: number;
}

export interface LogFacts {
  brokers: Answer<BrokerDescription[]>;
  clock: Answer<{ aheadMs: number; withinMs: number } | null>;
  topics: Answer<TopicFacts[]>;
  transactions: Answer<TransactionRow[]>;
  groups: Answer<GroupFacts>[];
  deadLetters: Answer<DeadLetterFacts>[];
}

export interface Facts {
  /** the file, or that there is none */
  configFile: string;
  configProblems: readonly string[];
  node: string;
  rocksdb: Answer<true>;
  /** null where there is no valid configuration: nothing below is known then */
  config: Config | null;
  stateDir: Answer<FolderFacts> | null;
  log: Answer<LogFacts> | null;
  /** null for the embedded log, whose registry is a folder of this project */
  registry: Answer<SubjectCheck[]> | null;
}
