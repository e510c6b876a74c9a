/** The stages of the channel whose cost is not one of events: what of `npm run bench` is about them. */
import type { RowResult } from './row.ts';

export const STAGES: Record<string, string> = {
  serengpt: 'SerenGPT worker, embedded model, 1 thread',
  retrieval: 'retrieval worker, embedded indexes',
  'serve-get': 'GET candidates of a cached user',
  'serve-fuse': 'POST fuse of a cached user',
};

/** What a row of a stage gives; its time and processor time are of the work alone, not of what it takes to be ready. */
export interface StageResult extends Pick<RowResult, 'seconds' | 'cpuSeconds' | 'count' | 'digest'> {
  /** by unit */
  work: Record<string, number>;
}

/** From now on; of all threads of the process. */
export function meter(): () => Pick<RowResult, 'seconds' | 'cpuSeconds'> {
  const cpu = process.cpuUsage();
  const begun = performance.now();
  return () => {
    const { user, system } = process.cpuUsage(cpu);
    return { seconds: (performance.now() - begun) / 1000, cpuSeconds: (user + system) / 1e6 };
  };
}

/** After the name of the row. */
export const STAGES_HEAD = ['of', 'done', 'a second', 'a CPU second', 'CPU s', 'resident', 'checked'];

/** A line for each unit of its work. */
export function stageLines(title: string, result: StageResult & Pick<RowResult, 'residentBytes'>): string[][] {
  const { seconds, cpuSeconds, residentBytes, count, digest, work } = result;
  return Object.entries(work).map(([unit, done], i) => [
    i === 0 ? title : '',
    unit,
    done.toLocaleString('en-US'),
    rate(done / seconds),
    rate(done / cpuSeconds),
    cpuSeconds.toFixed(1),
    `${(residentBytes / 1e6).toFixed(0)} MB`,
    `${count} ${digest}`,
  ]);
}

const rate = (value: number): string => (value < 100 ? value.toFixed(1) : Math.round(value).toLocaleString('en-US'));
