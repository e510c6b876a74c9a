/** From the configuration to what is outside: the log, the serdes, the registry. Adapters are chosen here and only here. */
import { readFileSync } from 'node:fs';
import { ConfigError, messageOf } from '../errors.ts';
import type { Log } from '../log/port.ts';
import type { RegistryOptions } from '../log/registry/client.ts';
import type { Serdes } from '../log/serde.ts';
import type { Logger } from '../stream/logger.ts';
import { SHORTEST_TOKEN, type Auth } from '../nearline/serve/auth.ts';
import type { Config } from './config.ts';

/** Logs of the Kafka client go to `logger`, where there is one. */
export async function openLog(config: Config, logger?: Logger): Promise<Log> {
  if (config.log.kind === 'embedded') {
    const { embeddedLog } = await import('../log/embedded/index.ts');
    return embeddedLog({ path: config.embedded.path });
  }
  const { kafkaLog } = await import('../log/kafka/index.ts');
  const { brokers, clientId, ssl, sasl, connectionTimeout, requestTimeout } = config.kafka;
  const password = secretOf('kafka.sasl', sasl.password, sasl.passwordFile);
  return kafkaLog({
    brokers,
    clientId,
    connectionTimeoutMs: connectionTimeout,
    requestTimeoutMs: requestTimeout,
    ssl: ssl.enabled
      ? {
          ca: pem('kafka.ssl.caFile', ssl.caFile),
          cert: pem('kafka.ssl.certFile', ssl.certFile),
          key: pem('kafka.ssl.keyFile', ssl.keyFile),
        }
      : undefined,
    sasl:
      sasl.mechanism === 'none'
        ? undefined
        : { mechanism: sasl.mechanism, username: sasl.username!, password: password! },
    log: logger === undefined ? undefined : (level, message, fields) => logger[level](fields, message),
  });
}

/** The registry for Kafka; for the embedded log the files of schemas/, so that a demo needs no server. */
export async function openSerdes(config: Config): Promise<Serdes> {
  if (config.log.kind === 'embedded') {
    const { embeddedSerdes } = await import('../log/registry/embedded.ts');
    return embeddedSerdes();
  }
  const { confluentSerdes } = await import('../log/registry/confluent.ts');
  return confluentSerdes(registryOptions(config));
}

export function registryOptions({ registry }: Config): RegistryOptions {
  const password = secretOf('registry', registry.password, registry.passwordFile);
  if (registry.username === null) return { url: registry.url };
  return { url: registry.url, auth: { username: registry.username, password: password! } };
}

/** The files that the configuration names and that cannot be read: `config check` looks where `compileConfig` may not. */
export function fileProblems(config: Config): string[] {
  const { ssl, sasl } = config.kafka;
  const named: [string, string | null][] = [
    ['kafka.ssl.caFile', ssl.caFile],
    ['kafka.ssl.certFile', ssl.certFile],
    ['kafka.ssl.keyFile', ssl.keyFile],
    ['kafka.sasl.passwordFile', sasl.passwordFile],
    ['registry.passwordFile', config.registry.passwordFile],
    ['profileWorker.apiKeyFile', config.profileWorker.apiKeyFile],
    ['serengptWorker.apiKeyFile', config.serengptWorker.apiKeyFile],
    ['serengptWorker.blockedFile', config.serengptWorker.blockedFile],
    ['retrievalWorker.openSearch.passwordFile', config.retrievalWorker.openSearch.passwordFile],
    ['serve.tokensFile', config.serve.tokensFile],
    ['serve.tls.certFile', config.serve.tls.certFile],
    ['serve.tls.keyFile', config.serve.tls.keyFile],
    ['serve.tls.caFile', config.serve.tls.caFile],
  ];
  return named.flatMap(([key, file]) => {
    try {
      readNamed(key, file);
      return [];
    } catch (error) {
      return error instanceof ConfigError ? [...error.problems] : [messageOf(error)];
    }
  });
}

/** The key of a worker's model server, where one is set. */
export const apiKeyOf = (worker: 'profileWorker' | 'serengptWorker', config: Config): string | null =>
  secretOf(worker, config[worker].apiKey, config[worker].apiKeyFile, 'apiKey') ?? null;

/** What no generated text may hold, of the configuration and of the file that it names: a line each, # begins a remark. */
export function blockedPhrases({ serengptWorker: { blocked, blockedFile } }: Config): string[] {
  const lines = readNamed('serengptWorker.blockedFile', blockedFile)?.split(/\r?\n/) ?? [];
  return [...blocked, ...lines.map((line) => line.replace(/#.*/, '').trim())].filter((phrase) => phrase !== '');
}

/** Of the retrieval worker's OpenSearch, where it asks for one. */
export function openSearchAuth({ retrievalWorker }: Config): { username: string; password: string } | null {
  const { username, password, passwordFile } = retrievalWorker.openSearch;
  if (username === null) return null;
  return { username, password: secretOf('retrievalWorker.openSearch', password, passwordFile)! };
}

/** Who may ask the server, and what it shows and asks for in TLS. Throws ConfigError. */
export function serveAccess({ serve }: Config): {
  auth: Auth;
  tls: { cert: string; key: string; ca: string | null } | null;
} {
  const { auth, tls } = serve;
  const cert = pem('serve.tls.certFile', tls.certFile);
  const key = pem('serve.tls.keyFile', tls.keyFile);
  const ca = pem('serve.tls.caFile', tls.caFile) ?? null;
  return {
    auth: auth === 'token' ? { kind: auth, tokens: tokensOf(serve) } : { kind: auth },
    tls: cert === undefined ? null : { cert, key: key!, ca },
  };
}

function tokensOf({ tokens, tokensFile }: Config['serve']): string[] {
  const found = (secretOf('serve', tokens, tokensFile, 'tokens') ?? '').split(/[\s,]+/).filter((token) => token !== '');
  if (found.length === 0) {
    throw new ConfigError([
      'serve.tokensFile: serve.auth: token needs a file with a token a line, or SERAL_SERVE_TOKENS; for tries on one ' +
        'machine there is serve.auth: none',
    ]);
  }
  if (found.some(({ length }) => length < SHORTEST_TOKEN)) {
    throw new ConfigError([`serve.tokensFile: a token has at least ${SHORTEST_TOKEN} characters`]);
  }
  return found;
}

const secretOf = (where: string, given: string | null, file: string | null, key = 'password'): string | undefined =>
  // the newline that editors put at a file's end is not part of a password
  given ?? readNamed(`${where}.${key}File`, file)?.replace(/\r?\n$/, '');

const pem = (key: string, file: string | null): string | undefined => readNamed(key, file);

function readNamed(key: string, file: string | null): string | undefined {
  if (file === null) return undefined;
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new ConfigError([`${key}: ${messageOf(error)}`]);
  }
  if (text.trim() === '') throw new ConfigError([`${key}: ${file} is empty`]);
  return text;
}
