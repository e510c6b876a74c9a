/**
 * Every key of the configuration with its kind and its default; seral.yaml shows the same keys, annotated. A leaf
 * takes its value as YAML or as the text of an environment variable, so that both roads meet one check.
 */
import { z } from 'zod';
import { CANDIDATES_DEFAULTS } from '../../topologies/candidates.ts';
import { LABELS_DEFAULTS } from '../../topologies/labels.ts';
import { PROFILES_DEFAULTS } from '../profile/options.ts';
import { PROFILE_WORKER_DEFAULTS } from '../profile/worker/settings.ts';
import { REGENERATION_DEFAULTS } from '../serengpt/options.ts';
import { SERENGPT_WORKER_DEFAULTS } from '../serengpt/worker/settings.ts';
import { OPENSEARCH_DEFAULTS } from '../nearline/retrieval/opensearch/settings.ts';
import { RETRIEVAL_DEFAULTS } from '../nearline/worker/settings.ts';
import { SERVE_DEFAULTS } from '../nearline/serve/settings.ts';
import { parseArms, type Arms } from './arms.ts';
import { DEFAULTS } from '../stream/options.ts';
import { parseDuration, parseSize } from './units.ts';

/** A key that holds a value. `parse` gives undefined for what it cannot take. */
function leaf<T>(what: string, parse: (value: unknown) => T | undefined, fallback: NoInfer<T> | string | number) {
  return z
    .unknown()
    .transform((value, context): T => {
      const parsed = value === fallback && typeof value !== 'string' ? (value as T) : parse(value);
      if (parsed !== undefined) return parsed;
      context.addIssue({ code: 'custom', message: `expected ${what}, got ${JSON.stringify(value)}` });
      return z.NEVER;
    })
    .prefault(fallback as never);
}

const text = (fallback: string) => leaf('a text', (v) => (typeof v === 'string' && v !== '' ? v : undefined), fallback);

const optionalText = (what = 'a text') =>
  leaf<string | null>(what, (v) => (v === null ? null : typeof v === 'string' && v !== '' ? v : undefined), null);

const name = (fallback: string) =>
  leaf(
    'a name of letters, digits, ".", "_" and "-"',
    (v) => (typeof v === 'string' && /^[\w.-]{1,100}$/.test(v) ? v : undefined),
    fallback,
  );

function integer(value: unknown, min: number, max: number): number | undefined {
  const number = typeof value === 'string' && /^-?\d+$/.test(value) ? Number(value) : value;
  return Number.isSafeInteger(number) && (number as number) >= min && (number as number) <= max
    ? (number as number)
    : undefined;
}
const int = (min: number, max: number, fallback: number) =>
  leaf(`a whole number from ${min} to ${max}`, (v) => integer(v, min, max), fallback);

/** A time of day without a zone would mean another moment on each machine. */
const optionalMoment = () =>
  leaf<number | null>(
    'a moment such as 2026-11-01 (0:00 UTC) or 2026-11-01T12:00:00Z',
    (v) => {
      if (v === null) return null;
      const known = typeof v === 'string' && /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/.test(v);
      const time = known ? Date.parse(v) : NaN;
      return Number.isNaN(time) ? undefined : time;
    },
    null,
  );

const optionalInt = (min: number, max: number, fallback: number | null = null) =>
  leaf<number | null>(
    `a whole number from ${min} to ${max}, or nothing`,
    (v) => (v === null ? null : integer(v, min, max)),
    fallback as never,
  );

const fraction = (fallback: number) =>
  leaf(
    'a number from 0 to 1',
    (v) => {
      const number = typeof v === 'string' && v.trim() !== '' ? Number(v) : v;
      return typeof number === 'number' && number >= 0 && number <= 1 ? number : undefined;
    },
    fallback,
  );

const amount = (most: number, fallback: number) =>
  leaf(
    `a number from 0 to ${most}`,
    (v) => {
      const number = typeof v === 'string' && v.trim() !== '' ? Number(v) : v;
      return typeof number === 'number' && number >= 0 && number <= most ? number : undefined;
    },
    fallback,
  );

const texts = (fallback: readonly string[]) =>
  leaf<string[]>(
    'a list of texts',
    (v) => {
      const items = typeof v === 'string' ? v.split(',').map((item) => item.trim()) : v;
      return Array.isArray(items) && items.every((item) => typeof item === 'string') ? items : undefined;
    },
    fallback as never,
  );

/** Shares by name: a mapping, or `a=1,b=2` in a variable; null for none. */
const shares = () =>
  leaf<Record<string, number> | null>(
    'a share above 0 for each of two names or more, such as {control: 0.5, seral: 0.5}',
    (v) => {
      if (v === null) return null;
      const pairs =
        typeof v === 'string'
          ? v
              .split(',')
              .map((pair) => [
                pair.slice(0, pair.lastIndexOf('=')).trim(),
                Number(pair.slice(pair.lastIndexOf('=') + 1)),
              ])
          : typeof v === 'object' && !Array.isArray(v)
            ? Object.entries(v)
            : [];
      const right = pairs.every(([key, share]) => key !== '' && typeof share === 'number' && share > 0 && share < 1e9);
      return pairs.length > 1 && right ? Object.fromEntries(pairs) : undefined;
    },
    null,
  );

const flag = (fallback: boolean) =>
  leaf<boolean>(
    'true or false',
    (v) => (v === true || v === 'true' ? true : v === false || v === 'false' ? false : undefined),
    fallback as never,
  );

const choice = <const T extends string>(values: readonly T[], fallback: NoInfer<T>) =>
  leaf<T>(`one of ${values.join(', ')}`, (v) => values.find((known) => known === v), fallback);

/** A default may be a number, in milliseconds or bytes: it comes from the code that uses it. */
const duration = (fallback: string | number) =>
  leaf<number>('a duration such as 100ms, 10m, 24h or 30d', parseDuration, fallback);

const size = (fallback: string | number) => leaf<number>('a size such as 512KB, 128MB or 1GB', parseSize, fallback);

/** Kafka's -1 is written `forever`. */
const retention = (fallback: string) =>
  leaf<number>('a duration such as 24h or 30d, or forever', (v) => (v === 'forever' ? -1 : parseDuration(v)), fallback);

const list = (fallback: string) =>
  leaf<string[]>(
    'a list of host:port',
    (v) => {
      const items = typeof v === 'string' ? v.split(',').map((item) => item.trim()) : v;
      if (!Array.isArray(items) || items.length === 0) return undefined;
      return items.every((item) => typeof item === 'string' && /^[^\s,]+:\d{1,5}$/.test(item)) ? items : undefined;
    },
    fallback,
  );

const URL_KIND = 'an http or https URL without user or password in it';
function parseUrl(value: unknown): string | undefined {
  if (typeof value !== 'string' || !URL.canParse(value)) return undefined;
  const { protocol, username, password } = new URL(value);
  return /^https?:$/.test(protocol) && username === '' && password === '' ? value.replace(/\/+$/, '') : undefined;
}
const url = (fallback: string) => leaf(URL_KIND, parseUrl, fallback);
const optionalUrl = () => leaf<string | null>(URL_KIND, (v) => (v === null ? null : parseUrl(v)), null);

const timeZone = (fallback: string) =>
  leaf(
    "a time zone's IANA name such as UTC or Asia/Shanghai",
    (v) => {
      try {
        new Intl.DateTimeFormat('en', { timeZone: v as string });
        return typeof v === 'string' && v !== '' ? v : undefined;
      } catch {
        return undefined;
      }
    },
    fallback,
  );

/** Secrets never stand in the file: a variable holds the text, or `<key>File` names a file that does. */
const secret = () => optionalText('a text');

const section = <S extends z.core.$ZodLooseShape>(shape: S) => z.strictObject(shape).prefault({} as never);

export const SECRETS = [
  'kafka.sasl.password',
  'registry.password',
  'profileWorker.apiKey',
  'serengptWorker.apiKey',
  'retrievalWorker.openSearch.password',
  'serve.tokens',
] as const;

export const configSchema = z.strictObject({
  app: name('seral'),
  log: section({
    kind: choice(['kafka', 'embedded'], 'kafka'),
  }),
  kafka: section({
    brokers: list('localhost:9092'),
    clientId: name('seral'),
    connectionTimeout: duration('10s'),
    requestTimeout: duration('30s'),
    ssl: section({
      enabled: flag(false),
      caFile: optionalText('the path of a PEM file'),
      certFile: optionalText('the path of a PEM file'),
      keyFile: optionalText('the path of a PEM file'),
    }),
    sasl: section({
      mechanism: choice(['none', 'plain', 'scram-sha-256', 'scram-sha-512'], 'none'),
      username: optionalText(),
      password: secret(),
      passwordFile: optionalText('the path of a file'),
    }),
  }),
  embedded: section({
    path: text('.seral/log'),
  }),
  registry: section({
    url: url('http://localhost:8081'),
    username: optionalText(),
    password: secret(),
    passwordFile: optionalText('the path of a file'),
  }),
  topics: section({
    partitions: int(1, 10_000, 12),
    replication: optionalInt(1, 100),
    retention: section({
      sources: retention('30d'),
      outputs: retention('30d'),
      deadLetters: retention('90d'),
      internal: retention('7d'),
    }),
  }),
  labels: section({
    visitDays: int(1, 366, LABELS_DEFAULTS.visitDays),
    today: choice(['included', 'excluded'], LABELS_DEFAULTS.today),
    timeZone: timeZone(LABELS_DEFAULTS.timeZone),
    attributionWindow: duration(LABELS_DEFAULTS.attributionWindow),
    grace: duration(LABELS_DEFAULTS.grace),
    userTtl: duration(LABELS_DEFAULTS.userTtl),
    futureTolerance: duration(LABELS_DEFAULTS.futureTolerance),
  }),
  profiles: section({
    window: duration(PROFILES_DEFAULTS.window),
    searches: int(1, 10_000, PROFILES_DEFAULTS.searches),
    products: int(1, 10_000, PROFILES_DEFAULTS.products),
    refreshAfter: duration(PROFILES_DEFAULTS.refreshAfter),
    fewestBehaviours: int(1, 1000, PROFILES_DEFAULTS.fewestBehaviours),
    spread: duration(PROFILES_DEFAULTS.spread),
    buckets: int(1, 100_000, PROFILES_DEFAULTS.buckets),
    requestsPerMinute: int(0, 1e9, PROFILES_DEFAULTS.requestsPerMinute!),
    activeDays: int(1, 28, PROFILES_DEFAULTS.activeDays),
    deadline: duration(PROFILES_DEFAULTS.deadline),
    attempts: int(1, 100, PROFILES_DEFAULTS.attempts),
    retryPause: duration(PROFILES_DEFAULTS.retryPause),
    retryAfter: duration(PROFILES_DEFAULTS.retryAfter),
    promptVersion: name(PROFILES_DEFAULTS.promptVersion),
    longTermPromptVersion: name(PROFILES_DEFAULTS.longTermPromptVersion),
    numberOfTags: int(1, 100, PROFILES_DEFAULTS.numberOfTags),
    tagLength: int(1, 200, PROFILES_DEFAULTS.tagLength),
    staticProfile: texts(PROFILES_DEFAULTS.staticProfile),
    embedder: choice(['ngram', 'none'], PROFILES_DEFAULTS.embedder),
    approval: section({
      profileTags: int(1, 1000, PROFILES_DEFAULTS.approval.profileTags),
      relevant: fraction(PROFILES_DEFAULTS.approval.relevant),
      similar: fraction(PROFILES_DEFAULTS.approval.similar),
      same: fraction(PROFILES_DEFAULTS.approval.same),
      purchaseWeight: fraction(PROFILES_DEFAULTS.approval.purchaseWeight),
      searchWeight: fraction(PROFILES_DEFAULTS.approval.searchWeight),
      clickWeight: fraction(PROFILES_DEFAULTS.approval.clickWeight),
      titleWeight: fraction(PROFILES_DEFAULTS.approval.titleWeight),
      titleWords: int(1, 1000, PROFILES_DEFAULTS.approval.titleWords),
      sellers: int(1, 100, PROFILES_DEFAULTS.approval.sellers),
      believedEmbedder: optionalText(),
      credible: fraction(PROFILES_DEFAULTS.approval.credible),
      trusted: fraction(PROFILES_DEFAULTS.approval.trusted),
      weak: fraction(PROFILES_DEFAULTS.approval.weak),
      tooGeneral: fraction(PROFILES_DEFAULTS.approval.tooGeneral),
      priorShare: amount(1e6, PROFILES_DEFAULTS.approval.priorShare),
      posteriorShare: amount(1e6, PROFILES_DEFAULTS.approval.posteriorShare),
      supportShare: amount(1e6, PROFILES_DEFAULTS.approval.supportShare),
      recencyShare: amount(1e6, PROFILES_DEFAULTS.approval.recencyShare),
      fullSupport: int(1, 10_000, PROFILES_DEFAULTS.approval.fullSupport),
      recencyHalfLife: duration(PROFILES_DEFAULTS.approval.recencyHalfLife),
      strengthHalfLife: duration(PROFILES_DEFAULTS.approval.strengthHalfLife),
      gain: fraction(PROFILES_DEFAULTS.approval.gain),
      afterRefusal: fraction(PROFILES_DEFAULTS.approval.afterRefusal),
      poolTags: int(1, 10_000, PROFILES_DEFAULTS.approval.poolTags),
      forgotten: fraction(PROFILES_DEFAULTS.approval.forgotten),
    }),
    longTerm: section({
      refreshes: int(1, 12, PROFILES_DEFAULTS.longTerm.refreshes),
      fewestRefreshes: int(1, 12, PROFILES_DEFAULTS.longTerm.fewestRefreshes),
      every: duration(PROFILES_DEFAULTS.longTerm.every),
      frequency: fraction(PROFILES_DEFAULTS.longTerm.frequency),
      regularity: fraction(PROFILES_DEFAULTS.longTerm.regularity),
      effectiveness: fraction(PROFILES_DEFAULTS.longTerm.effectiveness),
    }),
  }),
  profileWorker: section({
    engine: choice(['extractive', 'openai'], 'extractive'),
    url: optionalUrl(),
    model: optionalText(),
    apiKey: secret(),
    apiKeyFile: optionalText('the path of a file'),
    concurrency: int(1, 10_000, PROFILE_WORKER_DEFAULTS.concurrency),
    structuredOutput: choice(['auto', 'json_schema', 'json_object', 'none'], 'auto'),
    temperature: amount(2, PROFILE_WORKER_DEFAULTS.temperature),
    maxTokens: int(1, 1_000_000, PROFILE_WORKER_DEFAULTS.maxTokens),
    largestAnswer: size('256KB'),
    requestTimeout: duration('2m'),
    attemptTimeout: duration('60s'),
    attempts: int(1, 100, 3),
    retryBudget: fraction(0.2),
    promptFolder: optionalText('the path of a folder'),
    priceIn: amount(1e6, PROFILE_WORKER_DEFAULTS.priceIn),
    priceOut: amount(1e6, PROFILE_WORKER_DEFAULTS.priceOut),
  }),
  regeneration: section({
    maxAge: duration(REGENERATION_DEFAULTS.maxAge),
    minAge: duration(REGENERATION_DEFAULTS.minAge),
    since: optionalMoment(),
    visits: texts(REGENERATION_DEFAULTS.visits),
    fewestBehaviours: int(1, 1000, REGENERATION_DEFAULTS.fewestBehaviours),
    history: int(1, 50, REGENERATION_DEFAULTS.history),
    samples: int(1, 256, REGENERATION_DEFAULTS.samples),
    queries: int(0, 256, REGENERATION_DEFAULTS.queries),
    promptVersion: name(REGENERATION_DEFAULTS.promptVersion),
    requestsPerSecond: amount(1e6, 0),
    spread: duration(REGENERATION_DEFAULTS.spread),
    buckets: int(1, 100_000, REGENERATION_DEFAULTS.buckets),
    activeDays: int(1, 28, REGENERATION_DEFAULTS.activeDays),
    deadline: duration(REGENERATION_DEFAULTS.deadline),
    attempts: int(1, 100, REGENERATION_DEFAULTS.attempts),
    retryPause: duration(REGENERATION_DEFAULTS.retryPause),
    retryAfter: duration(REGENERATION_DEFAULTS.retryAfter),
  }),
  serengptWorker: section({
    engine: choice(['onnx', 'openai'], 'onnx'),
    modelFolder: optionalText('the path of a folder'),
    threads: int(1, 1024, 1),
    url: optionalUrl(),
    model: optionalText(),
    apiKey: secret(),
    apiKeyFile: optionalText('the path of a file'),
    endpoint: choice(['completions', 'chat'], 'completions'),
    logprobs: flag(false),
    concurrency: int(1, 10_000, SERENGPT_WORKER_DEFAULTS.concurrency),
    temperature: amount(2, SERENGPT_WORKER_DEFAULTS.temperature),
    repetitionPenalty: amount(2, SERENGPT_WORKER_DEFAULTS.repetitionPenalty),
    maxTokens: int(1, 10_000, SERENGPT_WORKER_DEFAULTS.maxTokens),
    largestAnswer: size('256KB'),
    requestTimeout: duration('2m'),
    attemptTimeout: duration('60s'),
    attempts: int(1, 100, 3),
    retryBudget: fraction(0.2),
    promptFolder: optionalText('the path of a folder'),
    queryPromptVersion: name(SERENGPT_WORKER_DEFAULTS.queryPromptVersion),
    longestText: int(1, 1000, SERENGPT_WORKER_DEFAULTS.longestText),
    scripts: texts(SERENGPT_WORKER_DEFAULTS.scripts),
    blocked: texts(SERENGPT_WORKER_DEFAULTS.blocked),
    blockedFile: optionalText('the path of a file'),
    priceIn: amount(1e6, SERENGPT_WORKER_DEFAULTS.priceIn),
    priceOut: amount(1e6, SERENGPT_WORKER_DEFAULTS.priceOut),
  }),
  retrievalWorker: section({
    engine: choice(['embedded', 'opensearch'], 'embedded'),
    embedder: choice(['onnx', 'ngram'], 'onnx'),
    embedderFolder: optionalText('the path of a folder'),
    concurrency: int(1, 1000, RETRIEVAL_DEFAULTS.concurrency),
    perText: int(1, 1000, RETRIEVAL_DEFAULTS.perText),
    items: int(1, 1000, RETRIEVAL_DEFAULTS.items),
    perCategory: int(1, 1000, RETRIEVAL_DEFAULTS.perCategory),
    leastScore: fraction(RETRIEVAL_DEFAULTS.leastScore),
    modelFolder: optionalText('the path of a folder'),
    modelPoll: duration('30s'),
    openSearch: section({
      url: optionalUrl(),
      index: name(OPENSEARCH_DEFAULTS.index),
      username: optionalText(),
      password: secret(),
      passwordFile: optionalText('the path of a file'),
      indexer: flag(true),
      shards: int(1, 1024, OPENSEARCH_DEFAULTS.shards),
      replicas: int(0, 100, OPENSEARCH_DEFAULTS.replicas),
      requestTimeout: duration(OPENSEARCH_DEFAULTS.requestTimeoutMs),
      attemptTimeout: duration(OPENSEARCH_DEFAULTS.attemptTimeoutMs),
      attempts: int(1, 100, OPENSEARCH_DEFAULTS.attempts),
      retryBudget: fraction(OPENSEARCH_DEFAULTS.retryShare),
    }),
  }),
  candidates: section({
    most: int(1, 10_000, CANDIDATES_DEFAULTS.most),
    perCategory: optionalInt(1, 10_000, CANDIDATES_DEFAULTS.perCategory),
    boughtFor: duration(CANDIDATES_DEFAULTS.boughtFor),
    boughtItems: int(1, 100_000, CANDIDATES_DEFAULTS.boughtItems),
    follow: flag(CANDIDATES_DEFAULTS.follow),
  }),
  serve: section({
    host: text('127.0.0.1'),
    port: int(0, 65_535, 8080),
    auth: choice(['token', 'mtls', 'none'], 'token'),
    tokens: secret(),
    tokensFile: optionalText('the path of a file'),
    tls: section({
      certFile: optionalText('the path of a PEM file'),
      keyFile: optionalText('the path of a PEM file'),
      caFile: optionalText('the path of a PEM file'),
    }),
    rateLimit: section({
      requests: int(1, 1e9, SERVE_DEFAULTS.limits.requests),
      refused: int(1, 1e9, SERVE_DEFAULTS.limits.refused),
      window: duration(SERVE_DEFAULTS.limits.windowMs),
    }),
    store: choice(['disk', 'memory'], 'disk'),
    cache: size(SERVE_DEFAULTS.memoryBytes),
    staleAfter: duration(SERVE_DEFAULTS.staleAfterMs),
    lookupTimeout: duration(SERVE_DEFAULTS.lookupMs),
    triggerEvery: duration(SERVE_DEFAULTS.triggerEveryMs),
    triggersWaiting: int(1, 1e7, SERVE_DEFAULTS.bufferedTriggers),
    fusion: section({
      weight: fraction(SERVE_DEFAULTS.fusion.weight),
      atLeast: int(0, 200, SERVE_DEFAULTS.fusion.atLeast),
      within: int(1, 200, SERVE_DEFAULTS.fusion.within),
      perCategory: int(1, 1000, SERVE_DEFAULTS.fusion.perCategory),
    }),
    arms: leaf<Arms>('arms with a rule each, such as {control: {weight: 0}}', parseArms, {} as never),
  }),
  report: section({
    baseline: text('control'),
    confidence: fraction(0.95),
    days: int(1, 1000, 7),
    shares: shares(),
  }),
  // the runtime's own options (src/stream/options.ts) in the units of people; what is not here is for tests
  runtime: section({
    stateDir: text('.seral/state'),
    cache: size(DEFAULTS.cacheBytes),
    commitInterval: duration(DEFAULTS.commitIntervalMs),
    commitRecords: int(1, 1e9, DEFAULTS.commitRecords),
    batchRecords: int(1, 100_000, DEFAULTS.maxBatchRecords),
    buffered: size(DEFAULTS.maxBufferedBytes),
    unsent: size(DEFAULTS.maxUnsentBytes),
    largestOutput: size(DEFAULTS.maxOutputBytes),
    offsetReset: choice(['earliest', 'latest', 'error'], DEFAULTS.offsetReset),
    sourceWait: duration(DEFAULTS.sourceWaitMs),
    deadLetterShare: fraction(DEFAULTS.deadLetterShare),
    deadLetterWindow: int(1, 1e9, DEFAULTS.deadLetterWindow),
    wedge: duration(DEFAULTS.wedgeMs),
    rebuildBudget: int(0, 1e6, DEFAULTS.rebuildBudget),
    rebuildWindow: duration(DEFAULTS.rebuildWindowMs),
    registryPatience: duration(DEFAULTS.registryPatienceMs),
    transactionTimeout: duration(DEFAULTS.transactionTimeoutMs),
    sessionTimeout: duration(DEFAULTS.sessionTimeoutMs),
    writeBuffer: size(DEFAULTS.writeBufferBytes),
    revokeDeadline: duration(DEFAULTS.revokeDeadlineMs),
    standby: int(0, 100, DEFAULTS.standbys),
    warmWithin: int(0, 1e12, DEFAULTS.warmWithin),
    stopDeadline: duration('25s'),
  }),
  http: section({
    host: text('127.0.0.1'),
    port: int(0, 65_535, 9464),
  }),
  logging: section({
    level: choice(['trace', 'debug', 'info', 'warn', 'error', 'silent'], 'info'),
    hashUserIds: flag(false),
  }),
});

export type Config = z.output<typeof configSchema>;
