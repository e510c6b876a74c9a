/**
 * A worker as a process that can be killed, wired as `seral run`:
 *   node test/faults/worker.ts '{"brokers": ..., ...}'
 * Its log goes to stdout, a JSON object a line, the states of its tasks with it.
 */
import { Registry } from 'prom-client';
import { kafkaLog } from '../../src/log/kafka/index.ts';
import { confluentSerdes } from '../../src/log/registry/confluent.ts';
import type { Logger } from '../../src/stream/logger.ts';
import { Metrics } from '../../src/stream/metrics.ts';
import type { RuntimeOptions } from '../../src/stream/options.ts';
import { Worker } from '../../src/stream/worker.ts';
import { labelsTopology } from '../../topologies/labels.ts';
import { apart } from '../support/apart.ts';
import { chainTopology, jsonSerdes } from './chain.ts';
import { injectStoreFault, type StoreFault } from './store-fault.ts';

export interface WorkerSettings {
  brokers: string;
  registryUrl: string;
  topology: 'labels' | 'chain';
  runtime: RuntimeOptions;
  storeFault?: StoreFault;
}

const { brokers, registryUrl, topology, runtime, storeFault } = JSON.parse(process.argv[2]!) as WorkerSettings;
if (storeFault !== undefined) injectStoreFault(storeFault);

const say = (level: string) => (fields: object, message: string) =>
  void process.stdout.write(`${JSON.stringify({ level, msg: message, ...fields })}\n`);
const logger: Logger = { debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error') };

const log = kafkaLog({
  brokers: brokers.split(','),
  log: (level, message, fields) => level !== 'debug' && logger[level](fields, message),
});
const serdes = topology === 'labels' ? confluentSerdes({ url: registryUrl }) : jsonSerdes;
const worker = new Worker({
  topology: apart(topology === 'labels' ? labelsTopology() : chainTopology(), { suffix: runtime.suffix! }),
  log,
  serdes,
  options: runtime,
  metrics: new Metrics(new Registry()),
  logger,
  now: Date.now,
  random: Math.random,
  onFatal: () => void stop(1),
});

async function stop(code: number): Promise<void> {
  process.exitCode = code;
  await worker.stop();
  await serdes.close();
  await log.close();
  logger.info({}, 'stopped');
}
process.once('SIGTERM', () => void stop(0));
logger.info({}, 'starting');

await worker.start();
