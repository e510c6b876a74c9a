/** Asks everything that facts.ts names. It changes nothing anywhere, and what hangs is left behind at its deadline. */
import { existsSync } from 'node:fs';
import { ConfigError } from '../../errors.ts';
import type { Log, LogAdmin } from '../../log/port.ts';
import { namesOf } from '../../stream/names.ts';
import type { Topology } from '../../stream/topology.ts';
import { compileConfig, type Config } from '../config.ts';
import { fileProblems, openLog, registryOptions } from '../environment.ts';
import { jobsOf, type Job } from '../jobs.ts';
import { planTopics, rolesOf, wantedTopics } from '../topic-plan.ts';
import { buildTopologies, topicSchemas } from '../topologies.ts';
import { gatherTransactions, judgeTransactions, oursOf } from '../transactions.ts';
import { ask, known, type Answer, type DeadLetterFacts, type Facts, type GroupFacts, type LogFacts } from './facts.ts';
import { folderFacts } from './folder.ts';

const HOUR = 3_600_000;
/** A log that does not let go is left to the end of the process. */
const CLOSE_WITHIN_MS = 2_000;

export interface GatherOptions {
  configFile: string | null;
  text: string | null;
  env: Record<string, string | undefined>;
  /** of each question */
  withinMs: number;
}

export async function gather({ configFile, text, env, withinMs }: GatherOptions): Promise<Facts> {
  const { config, problems } = configOf(text, env);
  const rocksdb = await ask(withinMs, async (): Promise<true> => {
    await import('rocksdb-native');
    return true;
  });
  const facts: Facts = {
    configFile: configFile ?? 'no file, the defaults and the environment',
    configProblems: problems,
    node: process.versions.node,
    rocksdb,
    config: problems.length === 0 ? config : null,
    stateDir: null,
    log: null,
    registry: null,
  };
  if (facts.config === null) return facts;
  const topologies = buildTopologies([], facts.config);
  const [stateDir, log, registry] = await Promise.all([
    ask(withinMs, () => folderFacts(facts.config!.runtime.stateDir)),
    logFacts(facts.config, topologies, withinMs),
    facts.config.log.kind === 'kafka' ? registryFacts(facts.config, topologies, withinMs) : null,
  ]);
  return { ...facts, stateDir, log, registry };
}

function configOf(text: string | null, env: GatherOptions['env']): { config: Config | null; problems: string[] } {
  try {
    const { config } = compileConfig(text, env);
    return { config, problems: fileProblems(config) };
  } catch (error) {
    if (error instanceof ConfigError) return { config: null, problems: [...error.problems] };
    throw error;
  }
}

async function registryFacts(
  config: Config,
  topologies: readonly Topology[],
  withinMs: number,
): Promise<Facts['registry']> {
  const { checkCompatibility } = await import('../../log/registry/subjects.ts');
  // one try, so that what it says is what was wrong, and not that we lost patience
  const options = { ...registryOptions(config), retries: 0, timeoutMs: withinMs };
  return ask(withinMs, () => checkCompatibility(options, topicSchemas(topologies, config)));
}

async function logFacts(config: Config, topologies: readonly Topology[], withinMs: number): Promise<Answer<LogFacts>> {
  const { kind } = config.log;
  // opening it would make it
  if (kind === 'embedded' && !existsSync(config.embedded.path)) {
    return { code: 'NO_LOG_YET', problem: `there is no embedded log at ${config.embedded.path} yet` };
  }
  const opened = await ask(withinMs, () => openLog(config));
  if (!known(opened)) return opened;
  const log: Log = opened.value;
  try {
    const admin = log.admin();
    // whether it answers at all: if not, each other question would only say the same after its own deadline
    const there = await ask(withinMs, () => admin.topics());
    if (!known(there)) return there;
    return { value: await askLog(admin, config, topologies, withinMs) };
  } finally {
    await ask(CLOSE_WITHIN_MS, () => log.close());
  }
}

async function askLog(
  admin: LogAdmin,
  config: Config,
  topologies: readonly Topology[],
  withinMs: number,
): Promise<LogFacts> {
  const clock = await ask(withinMs, () => admin.clockSkew());
  const ours = oursOf(topologies, config.app);
  const jobs = jobsOf(topologies, config.app);
  const [brokers, topics, transactions, groups, deadLetters] = await Promise.all([
    ask(withinMs, () => admin.brokers()),
    ask(withinMs, () => topicFacts(admin, config, topologies)),
    ask(withinMs, async () => judgeTransactions(await gatherTransactions(admin, ours), ours)),
    Promise.all(jobs.map((job) => ask(withinMs, () => groupFacts(admin, job)))),
    Promise.all(jobs.map((job) => ask(withinMs, () => deadLetterFacts(admin, job)))),
  ]);
  return { brokers, clock, topics, transactions, groups, deadLetters };
}

async function topicFacts(admin: LogAdmin, config: Config, topologies: readonly Topology[]) {
  const wanted = wantedTopics(topologies, config);
  const found = await admin.describe(wanted.map(({ topic }) => topic));
  const sources = new Set(
    topologies.flatMap(({ name, sources }) =>
      sources
        .filter(({ tombstone }) => tombstone === undefined)
        .map((one) => namesOf(name, { app: config.app }).source(one)),
    ),
  );
  return planTopics(wanted, found, rolesOf(topologies, config)).map((planned, i) => ({
    ...planned,
    found: found[i] ?? null,
    isSource: sources.has(planned.spec.topic),
  }));
}

async function groupFacts(admin: LogAdmin, job: Job): Promise<GroupFacts> {
  const description = await admin.group(job.group);
  const partitions: GroupFacts['partitions'] = [];
  for (const found of await admin.describe(job.reads)) {
    if (found === null) continue;
    const { topic } = found;
    const places = Array.from({ length: found.partitions }, (_, partition) => ({ topic, partition }));
    // before the ends: a job that runs goes on meanwhile, and would seem to stand past them
    const committed = await admin.committed(job.group, places);
    for (const { partition, start, end } of await admin.offsets(topic)) {
      partitions.push({ topic, partition, start, end, committed: committed[partition] ?? null });
    }
  }
  return { job, description, partitions };
}

async function deadLetterFacts(admin: LogAdmin, job: Job): Promise<DeadLetterFacts> {
  const topic = job.deadLetters;
  const facts = { job, kept: 0, lastHour: 0, lastDay: 0 };
  if ((await admin.describe([topic]))[0] === null) return facts;
  const now = Date.now();
  const bounds = await admin.offsets(topic);
  const since = async (from: number): Promise<number> => {
    const positions = await admin.offsetsAt(topic, from);
    // letters may have come since the ends were asked for
    return positions.reduce((sum, { position }, i) => sum + Math.max(bounds[i]!.end - position, 0), 0);
  };
  facts.kept = bounds.reduce((sum, { start, end }) => sum + end - start, 0);
  return { ...facts, lastHour: await since(now - HOUR), lastDay: await since(now - 24 * HOUR) };
}
