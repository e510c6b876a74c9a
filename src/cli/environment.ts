/** From the configuration to what is outside: the log, the serdes, the registry. Adapters are chosen here and only here. */
import { readFileSync } from 'node:fs';
import { ConfigError, messageOf } from '../errors.ts';
import type { Log } from '../log/port.ts';
import type { RegistryOptions } from '../log/registry/client.ts';
import type { Serdes } from '../log/serde.ts';
import type { Logger } from '../stream/logger.ts';
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
