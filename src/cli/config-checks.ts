import { isIPv4 } from 'node:net';
import { compileOptions } from '../stream/options.ts';
import type { Config } from './config-schema.ts';
import { inWordsOfConfig, runtimeOptions } from './runtime-options.ts';
import { variableOf } from './variables.ts';

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
  profileWorker(worker: Config['profileWorker']) {
    const problems: string[] = [];
    if (worker.engine === 'openai') {
      if (worker.url === null)
        problems.push('profileWorker.url: the engine openai needs the URL of a server, up to /v1');
      if (worker.model === null) problems.push('profileWorker.model: the engine openai needs the name of a model');
    }
    if (worker.attemptTimeout > worker.requestTimeout) {
      problems.push(
        'profileWorker.attemptTimeout: is longer than requestTimeout, which holds for all attempts together',
      );
    }
    if (worker.apiKey !== null && worker.apiKeyFile !== null) {
      problems.push(twoSecrets('profileWorker', 'apiKey'));
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
  runtime(runtime: Config['runtime']) {
    return compileOptions(runtimeOptions('seral', runtime)).problems.map(inWordsOfConfig);
  },
};

/** Only this machine reaches it. */
const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));

function twoPasswords(where: string, at: { password: string | null; passwordFile: string | null }): string[] {
  if (at.password === null || at.passwordFile === null) return [];
  return [twoSecrets(where, 'password')];
}

const twoSecrets = (where: string, key: string): string =>
  `${where}.${key}File: ${variableOf([...where.split('.'), key])} is set too; which one counts?`;
