/**
 * node training/evaluate.ts --data FOLDER --trained FOLDER: SerenGPT held out by time (paper, 5.1 to 5.3; docs/evaluation.md).
 *
 * For each held-out serendipitous click (after the cut-off, of a user with N visit days) the item is one of a hundred:
 * itself and 99 items at random that the user never clicked serendipitously. The model continues the prompt of what was
 * known before 30 times, and the samples are matched with the candidates' titles (matching.ts). Beside it: chance;
 * purchases before the cut-off, of the households that the model was trained on and of all; and the user's own tags and
 * last titles matched in place of the samples, which is retrieval without a model.
 *
 * Writes qrels.json, users.json and run-<method>.json, which check_metrics.py reads with pytrec_eval, and result.json.
 * `--tune` tries ways of matching on clicks before the cut-off, of households that were not trained on.
 */
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { table } from '../src/cli/table.ts';
import { OnnxEmbedder } from '../src/inference/onnx/embedder.ts';
import { OnnxSampler } from '../src/inference/onnx/sampler.ts';
import { randomOf } from '../src/inference/onnx/pick.ts';
import { readLines } from '../src/log/ndjson.ts';
import type { Example } from './examples.ts';
import { Likelihood } from './likelihood.ts';
import { Matching, Titles } from './matching.ts';
import { interval, metricsOf, rankOf, type Interval } from './ranking.ts';

const at = (...path: string[]): string => join(import.meta.dirname, ...path);
const { values: args } = parseArgs({
  options: {
    data: { type: 'string', default: at('work/data') },
    /** the data that the model was trained on */
    trained: { type: 'string', default: at('work/data') },
    out: { type: 'string', default: at('work/evaluation') },
    model: { type: 'string', default: at('../models/serengpt-small') },
    embedder: { type: 'string', default: at('../models/embedder-small') },
    /** clicks of one household, at most: none is to be the whole result */
    each: { type: 'string', default: '10' },
    /** negatives drawn evenly from the catalog, or by how often they were bought */
    negatives: { type: 'string', default: 'even' },
    tune: { type: 'boolean', default: false },
  },
});
const NEGATIVES = 99;
const SAMPLES = 30;
const SEED = 7;
const SHARPNESS = 12;
const FLOOR = 2;
/** distinct titles that a generated one brings, for the categories and their hit rate */
const RETRIEVED = 10;
const LAST_TITLES = 12;
const TUNING_DAYS = 45 * 86_400_000;

interface Item {
  item_id: string;
  title: string;
  category_id: string | null;
  purchases: number;
}

async function rows<T>(folder: string, file: string): Promise<T[]> {
  const all: T[] = [];
  for await (const lines of readLines(join(folder, file))) all.push(...lines.map(({ value }) => value as T));
  return all;
}
const hash = (text: string): number => createHash('sha256').update(text).digest().readUInt32LE(0) / 2 ** 32;

const items = (await rows<Item>(args.data, 'items.ndjson')).filter(({ title }) => title !== null && title !== '');
const itemOf = new Map(items.map((item) => [item.item_id, item]));
const boughtThere = new Map(
  (await rows<Item>(args.trained, 'items.ndjson')).map((one) => [one.item_id, one.purchases]),
);
const trainedOn = new Set((await rows<Example>(args.trained, 'examples.ndjson')).map(({ user_id }) => user_id));
const examples = await rows<Example>(args.data, 'examples.ndjson');
const liked = Map.groupBy(examples, ({ user_id }) => user_id);

const cutOff = Math.max(...examples.filter(({ split }) => split === 'train').map(({ click_time }) => click_time));
const wanted = ({ mature, split, user_id, click_time }: Example): boolean =>
  mature &&
  (args.tune ? split === 'train' && click_time > cutOff - TUNING_DAYS && !trainedOn.has(user_id) : split === 'test');
/** The same ones in each run. */
const asked = [...Map.groupBy(examples.filter(wanted), ({ user_id }) => user_id)]
  .sort(([a], [b]) => (a < b ? -1 : 1))
  .flatMap(([, own]) =>
    own
      .map((one) => ({ one, order: hash(`${SEED} ${one.user_id} ${one.click_time} ${one.item_id}`) }))
      .sort((a, b) => a.order - b.order)
      .slice(0, Number(args.each))
      .map(({ one }) => one),
  );

/** By purchases, of all households: what sells is no help then to tell the right one. */
let total = 0;
const upTo = items.map(({ purchases }) => (total += purchases));
function drawn(chance: number): Item {
  let [low, high] = [0, upTo.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (upTo[middle]! > chance * total) high = middle;
    else low = middle + 1;
  }
  return items[low]!;
}

function candidatesOf(example: Example, number: number): Item[] {
  const random = randomOf(SEED, number);
  const own = new Set(liked.get(example.user_id)!.map(({ item_id }) => item_id));
  const chosen = new Set<Item>();
  while (chosen.size < NEGATIVES) {
    const item = args.negatives === 'bought' ? drawn(random()) : items[Math.floor(random() * items.length)]!;
    if (!own.has(item.item_id)) chosen.add(item);
  }
  return [itemOf.get(example.item_id)!, ...chosen];
}

const sampler = await OnnxSampler.fromFolder(args.model);
const likelihood = await Likelihood.fromFolder(args.model);
const embedder = await OnnxEmbedder.fromFolder(args.embedder, { remembered: 200_000 });
const titles = new Titles(
  embedder,
  items.map(({ title }) => title),
);
await titles.vectors([...titles.counts.keys()]);
const categoriesOf = new Map(
  [...Map.groupBy(items, ({ title }) => title)].map(([title, all]) => [
    title,
    new Set(all.map((one) => one.category_id)),
  ]),
);

const boughtOf = new Map<string, number>();
for (const { item_id, title } of items) {
  boughtOf.set(title, (boughtOf.get(title) ?? 0) + (boughtThere.get(item_id) ?? 0));
}

type Score = (item: Item) => number;
interface Asked {
  example: Example;
  said: Float32Array[];
  own: Float32Array[];
  /** by title: how likely it is, in the logarithm */
  likely: ReadonlyMap<string, number>;
  random: () => number;
}

const matching = new Matching(titles, { sharpness: SHARPNESS, floor: FLOOR });
/** An item's share of what its title is worth, in the logarithm. */
const shareOf = (title: string, likely: ReadonlyMap<string, number>): number =>
  likely.get(title)! - Math.log(titles.counts.get(title)!);
/** Purchases and a score that say each its own: as chances multiply. */
const and = (purchases: number, score: number): number => (purchases + 0.3) * score;
const methods: Record<string, (asked: Asked) => Score> = args.tune
  ? Object.fromEntries(
      [6, 12, 24].flatMap((sharpness) =>
        [2, 20].map((floor) => {
          const tried = new Matching(titles, { sharpness, floor });
          return [
            `${sharpness}/${floor}`,
            ({ said }: Asked) =>
              (item: Item) =>
                tried.score(item.title, said),
          ];
        }),
      ),
    )
  : {
      chance:
        ({ random }) =>
        () =>
          random(),
      'own tags and titles':
        ({ own }) =>
        (item) =>
          matching.score(item.title, own),
      purchases: () => (item) => boughtThere.get(item.item_id) ?? 0,
      'purchases of the title':
        () =>
        ({ title }) =>
          boughtOf.get(title)! / titles.counts.get(title)!,
      'purchases of all': () => (item) => item.purchases,
      SerenGPT:
        ({ said }) =>
        (item) =>
          matching.score(item.title, said),
      'SerenGPT and purchases':
        ({ said }) =>
        (item) =>
          and(boughtThere.get(item.item_id) ?? 0, matching.score(item.title, said)),
      likelihood:
        ({ likely }) =>
        ({ title }) =>
          shareOf(title, likely),
      'likelihood and purchases':
        ({ likely }) =>
        ({ item_id, title }) =>
          and(boughtThere.get(item_id) ?? 0, Math.exp(shareOf(title, likely))),
    };
const names = Object.keys(methods);
const runs: Record<string, Record<string, Record<string, number>>> = Object.fromEntries(
  names.map((name) => [name, {}]),
);
const ranks: Record<string, { user: string; rank: number }[]> = Object.fromEntries(names.map((name) => [name, []]));
const qrels: Record<string, Record<string, number>> = {};
const generated: ({ user: string } & Record<(typeof SAID)[number], number>)[] = [];
const SAID = ['unique', 'valid', 'right category', 'copied', 'categories', 'hit', 'finished'] as const;

const never = new AbortController().signal;
const begun = performance.now();
for (const [number, example] of asked.entries()) {
  const { samples } = await sampler.sample(
    {
      system: null,
      prompt: example.prompt,
      samples: SAMPLES,
      temperature: 0.95,
      repetitionPenalty: 1.05,
      maxTokens: 24,
      seed: SEED + number * SAMPLES,
    },
    never,
  );
  const texts = samples.map(({ text }) => text.toLowerCase());
  const history = [...new Set(example.history.map((text) => text.toLowerCase()))];
  const candidates = candidatesOf(example, number);
  const distinct = [...new Set(candidates.map(({ title }) => title))];
  const likely = args.tune ? [] : await likelihood.of(example.prompt, distinct);
  const one: Asked = {
    example,
    said: await titles.vectors(texts),
    own: await titles.vectors([...example.tags.map((tag) => tag.toLowerCase()), ...history.slice(-LAST_TITLES)]),
    likely: new Map(distinct.map((title, i) => [title, likely[i]!])),
    random: randomOf(SEED + 1, number),
  };
  const query = `q${number}`;
  qrels[query] = { [example.item_id]: 1 };
  for (const name of names) {
    const score = methods[name]!(one);
    const scores = candidates.map(score);
    // equal scores stand in an order of chance, the same for every method: where the right one stands in the list says nothing
    const order = candidates
      .map(({ item_id }, i) => ({ i, score: scores[i]!, tie: hash(`${query} ${item_id}`) }))
      .sort((a, b) => b.score - a.score || b.tie - a.tie);
    const places = new Array<number>(candidates.length);
    order.forEach(({ i }, place) => (places[i] = candidates.length - place));
    ranks[name]!.push({ user: example.user_id, rank: rankOf(places, 0) });
    runs[name]![query] = Object.fromEntries(candidates.map(({ item_id }, i) => [item_id, places[i]!]));
  }
  const share = (holds: (text: string) => boolean): number => texts.filter(holds).length / SAMPLES;
  const inPrompt = new Set(example.prompt.split('\n').flatMap((line) => line.replace(/^did: /, '').split('; ')));
  const categories = new Set(
    [...new Set(texts)].flatMap((text) =>
      titles.nearest(text, RETRIEVED).flatMap((title) => [...categoriesOf.get(title)!]),
    ),
  );
  generated.push({
    user: example.user_id,
    unique: new Set(texts).size,
    valid: share((text) => titles.counts.has(text)),
    'right category': share((text) => categoriesOf.get(text)?.has(example.category_id) === true),
    // the prompt has its lists' signs taken out of titles
    copied: share((text) => inPrompt.has(text.replaceAll(';', ','))),
    categories: categories.size,
    hit: categories.has(example.category_id) ? 1 : 0,
    finished: samples.filter(({ finished }) => finished).length / SAMPLES,
  });
  if ((number + 1) % 200 === 0) process.stderr.write(`${number + 1} of ${asked.length}\n`);
}
const seconds = (performance.now() - begun) / 1000;
await sampler.close();
await embedder.close();

const shown = ({ mean, low, high }: Interval): string => `${fixed(mean)} (${fixed(low)}–${fixed(high)})`;
const fixed = (value: number): string => (value >= 10 ? value.toFixed(1) : value.toFixed(3));
const groups: Record<string, (user: string) => boolean> = {
  all: () => true,
  'trained on before the cut-off': (user) => trainedOn.has(user),
  'never seen': (user) => !trainedOn.has(user),
};
const result: Record<string, unknown> = {
  model: sampler.name,
  embedder: embedder.name,
  samples: SAMPLES,
  seed: SEED,
  sharpness: SHARPNESS,
  floor: FLOOR,
  negatives: args.negatives,
};
for (const [group, holds] of Object.entries(groups)) {
  const of = <T extends { user: string }>(all: readonly T[]): T[] => all.filter(({ user }) => holds(user));
  const clicks = of(generated);
  if (clicks.length === 0) continue;
  const users = new Set(clicks.map(({ user }) => user)).size;
  const metrics = Object.fromEntries(names.map((name) => [name, metricsOf(of(ranks[name]!))]));
  const said = Object.fromEntries(
    SAID.map((part) => [part, interval(clicks.map((one) => ({ user: one.user, value: one[part] })))]),
  );
  process.stdout.write(`\n${group}: ${clicks.length} clicks of ${users} households\n`);
  const measures = Object.keys(metrics[names[0]!]!);
  const lines = names.map((name) => [name, ...measures.map((measure) => metrics[name]![measure]!)] as const);
  process.stdout.write(
    `${table(
      ['', ...measures],
      lines.map(([name, ...all]) => [name, ...all.map(({ mean }) => mean.toFixed(3))]),
    )}\n`,
  );
  const certain = ['HR@1', 'HR@10', 'NDCG@10', 'MAP@10'];
  process.stdout.write(
    `${table(
      ['95 % of households drawn again', ...certain],
      names.map((name) => [name, ...certain.map((measure) => shown(metrics[name]![measure]!))]),
    )}\n`,
  );
  process.stdout.write(
    `${table(
      ['of 30 titles', ''],
      SAID.map((part) => [part, shown(said[part]!)]),
    )}\n`,
  );
  result[group] = { clicks: clicks.length, users, metrics, said };
}
if (!args.tune) {
  await mkdir(args.out, { recursive: true });
  const write = (name: string, value: unknown): Promise<void> =>
    writeFile(join(args.out, name), `${JSON.stringify(value, null, 1)}\n`);
  await write('result.json', result);
  await write('qrels.json', qrels);
  await write('users.json', Object.fromEntries(asked.map(({ user_id }, number) => [`q${number}`, user_id])));
  for (const name of names) await write(`run-${name.replaceAll(' ', '-')}.json`, runs[name]);
}
process.stdout.write(`\n${asked.length} prompts in ${seconds.toFixed(0)} s\n`);
