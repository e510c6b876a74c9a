/** The topologies on a real Kafka with a real registry, on the embedded log and over a file: the oracle's, each time. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { embeddedLog } from '../../src/log/embedded/index.ts';
import { kafkaLog } from '../../src/log/kafka/index.ts';
import type { Log } from '../../src/log/port.ts';
import { confluentSerdes } from '../../src/log/registry/confluent.ts';
import { embeddedSerdes } from '../../src/log/registry/embedded.ts';
import { registerSchemas } from '../../src/log/registry/subjects.ts';
import type { Serdes } from '../../src/log/serde.ts';
import { newPlace, schemasOf } from '../support/apart.ts';
import { describeWithKafkaAndRegistry, kafkaBrokers, registryUrl } from '../support/broker.ts';
import { arrivalsOf, type Arrivals } from './arrivals.ts';
import { onALog, topologiesAt } from './on-a-log.ts';
import { overAFile } from './over-a-file.ts';

describeWithKafkaAndRegistry('real baskets, out of order and some of them twice', () => {
  const place = newPlace('same', 4);
  let given: Arrivals;

  beforeAll(async () => {
    given = await arrivalsOf(8000, 2, place.partitions);
    expect(given.expected.labels.length).toBeGreaterThan(4000);
  });

  const outcome = async (log: Log, serdes: Serdes) => {
    try {
      return await onALog(log, serdes, place, given);
    } finally {
      await serdes.close();
      await log.close();
    }
  };

  it("have the oracle's labels and metrics on Kafka", async () => {
    await registerSchemas({ url: registryUrl }, schemasOf(topologiesAt(place), place));
    const log = kafkaLog({ brokers: kafkaBrokers.split(',') });
    expect(await outcome(log, confluentSerdes({ url: registryUrl }))).toEqual(given.expected);
  });

  it('have them on the embedded log', async () => {
    const path = await mkdtemp(join(tmpdir(), 'seral-same-labels-'));
    try {
      expect(await outcome(await embeddedLog({ path }), await embeddedSerdes())).toEqual(given.expected);
    } finally {
      await rm(path, { recursive: true, force: true });
    }
  });

  it('have them over a file', async () => {
    expect(await overAFile(given)).toEqual(given.expected);
  });
});
