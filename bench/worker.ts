/**
 * A worker of a topology as a process of its own, told what to do by the process that started it (an IPC channel):
 * it says `ready` when it is loaded, begins at `start`, tells its `usage`, ends at `stop`. Ends with its parent, too.
 *   node bench/worker.ts '{"brokers": ..., "source": ..., "runtime": {...}}'
 */
import { Registry } from 'prom-client';
import { messageOf } from '../src/errors.ts';
import { kafkaLog } from '../src/log/kafka/index.ts';
import { embeddedSerdes } from '../src/log/registry/embedded.ts';
import type { Logger } from '../src/stream/logger.ts';
import { Metrics } from '../src/stream/metrics.ts';
import type { RuntimeOptions } from '../src/stream/options.ts';
import { Worker } from '../src/stream/worker.ts';
import { PROFILES_DEFAULTS, type ProfilesOptions } from '../src/profile/options.ts';
import { profilesTopology } from '../topologies/profiles.ts';
import { labelsFrom } from './job.ts';

export interface WorkerSettings {
  brokers: string;
  /** the topic that is read */
  source: string;
  runtime: RuntimeOptions;
  /** where given, the profiles with these options, and not the labels */
  profiles?: Partial<ProfilesOptions>;
}

/** Since the process began; memory is the peak. */
export interface Usage {
  cpuSeconds: number;
  residentBytes: number;
  changelogBytes: number;
}

export type Answer = { ready: true } | { usage: Usage } | { failed: string } | { running: boolean };

const { brokers, source, runtime, profiles } = JSON.parse(process.argv[2]!) as WorkerSettings;
const answer = (message: Answer) => void process.send?.(message);
const say = (level: string) => (fields: object, message: string) =>
  void process.stderr.write(`${JSON.stringify({ time: new Date(), level, msg: message, ...fields })}\n`);
const logger: Logger = { debug: () => {}, info: say('info'), warn: say('warn'), error: say('error') };

const log = kafkaLog({ brokers: brokers.split(',') });
const serdes = await embeddedSerdes();
const registry = new Registry();
const worker = new Worker({
  topology: profiles === undefined ? labelsFrom(source) : profilesTopology({ ...PROFILES_DEFAULTS, ...profiles }),
  log,
  serdes,
  options: runtime,
  metrics: new Metrics(registry),
  logger,
  now: Date.now,
  random: Math.random,
  // a log of long ago, or of the days to come, is as good as another
  checkNow: () => Infinity,
  onFatal: fail,
});

function fail(error: unknown): void {
  answer({ failed: messageOf(error) });
  process.exitCode = 1;
  setTimeout(() => process.exit(), 200);
}

async function usage(): Promise<Usage> {
  const { user, system } = process.cpuUsage();
  const changelog = await registry.getSingleMetric('seral_changelog_bytes_total')!.get();
  return {
    cpuSeconds: (user + system) / 1e6,
    residentBytes: process.resourceUsage().maxRSS * 1024,
    changelogBytes: changelog.values.reduce((sum, { value }) => sum + value, 0),
  };
}

async function stop(): Promise<void> {
  await worker.stop();
  await serdes.close();
  await log.close();
  process.exit(0);
}

const told: Record<string, () => unknown> = {
  start: () => worker.start().catch(fail),
  running: () => answer({ running: worker.ready() }),
  usage: async () => answer({ usage: await usage() }),
  stop: () => stop().catch(fail),
};
process.on('message', (what: string) => void told[what]!());
process.on('disconnect', () => process.exit(1));
// Ctrl-C reaches the whole group: what it means is for the parent to say
process.on('SIGINT', () => {});
answer({ ready: true });
