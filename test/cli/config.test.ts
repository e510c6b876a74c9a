import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { describe, expect, it } from 'vitest';
import { compileConfig, leaves, variableOf } from '../../src/cli/config.ts';
import { SECRETS } from '../../src/cli/config-schema.ts';
import { runtimeOptions } from '../../src/cli/runtime-options.ts';
import { ConfigError } from '../../src/errors.ts';
import { compileOptions, DEFAULTS } from '../../src/stream/options.ts';

const shipped = readFileSync(join(import.meta.dirname, '../../seral.yaml'), 'utf8');
const compiled = (source: string | object | null, env = {}) => compileConfig(source, env).config;

function problems(source: string | object | null, env: Record<string, string> = {}): readonly string[] {
  try {
    compileConfig(source, env);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

describe('the shipped file', () => {
  it('holds the defaults', () => {
    expect(compiled(shipped)).toEqual(compiled(null));
  });

  it('shows every key but the secrets', () => {
    const at = (path: readonly string[]) => path.reduce<any>((tree, part) => tree?.[part], parse(shipped));
    const missing = leaves.filter((path) => at(path) === undefined).map((path) => path.join('.'));
    expect(missing).toEqual([...SECRETS]);
  });
});

describe('the environment', () => {
  it('overrides a key by its path, with _ between parts and words', () => {
    const config = compiled('labels: { visitDays: 3 }', {
      SERAL_LABELS_VISIT_DAYS: '7',
      SERAL_KAFKA_BROKERS: 'a:9092, b:9093',
      SERAL_LABELS_GRACE: '1h',
      SERAL_KAFKA_SSL_ENABLED: 'true',
      SERAL_TOPICS_RETENTION_DEAD_LETTERS: 'forever',
      SERAL_RUNTIME_CACHE: '1GB',
    });
    expect(config.labels.visitDays).toBe(7);
    expect(config.kafka.brokers).toEqual(['a:9092', 'b:9093']);
    expect(config.labels.grace).toBe(3_600_000);
    expect(config.kafka.ssl.enabled).toBe(true);
    expect(config.topics.retention.deadLetters).toBe(-1);
    expect(config.runtime.cache).toBe(2 ** 30);
  });

  it('gives each key a variable of its own', () => {
    const names = leaves.map(variableOf);
    expect(new Set(names).size).toBe(names.length);
  });

  it('leaves a key alone where the variable is empty', () => {
    expect(compiled('labels: { visitDays: 3 }', { SERAL_LABELS_VISIT_DAYS: '' }).labels.visitDays).toBe(3);
  });

  it('names the variable of a wrong value, and what an unknown one may have meant', () => {
    expect(problems(null, { SERAL_LABELS_VISIT_DAYS: 'ten', SERAL_LABELS_VISITDAYS: '10' })).toEqual([
      'SERAL_LABELS_VISITDAYS: no key has this variable; did you mean SERAL_LABELS_VISIT_DAYS?',
      'labels.visitDays (SERAL_LABELS_VISIT_DAYS): expected a whole number from 1 to 366, got "ten"',
    ]);
  });

  it('does not stumble over what Kubernetes sets for a service named seral', () => {
    expect(problems(null, { SERAL_PORT: 'tcp://10.0.0.1:80', SERAL_SERVICE_HOST: '10.0.0.1' })).toEqual([]);
    expect(compiled(null, { SERAL_HTTP_PORT: 'tcp://10.0.0.1:80' }).http.port).toBe(9464);
  });
});

describe('problems', () => {
  it('are all named at once', () => {
    const source = `
      app: "no spaces please"
      labels: { visitDay: 4, today: sometimes, timeZone: Mars/Olympus, grace: 10 }
      kafka: { sasl: { mechanism: plain, password: hunter2 }, ssl: yes please }
      registrry: { url: x }
      registry: { url: "http://me:secret@host" }
    `;
    const found = problems(source);
    expect(found.map((line) => line.split(':')[0])).toEqual([
      'kafka.sasl.password',
      'app',
      'kafka.ssl',
      'registry.url',
      'labels.today',
      'labels.timeZone',
      'labels.grace',
      'labels.visitDay',
      'registrry',
    ]);
    expect(found).toContain('labels.visitDay: unknown key; did you mean visitDays?');
    expect(found).toContain('registrry: unknown key; did you mean registry?');
    expect(found).toContain('kafka.ssl: expected a section of keys');
  });

  it('never repeat a secret', () => {
    const text = problems('kafka: { sasl: { password: hunter2 } }\nregistry: { password: [hunter2] }').join('\n');
    expect(text).toContain('kafka.sasl.password: a secret may not stand in the file: set SERAL_KAFKA_SASL_PASSWORD');
    expect(text).not.toContain('hunter2');
  });

  it('see what no key can say alone', () => {
    expect(problems({ kafka: { sasl: { mechanism: 'plain' }, ssl: { certFile: 'a.pem' } } })).toEqual([
      'kafka.sasl.username: plain needs one',
      'kafka.sasl.passwordFile: plain needs it, or SERAL_KAFKA_SASL_PASSWORD',
      'kafka.ssl.certFile, kafka.ssl.keyFile: a client certificate needs both',
      'kafka.ssl.enabled: is false, but certificates are named',
    ]);
    expect(problems({ registry: { username: 'me', passwordFile: 'p' } }, { SERAL_REGISTRY_PASSWORD: 'x' })).toEqual([
      'registry.passwordFile: SERAL_REGISTRY_PASSWORD is set too; which one counts?',
    ]);
    expect(problems({ labels: { userTtl: '1h' } })).toHaveLength(1);
  });

  it('see what a model needs', () => {
    expect(problems({ profileWorker: { engine: 'openai', requestTimeout: '10s' } })).toEqual([
      'profileWorker.url: the engine openai needs the URL of a server, up to /v1',
      'profileWorker.model: the engine openai needs the name of a model',
      'profileWorker.attemptTimeout: is longer than requestTimeout, which holds for all attempts together',
    ]);
    const url = 'http://models:8000/v1/';
    expect(compiled({ profileWorker: { engine: 'openai', url, model: 'm' } }).profileWorker.url).toBe(
      'http://models:8000/v1',
    );
    expect(
      problems(
        { profileWorker: { apiKeyFile: 'k', temperature: 3, url: 'models' } },
        { SERAL_PROFILE_WORKER_API_KEY: 'x' },
      ),
    ).toEqual([
      'profileWorker.url: expected an http or https URL without user or password in it, got "models"',
      'profileWorker.temperature: expected a number from 0 to 2, got 3',
    ]);
    expect(problems({ profileWorker: { apiKeyFile: 'k' } }, { SERAL_PROFILE_WORKER_API_KEY: 'x' })).toEqual([
      'profileWorker.apiKeyFile: SERAL_PROFILE_WORKER_API_KEY is set too; which one counts?',
    ]);
    expect(problems('profileWorker: { apiKey: hunter2 }').join()).not.toContain('hunter2');
  });

  it('see when nobody would ever be generated for', () => {
    expect(
      problems({
        regeneration: { visits: ['visit', 'view'], maxAge: '1h', minAge: '2h', spread: '10ms', fewestBehaviours: 21 },
        serengptWorker: { engine: 'openai', repetitionPenalty: 0, scripts: ['Latin', 'Klingon'] },
      }),
    ).toEqual([
      'regeneration.visits: there is no event view',
      'regeneration.minAge: is longer than maxAge, so no profile would ever ask',
      'regeneration.spread: has less than a millisecond for each of the buckets',
      'regeneration.fewestBehaviours: is more than regeneration.history keeps',
      'serengptWorker.url: the engine openai needs the URL of a server, up to /v1',
      'serengptWorker.model: the engine openai needs the name of a model',
      'serengptWorker.repetitionPenalty: is 0; none is 1',
      'serengptWorker.scripts: Unicode has no script "Klingon"; such as Latin, Han',
    ]);
  });

  it("of the runtime are told in the file's words", () => {
    expect(problems({ runtime: { commitInterval: '40s', cache: '1KB' } })).toEqual([
      'runtime.cache: expected a whole number from 1048576 to 1099511627776, got 1024',
    ]);
    expect(problems({ runtime: { commitInterval: '40s' } })[0]).toMatch(
      /^runtime.commitInterval: .*transactionTimeout,/,
    );
  });

  it('of the YAML itself say the line', () => {
    expect(problems('a: [1\nb: 2')[0]).toMatch(/^not YAML: .* at line 2/);
    expect(problems('- a list')).toEqual(['the file is not a mapping of keys to values']);
  });

  it('are none where a section is empty or the file is', () => {
    expect(compiled('labels:\nkafka:\n  sasl:\n')).toEqual(compiled(null));
    expect(compiled('')).toEqual(compiled(null));
  });
});

it("gives the runtime's own defaults where nothing is set", () => {
  const { runtime } = compiled(null);
  const { options } = compileOptions(runtimeOptions('seral', runtime));
  expect(options).toEqual({ ...DEFAULTS, app: 'seral', stateDir: runtime.stateDir });
});
