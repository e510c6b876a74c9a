import type { RuntimeOptions } from '../stream/options.ts';
import type { Config } from './config-schema.ts';

/** The runtime's options by its own names (milliseconds and bytes), from the keys of the section. */
const RUNTIME: Partial<Record<keyof Config['runtime'], keyof RuntimeOptions>> = {
  stateDir: 'stateDir',
  cache: 'cacheBytes',
  commitInterval: 'commitIntervalMs',
  commitRecords: 'commitRecords',
  batchRecords: 'maxBatchRecords',
  buffered: 'maxBufferedBytes',
  unsent: 'maxUnsentBytes',
  largestOutput: 'maxOutputBytes',
  offsetReset: 'offsetReset',
  sourceWait: 'sourceWaitMs',
  deadLetterShare: 'deadLetterShare',
  deadLetterWindow: 'deadLetterWindow',
  wedge: 'wedgeMs',
  rebuildBudget: 'rebuildBudget',
  rebuildWindow: 'rebuildWindowMs',
  registryPatience: 'registryPatienceMs',
  transactionTimeout: 'transactionTimeoutMs',
  sessionTimeout: 'sessionTimeoutMs',
  writeBuffer: 'writeBufferBytes',
  revokeDeadline: 'revokeDeadlineMs',
  standby: 'standbys',
  warmWithin: 'warmWithin',
};

export function runtimeOptions(app: string, runtime: Config['runtime']): RuntimeOptions {
  const entries = Object.entries(RUNTIME).map(([key, option]) => [option, runtime[key as keyof Config['runtime']]]);
  return { app, ...Object.fromEntries(entries) } as RuntimeOptions;
}

/** A problem that the runtime names by its option, in the name of our key. */
export function inWordsOfConfig(problem: string): string {
  let words = problem;
  for (const [key, option] of Object.entries(RUNTIME)) {
    words = words.replaceAll(new RegExp(`\\b${option}\\b`, 'g'), key);
  }
  return `runtime.${words}`;
}
