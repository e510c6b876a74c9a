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
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { distinctItems, type BehaviorEvent } from '../src/shop/behaviour.ts';
import { examplesOf, PROMPT_VERSION } from './examples.ts';
import { replayed, sourcesIn } from './replayed.ts';

const { values } = parseArgs({
  options: {
    data: { type: 'string', default: join(import.meta.dirname, '../data/completejourney') },
    out: { type: 'string', default: join(import.meta.dirname, 'work/data') },
    'cut-off': { type: 'string', default: '2017-10-20' },
  },
});
const cutOff = Date.parse(`${values['cut-off']}T00:00:00Z`);
if (Number.isNaN(cutOff)) throw new Error(`--cut-off ${values['cut-off']} is no day`);
const sources = sourcesIn(values.data);
const { items, catalog, statics, labels, profiles, events } = await replayed(sources);
const examples = examplesOf({ catalog, statics, labels, profiles, events, cutOff });

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
  Object.values(sources).map(async (path) => {
    const bytes = await readFile(path);
    return [basename(path), createHash('sha256').update(bytes).digest('hex')];
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
