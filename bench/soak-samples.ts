/** What a soak looks at while it goes on, and what it says of it at the end. */
import { readFileSync, readlinkSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RunningKafka } from '../test/support/kafka-harness.ts';
import { folderBytes, type Job } from './job.ts';
import { slope } from './stats.ts';

/** Null: it did not answer at that moment. */
export interface Sample {
  seconds: number;
  /** events a second since the last sample */
  sent: number;
  processed: number | null;
  lag: number | null;
  resident: (number | null)[];
  state: number;
  /** on all brokers together */
  source: number;
  changelog: number;
  labels: number;
  happened: string;
}

/** A process's resident memory; null where it has just been killed. */
function residentBytes(pid: number): number | null {
  try {
    const found = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
    return found === null ? null : Number(found[1]) * 1024;
  } catch {
    return null;
  }
}

export class Sampler {
  readonly #job: Job;
  readonly #source: string;
  readonly #sent: () => number;
  readonly #begun = performance.now();
  /** of each broker's log, known while it runs */
  readonly #folders: string[];
  #before = { seconds: 0, sent: 0, processed: 0 };

  constructor(kafka: RunningKafka, job: Job, source: string, sent: () => number) {
    this.#job = job;
    this.#source = source;
    this.#sent = sent;
    this.#folders = kafka.pids.map((pid) => join(readlinkSync(`/proc/${pid}/cwd`), 'data'));
  }

  async take(happened: string): Promise<Sample> {
    const seconds = (performance.now() - this.#begun) / 1000;
    const before = this.#before;
    const sent = this.#sent();
    // a broker that is down may have to be asked
    const lag = await Promise.race([this.#job.lag().catch(() => null), sleep(3000, null)]);
    const processed = lag === null ? null : Math.max(0, sent - lag);
    const took = seconds - before.seconds;
    this.#before = { seconds, sent, processed: processed ?? before.processed };
    return {
      seconds,
      sent: (sent - before.sent) / took,
      processed: processed === null ? null : Math.max(0, processed - before.processed) / took,
      lag,
      resident: this.#job.workers.map(({ pid }) => residentBytes(pid)),
      state: await this.#job.stateBytes(),
      ...(await this.#logBytes()),
      happened,
    };
  }

  async #logBytes(): Promise<Pick<Sample, 'source' | 'changelog' | 'labels'>> {
    const found = { source: 0, changelog: 0, labels: 0 };
    for (const folder of this.#folders) {
      for (const name of await readdir(folder).catch(() => [])) {
        const topic = name.replace(/-\d+$/, '');
        const path = join(folder, name);
        if (!(await stat(path).catch(() => null))?.isDirectory()) continue;
        // a broker makes index files at their full length, with nothing in them
        if (topic === this.#source) found.source += await folderBytes(path, 'disk');
        else if (topic === this.#job.labelsTopic) found.labels += await folderBytes(path, 'disk');
        else if (topic.includes('-changelog')) found.changelog += await folderBytes(path, 'disk');
      }
    }
    return found;
  }
}

const mb = (bytes: number | null | undefined): string => (bytes == null ? '-' : (bytes / 1e6).toFixed(0));
const count = (value: number | null): string => (value === null ? '-' : Math.round(value).toLocaleString('en-US'));
const WIDTH = 11;

export const header = (workers: number): string =>
  [
    'minute',
    'sent/s',
    'done/s',
    'lag',
    ...Array.from({ length: workers }, (_, i) => `worker ${i + 1}`),
    'state',
    'changelog',
    'source',
    'labels (MB)',
  ]
    .map((name) => name.padStart(WIDTH))
    .join(' ');

export function lineOf({ seconds, sent, processed, lag, resident, happened, ...disk }: Sample): string {
  const cells = [
    (seconds / 60).toFixed(1),
    count(sent),
    count(processed),
    count(lag),
    ...resident.map(mb),
    mb(disk.state),
    mb(disk.changelog),
    mb(disk.source),
    mb(disk.labels),
  ];
  return `${cells.map((cell) => cell.padStart(WIDTH)).join(' ')}  ${happened}`.trimEnd();
}

const FEWEST = 12;
/** of the mean, over the time looked at: what compaction and garbage collection move without growth */
const FLAT = 0.1;

/** Of the second half, when windows have filled: whether memory and disk stay where they are. */
export function verdicts(samples: readonly Sample[]): string[][] {
  const half = samples.slice(Math.ceil(samples.length / 2));
  const memory = (sample: Sample) => sample.resident.reduce<number | null>((sum, one) => add(sum, one), 0);
  const looked: [string, (sample: Sample) => number | null, string?][] = [
    ['memory of all workers', memory],
    ['state on disk', ({ state }) => state],
    ['changelogs', ({ changelog }) => changelog],
    ['source, kept for its retention', ({ source }) => source],
    ['labels, all kept', ({ labels }) => labels, 'grows with what is published'],
  ];
  return looked.map(([name, of, known]) => {
    const points = half.flatMap((sample) => {
      const value = of(sample);
      return value === null ? [] : [[sample.seconds, value] as const];
    });
    if (points.length === 0) return [name, '-', '-', 'nothing was seen'];
    const mean = points.reduce((sum, [, y]) => sum + y, 0) / points.length;
    const rise = points.length < 2 ? 0 : slope(points);
    const over = points.at(-1)![0] - points[0]![0];
    const flat = Math.abs(rise * over) <= FLAT * mean ? 'flat' : rise > 0 ? 'GROWS' : 'shrinks';
    const verdict = known ?? (points.length < FEWEST ? `too short to tell (${flat})` : flat);
    return [name, `${mb(mean)} MB`, `${rise > 0 ? '+' : ''}${((rise * 3600) / 1e6).toFixed(0)} MB`, verdict];
  });
}

const add = (sum: number | null, one: number | null): number | null =>
  sum === null || one === null ? null : sum + one;
