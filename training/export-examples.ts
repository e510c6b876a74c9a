/**
 * node training/export-examples.ts [--data FOLDER] [--out FOLDER] [--cut-off DAY]
 *
 * Replays labels and profiles over a folder of data (events.ndjson.gz, catalog.ndjson.gz, users.ndjson) and writes what
 * training and evaluation read:
 *   examples.ndjson   one serendipitous click a line, see examples.ts
 *   items.ndjson      the catalog, each item with its purchases before the cut-off, and whether it was shown by then
 *   baskets.ndjson    items clicked in one request, of requests before the cut-off
 *   meta.json         cut-off and sha256 of what was read
 */
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { replayLabels } from '../src/cli/replay-labels.ts';
import { replayProfiles, type ProfileOutput } from '../src/cli/replay-profiles.ts';
import { NgramEmbedder } from '../src/inference/ngram-embedder.ts';
import { readLines } from '../src/log/ndjson.ts';
import { PROFILES_DEFAULTS } from '../src/profile/options.ts';
import { staticProfile } from '../src/profile/static-profile.ts';
import { answerExtractively } from '../src/profile/worker/answering.ts';
import { CatalogWords } from '../src/profile/worker/catalog-words.ts';
import type { SerendipityLabel } from '../src/serendipity/records.ts';
import { distinctItems, eventFromJson, type BehaviorEvent } from '../src/shop/behaviour.ts';
import { catalogFromJson, type CatalogItem } from '../src/shop/catalog.ts';
import { attributesFromJson } from '../src/shop/users.ts';
import { LABELS_DEFAULTS } from '../topologies/labels.ts';
import { examplesOf, PROMPT_VERSION, type Profiled } from './examples.ts';

const { values } = parseArgs({
  options: {
    data: { type: 'string', default: join(import.meta.dirname, '../data/completejourney') },
    out: { type: 'string', default: join(import.meta.dirname, 'work/data') },
    'cut-off': { type: 'string', default: '2017-10-20' },
  },
});
const cutOff = Date.parse(`${values['cut-off']}T00:00:00Z`);
if (Number.isNaN(cutOff)) throw new Error(`--cut-off ${values['cut-off']} is no day`);
const files = ['events.ndjson.gz', 'catalog.ndjson.gz', 'users.ndjson'] as const;
const [input, catalogFile, usersFile] = files.map((file) => join(values.data, file)) as [string, string, string];
const CACHE = 128 << 20;

async function rows<T>(path: string, read: (json: unknown) => T): Promise<T[]> {
  const all: T[] = [];
  for await (const lines of readLines(path)) all.push(...lines.map(({ value }) => read(value)));
  return all;
}

const folder = await mkdtemp(join(tmpdir(), 'seral-examples-'));
try {
  const labelsFile = join(folder, 'labels.ndjson');
  const none = { metrics: null, refused: null, cacheBytes: CACHE };
  await replayLabels({ input, output: labelsFile, catalog: catalogFile, rules: LABELS_DEFAULTS, ...none });
  const words = new CatalogWords();
  const embedder = new NgramEmbedder();
  const { same } = PROFILES_DEFAULTS.approval;
  const profilesFile = join(folder, 'profiles.ndjson');
  await replayProfiles({
    input,
    output: profilesFile,
    catalog: catalogFile,
    users: usersFile,
    history: true,
    record: null,
    options: PROFILES_DEFAULTS,
    answer: (request) => answerExtractively(request, words, { embedder, same, at: request.asked_at }),
    onItem: (item) => words.add(CatalogWords.row(item)),
    cacheBytes: CACHE,
  });

  const items = await rows(catalogFile, catalogFromJson);
  const catalog = new Map(items.map((item): [string, CatalogItem] => [item.item_id, item]));
  const users = await rows(usersFile, attributesFromJson);
  const events = await rows(input, eventFromJson);
  const examples = examplesOf({
    catalog,
    statics: new Map(
      users.map(({ user_id, attributes }) => [user_id, staticProfile(PROFILES_DEFAULTS.staticProfile, attributes)]),
    ),
    labels: await rows(labelsFile, (json) => json as SerendipityLabel),
    profiles: await rows(profilesFile, (json): Profiled => {
      const { topic, profile } = json as ProfileOutput;
      return { ...profile, long_term: topic === 'profile.long-term' };
    }),
    events,
    cutOff,
  });

  await mkdir(values.out, { recursive: true });
  const write = (name: string, all: readonly object[]): Promise<void> =>
    writeFile(join(values.out, name), all.map((row) => `${JSON.stringify(row)}\n`).join(''));
  await write('examples.ndjson', examples);
  const { purchases, baskets, shown } = before(events);
  await write(
    'items.ndjson',
    items.map(({ item_id, title, category_id, category_path }) => ({
      item_id,
      title,
      category_id,
      category_path,
      purchases: purchases.get(item_id) ?? 0,
      shown: shown.has(item_id),
    })),
  );
  await write('baskets.ndjson', baskets);
  const sums = await Promise.all(
    files.map(async (file) => {
      const bytes = await readFile(join(values.data, file));
      return [file, createHash('sha256').update(bytes).digest('hex')];
    }),
  );
  const count = (split: string): number => examples.filter((one) => one.split === split).length;
  const meta = {
    prompt_version: PROMPT_VERSION,
    cut_off: values['cut-off'],
    train: count('train'),
    test: count('test'),
    users: new Set(examples.map(({ user_id }) => user_id)).size,
    data: Object.fromEntries(sums),
  };
  await writeFile(join(values.out, 'meta.json'), `${JSON.stringify(meta, null, 2)}\n`);
  process.stdout.write(`${JSON.stringify(meta)}\n`);
} finally {
  await rm(folder, { recursive: true, force: true });
}

/** The cut-off. */
function before(events: readonly BehaviorEvent[]) {
  const purchases = new Map<string, number>();
  const shown = new Set<string>();
  const requests = new Map<string, { user_id: string; items: Set<string> }>();
  for (const event of events) {
    if (event.event_time >= cutOff) continue;
    for (const { item_id } of distinctItems(event)) {
      shown.add(item_id);
      if (event.event_type === 'purchase') purchases.set(item_id, (purchases.get(item_id) ?? 0) + 1);
      if (event.event_type !== 'click') continue;
      const key = `${event.user_id}\0${event.request_id}`;
      const basket = requests.get(key) ?? { user_id: event.user_id, items: new Set() };
      requests.set(key, basket);
      basket.items.add(item_id);
    }
  }
  const baskets = [...requests.values()].map(({ user_id, items }) => ({ user_id, items: [...items] }));
  return { purchases, baskets, shown };
}
