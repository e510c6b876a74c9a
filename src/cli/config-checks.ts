import { isIPv4 } from 'node:net';
import { compileOptions } from '../stream/options.ts';
import type { Config } from './config-schema.ts';
import { inWordsOfConfig, runtimeOptions } from './runtime-options.ts';
import { variableOf } from './variables.ts';

const EVENT_TYPES = ['exposure', 'click', 'purchase', 'search', 'visit'];

/** What no key can say alone. Each runs on a section that is right by itself. */
export const checks: Record<string, (section: any) => string[]> = {
  kafka({ sasl, ssl }: Config['kafka']) {
    const problems: string[] = [];
    if (sasl.mechanism !== 'none') {
      if (sasl.username === null) problems.push(`kafka.sasl.username: ${sasl.mechanism} needs one`);
      if (sasl.password === null && sasl.passwordFile === null) {
        problems.push(`kafka.sasl.passwordFile: ${sasl.mechanism} needs it, or SERAL_KAFKA_SASL_PASSWORD`);
      }
    }
    if ((ssl.certFile === null) !== (ssl.keyFile === null)) {
      problems.push('kafka.ssl.certFile, kafka.ssl.keyFile: a client certificate needs both');
    }
    if (!ssl.enabled && (ssl.caFile ?? ssl.certFile) !== null) {
      problems.push('kafka.ssl.enabled: is false, but certificates are named');
    }
    return [...problems, ...twoPasswords('kafka.sasl', sasl)];
  },
  registry(registry: Config['registry']) {
    const problems = twoPasswords('registry', registry);
    if ((registry.username === null) !== (registry.password === null && registry.passwordFile === null)) {
      problems.push('registry.username, registry.passwordFile: one needs the other');
    }
    return problems;
  },
  labels({ grace, userTtl, attributionWindow }: Config['labels']) {
    const needed = attributionWindow + grace;
    return userTtl > needed ? [] : ['labels.userTtl: must be longer than attributionWindow and grace together'];
  },
  profiles({ buckets, spread, window, refreshAfter, approval, longTerm }: Config['profiles']) {
    const problems: string[] = [];
    if (spread < buckets) problems.push('profiles.spread: has less than a millisecond for each of the buckets');
    if (refreshAfter > window) {
      problems.push('profiles.refreshAfter: is longer than profiles.window, so what lies between is never looked at');
    }
    const { priorShare, posteriorShare, supportShare, recencyShare } = approval;
    if (priorShare + posteriorShare + supportShare + recencyShare <= 0) {
      problems.push('profiles.approval: the shares of the score are all 0');
    }
    if (longTerm.fewestRefreshes > longTerm.refreshes) {
      problems.push('profiles.longTerm.fewestRefreshes: is more than profiles.longTerm.refreshes looks at');
    }
    return problems;
  },
  profileWorker: (worker: Config['profileWorker']) => modelProblems('profileWorker', worker),
  regeneration({ visits, spread, buckets, history, fewestBehaviours, minAge, maxAge }: Config['regeneration']) {
    const problems: string[] = [];
    const unknown = visits.filter((type) => !EVENT_TYPES.includes(type));
    if (unknown.length > 0) problems.push(`regeneration.visits: there is no event ${unknown.join(', ')}`);
    if (visits.length === 0) problems.push('regeneration.visits: names none, so nobody is ever asked for');
    if (maxAge === 0) problems.push('regeneration.maxAge: is 0, so nothing would ever be used');
    if (minAge > maxAge) problems.push('regeneration.minAge: is longer than maxAge, so no profile would ever ask');
    if (spread > 0 && spread < buckets) {
      problems.push('regeneration.spread: has less than a millisecond for each of the buckets');
    }
    if (fewestBehaviours > history) {
      problems.push('regeneration.fewestBehaviours: is more than regeneration.history keeps');
    }
    return problems;
  },
  serengptWorker(worker: Config['serengptWorker']) {
    const problems = modelProblems('serengptWorker', worker);
    if (worker.repetitionPenalty === 0) problems.push('serengptWorker.repetitionPenalty: is 0; none is 1');
    for (const script of worker.scripts) {
      try {
        new RegExp(`\\p{scx=${script}}`, 'u');
      } catch {
        problems.push(`serengptWorker.scripts: Unicode has no script ${JSON.stringify(script)}; such as Latin, Han`);
      }
    }
    return problems;
  },
  retrievalWorker({ engine, openSearch }: Config['retrievalWorker']) {
    const problems = twoPasswords('retrievalWorker.openSearch', openSearch);
    const { url, username, password, passwordFile, index, attemptTimeout, requestTimeout } = openSearch;
    if (engine === 'opensearch' && url === null) {
      problems.push('retrievalWorker.openSearch.url: the engine opensearch needs one');
    }
    if ((username === null) !== (password === null && passwordFile === null)) {
      problems.push(
        'retrievalWorker.openSearch.username, retrievalWorker.openSearch.passwordFile: one needs the other',
      );
    }
    if (index !== index.toLowerCase() || /^[-_.]/.test(index)) {
      problems.push('retrievalWorker.openSearch.index: OpenSearch wants small letters, and no -, _ or . at the front');
    }
    if (attemptTimeout > requestTimeout) {
      problems.push(
        'retrievalWorker.openSearch.attemptTimeout: is longer than requestTimeout, which holds for all attempts together',
      );
    }
    return problems;
  },
  serve({ host, auth, tokens, tokensFile, tls, fusion, arms }: Config['serve']) {
    const problems: string[] = [];
    if (auth === 'none' && !isLoopback(host)) {
      problems.push(`serve.auth: none is for a loopback host such as 127.0.0.1, not for ${host}`);
    }
    if ((tls.certFile === null) !== (tls.keyFile === null)) {
      problems.push('serve.tls.certFile, serve.tls.keyFile: TLS needs both');
    }
    if (auth === 'mtls' && (tls.certFile === null || tls.caFile === null)) {
      problems.push('serve.tls: mtls needs certFile, keyFile, and caFile, the authority of client certificates');
    }
    if (auth !== 'mtls' && tls.caFile !== null) {
      problems.push('serve.tls.caFile: is of client certificates, which only serve.auth: mtls asks for');
    }
    if (fusion.atLeast > fusion.within) problems.push('serve.fusion.atLeast: is more than serve.fusion.within');
    for (const [arm, rule] of Object.entries(arms)) {
      const { atLeast, within } = { ...fusion, ...rule };
      if (atLeast > within) problems.push(`serve.arms.${arm}: atLeast is more than within`);
    }
    if (tokens !== null && tokensFile !== null) problems.push(twoSecrets('serve', 'tokens'));
    return problems;
  },
  report({ confidence }: Config['report']) {
    const possible = confidence >= 0.5 && confidence <= 0.9999;
    return possible ? [] : ['report.confidence: must be from 0.5 to 0.9999'];
  },
  runtime(runtime: Config['runtime']) {
    return compileOptions(runtimeOptions('seral', runtime)).problems.map(inWordsOfConfig);
  },
};

interface ModelKeys {
  engine: string;
  url: string | null;
  model: string | null;
  apiKey: string | null;
  apiKeyFile: string | null;
  attemptTimeout: number;
  requestTimeout: number;
}

/** Of a worker that may ask a server. */
function modelProblems(section: string, worker: ModelKeys): string[] {
  const problems: string[] = [];
  if (worker.engine === 'openai') {
    if (worker.url === null) problems.push(`${section}.url: the engine openai needs the URL of a server, up to /v1`);
    if (worker.model === null) problems.push(`${section}.model: the engine openai needs the name of a model`);
  }
  if (worker.attemptTimeout > worker.requestTimeout) {
    problems.push(`${section}.attemptTimeout: is longer than requestTimeout, which holds for all attempts together`);
  }
  if (worker.apiKey !== null && worker.apiKeyFile !== null) problems.push(twoSecrets(section, 'apiKey'));
  return problems;
}

/** Only this machine reaches it. */
const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));

function twoPasswords(where: string, at: { password: string | null; passwordFile: string | null }): string[] {
  if (at.password === null || at.passwordFile === null) return [];
  return [twoSecrets(where, 'password')];
}

const twoSecrets = (where: string, key: string): string =>
  `${where}.${key}File: ${variableOf([...where.split('.'), key])} is set too; which one counts?`;
