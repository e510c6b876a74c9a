import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { embeddedLog } from '../log/embedded/index.ts';
import type { Log, LogAdmin } from '../log/port.ts';
import { embeddedSerdes } from '../log/registry/embedded.ts';
import { PROFILE_ANSWERS, PROFILE_REQUESTS, PROFILE_WORKER } from '../profile/worker/settings.ts';
import { namesOf } from '../stream/names.ts';
import { compileConfig, type Config } from './config.ts';
import { loadTables, playEvents } from './demo-load.ts';
import { summaryOf } from './demo-summary.ts';
import type { Logger } from './logging.ts';
import { runProfileWorker } from './profile-worker.ts';
import { runTopologies } from './run-topologies.ts';
import { wantedTopics } from './topic-plan.ts';
import { buildTopologies } from './topologies.ts';

/** The shops of the sample are there; its days are theirs. */
const TIME_ZONE = 'America/New_York';

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
    const topologies = buildTopologies(['labels', 'metrics', 'profiles'], config);
    const admin = log.admin();
    await admin.create(wantedTopics(topologies, config));
    await admin.close();
    const titles = await loadTables(log, serdes);

    const ending = new AbortController();
    stop.addEventListener('abort', () => ending.abort(), { once: true });
    if (stop.aborted) return;
    let url = '';
    const topologiesRun = runTopologies({
      config,
      topologies,
      log,
      serdes,
      logger,
      stop: ending.signal,
      onListening: (at) => (url = at),
    });
    const worker = runProfileWorker({
      config: { ...config, http: { ...config.http, port: 0 } },
      log,
      serdes,
      logger,
      stop: ending.signal,
    });
    const running = Promise.all([topologiesRun, worker]);
    try {
      const settled = () => caughtUp(log, config, ending.signal);
      await Promise.race([running, playEvents(log, serdes, settled, ending.signal)]);
      if (stop.aborted) return;
      print(await summaryOf(log, serdes, titles, TIME_ZONE, performance.now() - begun));
      if (!once) {
        print(
          `\nThe job goes on. ${url}/ready says what each task does, ${url}/metrics has its figures. Ctrl-C ends it.\n`,
        );
        await running;
      }
    } finally {
      ending.abort();
      await Promise.allSettled([topologiesRun, worker]);
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
  if (once) config.http.port = 0;
  return config;
}

/** Resolves when every topology and the worker have read all there is, and all that follows from it. */
async function caughtUp(log: Log, config: Config, signal: AbortSignal): Promise<void> {
  const groupOf = (name: string) => namesOf(name, config).group;
  const flows: [string, string[]][] = [
    [groupOf('labels'), ['behavior.events']],
    [groupOf('metrics'), ['serendipity.user-days', 'demo-metrics-deltas']],
    [groupOf('profiles'), ['behavior.events', PROFILE_ANSWERS.topic]],
    [groupOf(PROFILE_WORKER), [PROFILE_REQUESTS.topic]],
  ];
  const admin = log.admin();
  try {
    // twice: what the first look found done may have written what the second sees
    for (let quiet = 0; quiet < 2 && !signal.aborted;) {
      await new Promise((wake) => setTimeout(wake, 50));
      const behind = await Promise.all(flows.map(([group, topics]) => lagOf(admin, group, topics)));
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
