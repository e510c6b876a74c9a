/**
 * A real Kafka (KRaft) and a real schema registry for tests and benchmarks, each in a temporary folder on free ports:
 *
 *   const kafka = await startKafka();
 *   kafka.brokers; await kafka.kill9(); await kafka.restart(); await kafka.stop();
 *
 * Run from the jars where Java and Maven are there, else from images where a Docker daemon is. Nothing outlives us.
 */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Kafka, logLevel } from 'kafkajs';
import { hasJava, kafkaClassPath, registryJar, works } from './artifacts.ts';
import { secured, type ClientSecurity } from './kafka-security.ts';
import { freePort, ready, run, type Running } from './process.ts';

const exec = promisify(execFile);

/** Busy machines take their time. */
const READY_WITHIN_MS = 180_000;

export interface KafkaOptions {
  brokers?: number;
  heapMb?: number;
  /** A quick start with the first compiler only (the default), or the full compiler, for benchmarks. */
  jvm?: 'quick' | 'full';
  /** More server settings, by Kafka's names. */
  config?: Record<string, string>;
  /** Clients need TLS and a password; not in a container. */
  secured?: boolean;
}

export interface RunningKafka {
  /** For clients: host:port, comma-separated. */
  readonly brokers: string;
  /** Of the first broker; 0 where it runs in a container. */
  readonly pid: number;
  readonly pids: readonly number[];
  /** What clients need where `secured` was asked for. */
  readonly security: ClientSecurity | undefined;
  /** Kills a broker (the first one unless named) with SIGKILL. */
  kill9(broker?: number): Promise<void>;
  /** Stops a broker in peace with SIGTERM: its leaders move first. Not in a container. */
  terminate(broker?: number): Promise<void>;
  /** Starts a killed broker again on the same port with the same data; resolves when it serves. */
  restart(broker?: number): Promise<void>;
  /** A broker that hangs, and goes on. Not in a container. */
  freeze(broker?: number): void;
  thaw(broker?: number): void;
  /** Ends everything and removes the data. */
  stop(): Promise<void>;
}

export interface RunningRegistry {
  /** For Confluent's client. */
  readonly url: string;
  stop(): Promise<void>;
}

export const hasDocker = (): Promise<boolean> => works('docker', 'info', '--format', '{{.ServerVersion}}');

export async function startKafka(options: KafkaOptions = {}): Promise<RunningKafka> {
  if (await hasJava()) return startFromJars(options);
  if (await hasDocker()) return startInDocker(options);
  throw new Error('a Kafka broker needs Java 17 and Maven, or Docker');
}

export async function startRegistry(): Promise<RunningRegistry> {
  if (await hasJava()) return registryFromJar();
  if (await hasDocker()) return registryInDocker();
  throw new Error('a schema registry needs Java 17 and Maven, or Docker');
}

/** Whether `count` brokers serve and know of each other. */
async function serves(brokers: string[], count: number, security?: ClientSecurity): Promise<boolean> {
  const quietly = { logLevel: logLevel.NOTHING, connectionTimeout: 1_000, retry: { retries: 0 } };
  const kafka = new Kafka({ brokers, ...quietly, ...(structuredClone(security) as object) });
  const admin = kafka.admin();
  try {
    await admin.connect();
    return (await admin.describeCluster()).brokers.length >= count;
  } finally {
    await admin.disconnect();
  }
}

/** Settings for one machine and short tests. */
const common = (nodes: number): Record<string, string> => ({
  'auto.create.topics.enable': 'false',
  'group.initial.rebalance.delay.ms': '0',
  'offsets.topic.replication.factor': String(Math.min(nodes, 3)),
  'offsets.topic.num.partitions': '4',
  'transaction.state.log.replication.factor': String(Math.min(nodes, 3)),
  'transaction.state.log.min.isr': nodes > 2 ? '2' : '1',
  'transaction.state.log.num.partitions': '4',
  'share.coordinator.state.topic.replication.factor': '1',
  'share.coordinator.state.topic.min.isr': '1',
  'default.replication.factor': String(Math.min(nodes, 3)),
  'min.insync.replicas': nodes > 2 ? '2' : '1',
  // a killed broker may not register again before its session has ended: 9 s by default
  'broker.session.timeout.ms': '4000',
  'broker.heartbeat.interval.ms': '500',
  // on a busy machine controllers that are only slow would else be voted out again and again
  'controller.quorum.fetch.timeout.ms': '5000',
  'controller.quorum.election.timeout.ms': '2500',
  'num.network.threads': '2',
  'num.io.threads': '4',
  'log.cleaner.dedupe.buffer.size': '16777216',
  'log.retention.check.interval.ms': '1000',
});

const lines = (properties: Record<string, string>): string =>
  Object.entries(properties)
    .map(([key, value]) => `${key}=${value}\n`)
    .join('');

const log4j = `status=error
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d{HH:mm:ss.SSS} %p %c: %m%n
rootLogger.level=warn
rootLogger.appenderRef.out.ref=out
`;

async function startFromJars({
  brokers: count = 1,
  heapMb = 512,
  jvm = 'quick',
  config = {},
  secured: isSecured = false,
}: KafkaOptions): Promise<RunningKafka> {
  const classPath = await kafkaClassPath();
  const root = mkdtempSync(join(tmpdir(), 'seral-kafka-'));
  const clusterId = randomBytes(16).toString('base64url');
  const ports: number[] = [];
  const controllers: number[] = [];
  for (let i = 0; i < count; i++) ports.push(await freePort());
  // an even number of voters survives no more than one less does
  const voters = count > 2 ? count - ((count + 1) % 2) : 1;
  for (let i = 0; i < voters; i++) controllers.push(await freePort());
  const quorum = controllers.map((port, i) => `${i + 1}@127.0.0.1:${port}`).join(',');
  const internal: number[] = [];
  for (let i = 0; i < count; i++) internal.push(await freePort());
  const security = isSecured ? await secured(root) : undefined;
  const addresses = ports.map((port) => `127.0.0.1:${port}`);

  const java = (heap: number, ...args: string[]): string[] => [
    `-Xmx${heap}m`,
    '-XX:+UseSerialGC',
    ...(jvm === 'quick' ? ['-XX:TieredStopAtLevel=1', '-Xshare:auto'] : []),
    '-cp',
    classPath,
    ...args,
  ];
  const folderOf = (broker: number): string => join(root, `node-${broker + 1}`);

  const prepare = async (broker: number): Promise<void> => {
    const folder = folderOf(broker);
    mkdirSync(folder);
    const votes = broker < voters;
    const properties: Record<string, string> = {
      'node.id': String(broker + 1),
      'process.roles': votes ? 'broker,controller' : 'broker',
      'controller.quorum.voters': quorum,
      listeners: [
        `CLIENTS://${addresses[broker]}`,
        `BROKERS://127.0.0.1:${internal[broker]}`,
        ...(votes ? [`CONTROLLER://127.0.0.1:${controllers[broker]}`] : []),
      ].join(','),
      'advertised.listeners': `CLIENTS://${addresses[broker]},BROKERS://127.0.0.1:${internal[broker]}`,
      'controller.listener.names': 'CONTROLLER',
      'listener.security.protocol.map': `CLIENTS:${isSecured ? 'SASL_SSL' : 'PLAINTEXT'},BROKERS:PLAINTEXT,CONTROLLER:PLAINTEXT`,
      'inter.broker.listener.name': 'BROKERS',
      'log.dirs': join(folder, 'data'),
      ...common(count),
      ...security?.config,
      ...config,
    };
    writeFileSync(join(folder, 'server.properties'), lines(properties));
    writeFileSync(join(folder, 'log4j2.properties'), log4j);
    const format = ['kafka.tools.StorageTool', 'format', `--cluster-id=${clusterId}`, '-c', 'server.properties'];
    await exec('java', java(128, `-Dlog4j2.configurationFile=log4j2.properties`, ...format), { cwd: folder });
  };

  const nodes: Running[] = [];
  const start = async (broker: number): Promise<void> => {
    const folder = folderOf(broker);
    nodes[broker] = run(
      'java',
      java(heapMb, '-Dlog4j2.configurationFile=log4j2.properties', 'kafka.Kafka', 'server.properties'),
      {
        folder,
        root,
        output: join(folder, 'server.log'),
      },
    );
  };
  const stop = async (): Promise<void> => {
    await Promise.all(nodes.map((node) => node.kill()));
    rmSync(root, { recursive: true, force: true });
  };

  try {
    await Promise.all(ports.map((_, i) => prepare(i)));
    await Promise.all(ports.map((_, i) => start(i)));
    await Promise.all(
      nodes.map((node, i) =>
        ready('the Kafka broker', node, READY_WITHIN_MS, () => serves([addresses[i]!], count, security?.client)),
      ),
    );
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    brokers: addresses.join(','),
    get pid() {
      return nodes[0]!.pid;
    },
    get pids() {
      return nodes.map((node) => node.pid);
    },
    security: security?.client,
    kill9: (broker = 0) => nodes[broker]!.kill(),
    async terminate(broker = 0) {
      nodes[broker]!.signal('SIGTERM');
      await ready('the end of a Kafka broker', nodes[broker]!, READY_WITHIN_MS, () =>
        Promise.resolve(nodes[broker]!.exited),
      );
      await nodes[broker]!.kill();
    },
    async restart(broker = 0) {
      await nodes[broker]!.kill();
      await start(broker);
      await ready('the Kafka broker', nodes[broker]!, READY_WITHIN_MS, () =>
        serves([addresses[broker]!], 1, security?.client),
      );
    },
    freeze: (broker = 0) => nodes[broker]!.signal('SIGSTOP'),
    thaw: (broker = 0) => nodes[broker]!.signal('SIGCONT'),
    stop,
  };
}

async function startInDocker(options: KafkaOptions): Promise<RunningKafka> {
  const { brokers: count = 1, heapMb = 512, config = {}, secured: isSecured = false } = options;
  if (count > 1 || isSecured) throw new Error('more than one broker, or a secured one, needs Java and Maven');
  const port = await freePort();
  const settings: Record<string, string> = {
    'node.id': '1',
    'process.roles': 'broker,controller',
    'controller.quorum.voters': '1@127.0.0.1:9093',
    listeners: 'PLAINTEXT://0.0.0.0:9092,CONTROLLER://127.0.0.1:9093',
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${port}`,
    'controller.listener.names': 'CONTROLLER',
    'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
    ...common(1),
    ...config,
  };
  const environment = Object.entries(settings).map(
    ([key, value]) => `KAFKA_${key.toUpperCase().replaceAll('.', '_')}=${value}`,
  );
  const container = await dockerRun('apache/kafka:4.1.0', port, 9092, [
    ...environment,
    `KAFKA_HEAP_OPTS=-Xmx${heapMb}m`,
  ]);
  const address = `127.0.0.1:${port}`;
  const up = (): Promise<void> => ready('the Kafka broker', container, READY_WITHIN_MS, () => serves([address], 1));
  const stop = (): Promise<void> => container.kill();
  await up().catch(async (error: unknown) => {
    await stop();
    throw error;
  });
  const unsupported = (): never => {
    throw new Error('this needs Java and Maven');
  };
  return {
    brokers: address,
    pid: 0,
    pids: [0],
    security: undefined,
    async kill9() {
      await exec('docker', ['kill', '-s', 'KILL', container.id]);
    },
    terminate: unsupported,
    async restart() {
      await exec('docker', ['start', container.id]);
      await up();
    },
    freeze: unsupported,
    thaw: unsupported,
    stop,
  };
}

async function dockerRun(
  image: string,
  port: number,
  inside: number,
  environment: string[],
): Promise<Running & { id: string }> {
  const args = ['run', '-d', '-p', `127.0.0.1:${port}:${inside}`, ...environment.flatMap((e) => ['-e', e]), image];
  const { stdout } = await exec('docker', args, { timeout: 600_000 });
  const id = stdout.trim();
  return {
    id,
    pid: 0,
    exited: false,
    tail: () => `see docker logs ${id}`,
    signal: () => undefined,
    kill: async () => void (await exec('docker', ['rm', '-f', '-v', id])),
  };
}

const registryPath = '/apis/ccompat/v7';
const answers = async (url: string): Promise<boolean> => (await fetch(`${url}/subjects`)).ok;

async function registryFromJar(): Promise<RunningRegistry> {
  const jar = await registryJar();
  const folder = mkdtempSync(join(tmpdir(), 'seral-registry-'));
  const port = await freePort();
  const jvm = [
    '-Xmx256m',
    '-XX:+UseSerialGC',
    '-XX:TieredStopAtLevel=1',
    `-Dquarkus.http.port=${port}`,
    '-Dquarkus.http.host=127.0.0.1',
  ];
  const node = run('java', [...jvm, '-jar', jar], { folder, root: folder, output: join(folder, 'registry.log') });
  const url = `http://127.0.0.1:${port}${registryPath}`;
  const stop = async (): Promise<void> => {
    await node.kill();
    rmSync(folder, { recursive: true, force: true });
  };
  await ready('the schema registry', node, READY_WITHIN_MS, () => answers(url)).catch(async (error: unknown) => {
    await stop();
    throw error;
  });
  return { url, stop };
}

async function registryInDocker(): Promise<RunningRegistry> {
  const port = await freePort();
  const container = await dockerRun('apicurio/apicurio-registry-mem:2.6.13.Final', port, 8080, []);
  const url = `http://127.0.0.1:${port}${registryPath}`;
  await ready('the schema registry', container, READY_WITHIN_MS, () => answers(url)).catch(async (error: unknown) => {
    await container.kill();
    throw error;
  });
  return { url, stop: () => container.kill() };
}
