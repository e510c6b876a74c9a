import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { SerendipityLabel } from '../serendipity/records.ts';
import { eventFromJson } from '../shop/behaviour.ts';
import type { CatalogItem } from '../shop/catalog.ts';
import type { MetricsDay } from '../serendipity/metrics.ts';
import { embeddedLog } from '../log/embedded/index.ts';
import { readLines, sizeOf } from '../log/ndjson.ts';
import { readTopic } from '../log/read-topic.ts';
import { embeddedSerdes } from '../log/registry/embedded.ts';
import type { Log, OutRecord } from '../log/port.ts';
import type { Serdes } from '../log/serde.ts';
import { namesOf } from '../stream/names.ts';
import { compileConfig, type Config } from './config.ts';
import type { Logger } from './logging.ts';
import { progress } from './progress.ts';
import { runTopologies } from './run-topologies.ts';
import { table } from './table.ts';
import { wantedTopics } from './topic-plan.ts';
import { buildTopologies } from './topologies.ts';
import { humanCount, humanDuration } from './units.ts';
import { explainLabel } from './words.ts';

/** The shops of the sample are there; its days are theirs. */
const TIME_ZONE = 'America/New_York';
const DATA = join(import.meta.dirname, '../../data/completejourney');

export interface DemoOptions {
  /** made anew, and left behind so that what the demo wrote can be asked about */
  folder: string;
  /** end after the summary */
  once: boolean;
  stop: AbortSignal;
  logger: Logger;
  print: (text: string) => void;
}

/** The whole flow on this machine: the shipped sample goes into an embedded log, the live topologies run over it. */
export async function demo({ folder, once, stop, logger, print }: DemoOptions): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  const config = demoConfig(folder, once);
  const begun = performance.now();
  const log = await embeddedLog({ path: config.embedded.path });
  const serdes = await embeddedSerdes();
  try {
    const topologies = buildTopologies(['labels', 'metrics'], config);
    const admin = log.admin();
    await admin.create(wantedTopics(topologies, config));
    await admin.close();
    const titles = await load(log, serdes, stop);

    const ending = new AbortController();
    stop.addEventListener('abort', () => ending.abort(), { once: true });
    if (stop.aborted) return;
    let url = '';
    const running = runTopologies({
      config,
      topologies,
      log,
      serdes,
      logger,
      stop: ending.signal,
      onListening: (at) => (url = at),
    });
    try {
      await Promise.race([running, caughtUp(log, config, ending.signal)]);
      if (stop.aborted) return;
      print(await summary(log, serdes, titles, performance.now() - begun));
      if (!once) {
        print(
          `\nThe job goes on. ${url}/ready says what each task does, ${url}/metrics has its figures. Ctrl-C ends it.\n`,
        );
        await running;
      }
    } finally {
      ending.abort();
      await running;
    }
  } finally {
    await serdes.close();
    await log.close();
  }
}

function demoConfig(folder: string, once: boolean): Config {
  const { config } = compileConfig(null, {});
  config.app = 'demo';
  config.log.kind = 'embedded';
  config.embedded.path = join(folder, 'log');
  config.runtime.stateDir = join(folder, 'state');
  config.topics.partitions = 4;
  config.labels.timeZone = TIME_ZONE;
  if (once) config.http.port = 0;
  return config;
}

/** Puts the sample into the log; returns the items' titles. */
async function load(log: Log, serdes: Serdes, stop: AbortSignal): Promise<Map<string, string>> {
  const titles = new Map<string, string>();
  const producer = log.producer();
  await producer.open();
  try {
    const items = await serdes.serde<CatalogItem>('catalog.items', 'CatalogItem');
    for await (const lines of readLines(join(DATA, 'catalog.ndjson.gz'))) {
      const rows = lines.map(({ value }) => value as CatalogItem);
      for (const { item_id, title } of rows) if (title) titles.set(item_id, title);
      await producer.send(
        rows.map((row) => ({ topic: 'catalog.items', key: Buffer.from(row.item_id), value: items.encode(row) })),
      );
    }
    const path = join(DATA, 'events.ndjson.gz');
    const bar = progress('behaviour log', await sizeOf(path), 'bytes');
    const events = await serdes.serde('behavior.events', 'BehaviorEvent');
    let count = 0;
    for await (const lines of readLines(path, { onProgress: bar.update })) {
      if (stop.aborted) break;
      const records = lines.map(({ value }): OutRecord => {
        const event = eventFromJson(value);
        return { topic: 'behavior.events', key: Buffer.from(event.user_id), value: events.encode(event) };
      });
      await producer.send(records);
      count += records.length;
    }
    bar.stop(`behaviour log: ${humanCount(count)} events and ${humanCount(titles.size)} items are in the embedded log`);
  } finally {
    await producer.close();
  }
  return titles;
}

/** Resolves when the labels have read all events and the metrics all that follows from them. */
async function caughtUp(log: Log, config: Config, signal: AbortSignal): Promise<void> {
  const admin = log.admin();
  const bar = progress('labels', null, 'events');
  const behind = async (topology: string, topics: string[]): Promise<{ left: number; done: number }> => {
    let left = 0;
    let done = 0;
    for (const topic of topics) {
      const ends = await admin.offsets(topic);
      const positions = await admin.committed(
        namesOf(topology, config).group,
        ends.map(({ partition }) => ({ topic, partition })),
      );
      ends.forEach(({ end, start }, i) => {
        left += end - (positions[i] ?? start);
        done += (positions[i] ?? start) - start;
      });
    }
    return { left, done };
  };
  try {
    for (let quiet = 0; quiet < 2 && !signal.aborted;) {
      await new Promise((wake) => setTimeout(wake, 150));
      const labels = await behind('labels', ['behavior.events']);
      bar.update(labels.done);
      const metrics = await behind('metrics', ['serendipity.user-days', 'demo-metrics-deltas']);
      quiet = labels.left === 0 && metrics.left === 0 ? quiet + 1 : 0;
    }
  } finally {
    bar.stop();
    await admin.close();
  }
}

async function readAll<T>(
  log: Log,
  serdes: Serdes,
  topic: string,
  schema: string,
  each: (key: string, value: T) => void,
): Promise<void> {
  const serde = await serdes.serde<T>(topic, schema);
  await readTopic(log, topic, ({ key, value }) => {
    if (value !== null) each(key!.toString(), serde.decode(value));
  });
}

async function summary(log: Log, serdes: Serdes, titles: Map<string, string>, ms: number): Promise<string> {
  const labels = new Map<string, SerendipityLabel>();
  await readAll<SerendipityLabel>(log, serdes, 'serendipity.labels', 'SerendipityLabel', (_key, label) =>
    labels.set(label.label_id, label),
  );
  const days = new Map<string, MetricsDay>();
  await readAll<MetricsDay>(log, serdes, 'metrics.daily', 'MetricsDay', (key, row) => days.set(key, row));
  const held = [...labels.values()].filter(({ withdrawn }) => !withdrawn);
  const users = new Set(held.map(({ user_id }) => user_id)).size;
  return [
    `\n${humanCount(held.length)} clicks of ${users} households labelled, each by what the household had been shown, in ${humanDuration(ms)}.\n`,
    outcomes(held),
    'By month, of what was shown (S-PVR) and of what was clicked, the share that was new in category, brand or seller:\n',
    months([...days.values()]),
    'Some labels, in words:\n',
    examples(held, titles)
      .map((text) => `  - ${text}`)
      .join('\n'),
  ].join('\n');
}

const share = (part: number, whole: number): string => (whole === 0 ? '-' : `${((100 * part) / whole).toFixed(1)} %`);

function outcomes(labels: readonly SerendipityLabel[]): string {
  const count = (of: (label: SerendipityLabel) => boolean) => labels.filter(of).length;
  const rows: [string, number][] = [
    [
      'serendipitous: a category not shown in the last 10 visit days',
      count((l) => l.serendipitous && l.visit_days >= 10),
    ],
    ['serendipitous, of a household with fewer visit days', count((l) => l.serendipitous && l.visit_days < 10)],
    ['not serendipitous: the category had been shown', count((l) => !l.serendipitous && l.unlabelled === null)],
    ['not labelled: no category is known', count((l) => l.unlabelled !== null)],
  ];
  return table(
    ['outcome', 'clicks', 'share'],
    rows.map(([name, n]) => [name, humanCount(n), share(n, labels.length)]),
  );
}

function months(days: readonly MetricsDay[]): string {
  const sums = new Map<string, { exposures: number; sExposures: number; clicks: number; sClicks: number }>();
  for (const row of days) {
    const month = row.day.slice(0, 7);
    const sum = sums.get(month) ?? { exposures: 0, sExposures: 0, clicks: 0, sClicks: 0 };
    sum.exposures += row.exposures;
    sum.sExposures += row.s_exposures;
    sum.clicks += row.clicks;
    sum.sClicks += row.s_clicks;
    sums.set(month, sum);
  }
  const rows = [...sums]
    .sort()
    .map(([month, sum]) => [
      month,
      humanCount(sum.exposures),
      share(sum.sExposures, sum.exposures),
      humanCount(sum.clicks),
      share(sum.sClicks, sum.clicks),
    ]);
  return table(['month', 'exposures', 'S-PVR', 'clicks', 'of them serendipity-related'], rows);
}

/** One household each: the longest gaps, categories never seen, and one that had been shown a moment before. */
function examples(labels: readonly SerendipityLabel[], titles: Map<string, string>): string[] {
  const taken = new Set<string>();
  const told: string[] = [];
  const tell = (candidates: SerendipityLabel[], n: number) => {
    for (const label of candidates) {
      if (n === 0) return;
      if (taken.has(label.user_id) || !titles.has(label.item_id)) continue;
      taken.add(label.user_id);
      told.push(explainLabel(label, { title: titles.get(label.item_id), timeZone: TIME_ZONE }));
      n--;
    }
  };
  const gap = (label: SerendipityLabel) => label.click_time - (label.category_last_seen ?? label.click_time);
  const known = labels
    .filter(({ visit_days }) => visit_days >= 10)
    .sort((a, b) => a.click_time - b.click_time || (a.label_id < b.label_id ? -1 : 1));
  const seen = known.filter(({ serendipitous, unlabelled }) => !serendipitous && unlabelled === null);
  tell(
    known.filter(({ serendipitous, user_id }) => serendipitous && user_id === 'h993'),
    1,
  );
  tell(
    known.filter(({ serendipitous }) => serendipitous).filter((_, i) => i % 211 === 0),
    2,
  );
  tell(
    [...seen].sort((a, b) => gap(b) - gap(a)),
    2,
  );
  tell(
    seen.filter(({ novel_brand }) => novel_brand).filter((_, i) => i % 101 === 0),
    1,
  );
  tell(
    labels.filter(({ visit_days, serendipitous }) => serendipitous && visit_days === 1),
    1,
  );
  return told;
}
