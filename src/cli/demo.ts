import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { embeddedLog } from '../log/embedded/index.ts';
import type { Log, LogAdmin } from '../log/port.ts';
import { embeddedSerdes } from '../log/registry/embedded.ts';
import { compileConfig, type Config } from './config.ts';
import { channelOf } from './demo-channel.ts';
import { loadTables, playEvents } from './demo-load.ts';
import { summaryOf } from './demo-summary.ts';
import { jobsOf, type Job } from './jobs.ts';
import type { Logger } from './logging.ts';
import { runProfileWorker } from './profile-worker.ts';
import { runRetrievalWorker } from './retrieval-worker.ts';
import { runTopologies } from './run-topologies.ts';
import { runSerengptWorker } from './serengpt-worker.ts';
import { runServe } from './serve.ts';
import { wantedTopics } from './topic-plan.ts';
import { buildTopologies } from './topologies.ts';
import { versionOf } from './version.ts';

/** The shops of the sample are there; its days are theirs. */
const TIME_ZONE = 'America/New_York';
/** The channel is open for the year's last weeks: a model is asked at every visit, and that of a year would take minutes. */
const CHANNEL_FROM = Date.UTC(2017, 11, 18);

export interface DemoOptions {
  /** made anew, and left behind so that what the demo wrote can be asked about */
  folder: string;
  /** end after the summary */
  once: boolean;
  stop: AbortSignal;
  logger: Logger;
  print: (text: string) => void;
}

/** The whole flow on this machine: the shipped sample goes into an embedded log, the live topologies run over it. */
export async function demo({ folder, once, stop, logger, print }: DemoOptions): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  const config = demoConfig(folder, once);
  const begun = performance.now();
  const log = await embeddedLog({ path: config.embedded.path });
  const serdes = await embeddedSerdes();
  try {
    const topologies = buildTopologies([], config);
    const admin = log.admin();
    await admin.create(wantedTopics(topologies, config));
    await admin.close();
    const titles = await loadTables(log, serdes);

    const ending = new AbortController();
    stop.addEventListener('abort', () => ending.abort(), { once: true });
    if (stop.aborted) return;
    let url = '';
    let server = '';
    let time = 0;
    const given = { config, log, serdes, logger, stop: ending.signal };
    const beside = { ...given, config: { ...config, http: { ...config.http, port: 0 } } };
    const parts = [
      runTopologies({ ...given, topologies, onListening: (at) => (url = at) }),
      runProfileWorker(beside),
      runSerengptWorker(beside),
      runRetrievalWorker(beside),
      // the year is over: what is valid goes by the log's clock
      runServe({ ...beside, version: versionOf(), now: () => time, onServing: (at) => (server = at) }),
    ];
    const running = Promise.all(parts);
    try {
      const play = {
        settled: () => caughtUp(log, jobsOf(topologies, config.app), ending.signal),
        channelFrom: CHANNEL_FROM,
        onTime: (at: number) => void (time = at),
        stop: ending.signal,
      };
      await Promise.race([running, playEvents(log, serdes, play)]);
      if (stop.aborted) return;
      print(await summaryOf(log, serdes, titles, TIME_ZONE, performance.now() - begun));
      print(await channelOf({ log, serdes, titles, timeZone: TIME_ZONE, server }));
      if (!once) {
        print(
          `\nThe job goes on. ${url}/ready says what each task does, ${url}/metrics has its figures, ` +
            `${server}/v1/users/ID/candidates the candidates of a household. Ctrl-C ends it.\n`,
        );
        await running;
      }
    } finally {
      ending.abort();
      await Promise.allSettled(parts);
    }
    await running;
  } finally {
    await serdes.close();
    await log.close();
  }
}

function demoConfig(folder: string, once: boolean): Config {
  const { config } = compileConfig(null, {});
  config.app = 'demo';
  config.log.kind = 'embedded';
  config.embedded.path = join(folder, 'log');
  config.runtime.stateDir = join(folder, 'state');
  config.topics.partitions = 4;
  config.labels.timeZone = TIME_ZONE;
  // a year goes by in seconds: what is spread over minutes in a shop would not be asked here at all
  config.profiles.requestsPerMinute = 0;
  config.regeneration.since = CHANNEL_FROM;
  // on this machine alone, for as long as the demo runs
  config.serve.auth = 'none';
  config.serve.store = 'memory';
  if (once) config.http.port = config.serve.port = 0;
  return config;
}

/** Resolves when every topology and worker has read all there is, and all that follows from it. */
async function caughtUp(log: Log, jobs: readonly Job[], signal: AbortSignal): Promise<void> {
  const admin = log.admin();
  try {
    // twice: what the first look found done may have written what the second sees
    for (let quiet = 0; quiet < 2 && !signal.aborted;) {
      await new Promise((wake) => setTimeout(wake, 50));
      const behind = await Promise.all(jobs.map(({ group, reads }) => lagOf(admin, group, reads)));
      quiet = behind.every((lag) => lag === 0) ? quiet + 1 : 0;
    }
  } finally {
    await admin.close();
  }
}

async function lagOf(admin: LogAdmin, group: string, topics: readonly string[]): Promise<number> {
  let lag = 0;
  for (const topic of topics) {
    const ends = await admin.offsets(topic);
    const positions = await admin.committed(
      group,
      ends.map(({ partition }) => ({ topic, partition })),
    );
    ends.forEach(({ end, start }, i) => (lag += end - (positions[i] ?? start)));
  }
  return lag;
}
