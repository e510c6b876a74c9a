/** The labels and the metrics topology on a log, from produced events to what their readers see. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Registry } from 'prom-client';
import { encodeKey } from '../../src/log/keys.ts';
import type { Log } from '../../src/log/port.ts';
import type { Serdes } from '../../src/log/serde.ts';
import type { SerendipityLabel } from '../../src/serendipity/records.ts';
import type { BehaviorEvent } from '../../src/shop/behaviour.ts';
import type { CatalogItem } from '../../src/shop/catalog.ts';
import type { MetricsDay } from '../../src/serendipity/metrics.ts';
import { silent } from '../../src/stream/logger.ts';
import { Metrics } from '../../src/stream/metrics.ts';
import { Worker } from '../../src/stream/worker.ts';
import { labelsTopology } from '../../topologies/labels.ts';
import { metricsTopology } from '../../topologies/metrics.ts';
import type { Label, MetricsRow, RawEvent } from '../oracle/oracle.ts';
import { apart, createTopics, produce, removeTopics, untilProcessed, type Place } from '../support/apart.ts';
import { lastDays, lastRevisions, readAll } from '../support/outcome-of.ts';
import { eventOf } from '../support/sample.ts';

export const topologiesAt = (place: Place) => [apart(labelsTopology(), place), apart(metricsTopology(), place)];

export async function onALog(
  log: Log,
  serdes: Serdes,
  place: Place,
  input: { arrivals: readonly RawEvent[]; catalog: readonly CatalogItem[] },
): Promise<{ labels: Label[]; metrics: MetricsRow[] }> {
  const topologies = topologiesAt(place);
  const topics = await createTopics(log, topologies, place);
  const [events, items] = [`behavior.events${place.suffix}`, `catalog.items${place.suffix}`];
  const eventSerde = await serdes.serde<BehaviorEvent>(events, 'BehaviorEvent');
  const itemSerde = await serdes.serde<CatalogItem>(items, 'CatalogItem');
  await produce(
    log,
    input.catalog.map((item) => ({ topic: items, key: encodeKey(item.item_id), value: itemSerde.encode(item) })),
  );
  await produce(
    log,
    input.arrivals.map((raw) => ({
      topic: events,
      key: encodeKey(raw.user_id),
      value: eventSerde.encode(eventOf(raw)),
    })),
  );

  const stateDir = await mkdtemp(join(tmpdir(), 'seral-on-a-log-'));
  let failed: Error | null = null;
  const metrics = new Metrics(new Registry());
  const workers = topologies.map(
    (topology) =>
      new Worker({
        topology,
        log,
        serdes,
        options: { app: place.app, suffix: place.suffix, stateDir, cacheBytes: 16 << 20 },
        metrics,
        logger: silent,
        now: Date.now,
        random: Math.random,
        onFatal: (error) => (failed ??= error),
      }),
  );
  try {
    await Promise.all(workers.map((worker) => worker.start()));
    const check = () => {
      if (failed !== null) throw failed;
    };
    await untilProcessed(log, topologies, place, { check });
  } finally {
    await Promise.all(workers.map((worker) => worker.stop()));
    await rm(stateDir, { recursive: true, force: true });
  }

  const values = async <T>(topic: string, schema: string): Promise<T[]> => {
    const serde = await serdes.serde<T>(topic, schema);
    return (await readAll(log, `${topic}${place.suffix}`)).map(({ value }) => serde.decode(value));
  };
  const found = {
    labels: lastRevisions(await values<SerendipityLabel>('serendipity.labels', 'SerendipityLabel')),
    metrics: lastDays(await values<MetricsDay>('metrics.daily', 'MetricsDay')),
  };
  const letters = await Promise.all(topologies.map(({ name }) => readAll(log, `${name}.dlq${place.suffix}`)));
  if (letters.flat().length > 0) throw new Error(`${letters.flat().length} records went to the dead letters`);
  await removeTopics(log, topics);
  return found;
}
