/**
 * node training/export-pre-rank.ts [--data FOLDER] [--out FOLDER] [--cut-off DAY] [--each N] ...: what the pre-ranker learns
 * from (paper, 4.4.1).
 *
 * Visits of users become requests; each goes the channel's own way, by its own code: the model's titles, retrieval over the
 * catalog, features. What the user clicked within a day of it says which of the found items were right. So nothing is learned
 * that the worker does not see in the same way. Written are
 *   rows.f32      features of one item after the other, float32
 *   rows.ndjson   of each: request, split, label (2 serendipitous click, 1 other click, 0 none), near (the item is of the
 *                 category of a serendipitous click of that day, or close to one), score (of retrieval alone)
 *   meta.json     names of the features, counts, models, cut-off
 */
import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { cosine, type Embedder } from '../src/inference/embedder.ts';
import { NgramEmbedder } from '../src/inference/ngram-embedder.ts';
import { OnnxEmbedder } from '../src/inference/onnx/embedder.ts';
import { randomOf } from '../src/inference/onnx/pick.ts';
import { OnnxSampler } from '../src/inference/onnx/sampler.ts';
import { Prompts } from '../src/inference/prompts.ts';
import { contextOf, itemsNamed } from '../src/nearline/pre-rank/context.ts';
import { FEATURES, featuresOf } from '../src/nearline/pre-rank/features.ts';
import { EmbeddedRetriever } from '../src/nearline/retrieval/embedded.ts';
import type { Found } from '../src/nearline/retriever.ts';
import { retrievalScore } from '../src/nearline/worker/select.ts';
import { RETRIEVAL_DEFAULTS } from '../src/nearline/worker/settings.ts';
import { REGENERATION_DEFAULTS } from '../src/serengpt/options.ts';
import type { Generation, RegenerationRequest } from '../src/serengpt/records.ts';
import { Generating } from '../src/serengpt/worker/generating.ts';
import { SERENGPT_WORKER_DEFAULTS } from '../src/serengpt/worker/settings.ts';
import { silent } from '../src/stream/logger.ts';
import { MATURE, tagsOf, timelines } from './examples.ts';
import { replayed, sourcesIn } from './replayed.ts';

const at = (...path: string[]): string => join(import.meta.dirname, ...path);
const text = (fallback: string) => ({ type: 'string', default: fallback }) as const;
const { values: args } = parseArgs({
  options: {
    data: text(at('../data/completejourney')),
    out: text(at('work/pre-rank')),
    'cut-off': text('2017-10-20'),
    model: text(at('../models/serengpt-small')),
    /** a folder, or ngram */
    embedder: text(at('../models/embedder-small')),
    /** requests of one user, to learn from and held out */
    each: text('12'),
    'each-test': text('6'),
    /** items of a text and channel: more than the worker takes where it is learned from, for more right ones */
    'per-text': text('60'),
    seed: text('7'),
  },
});
const DAY = 86_400_000;
const EACH = { train: Number(args.each), test: Number(args['each-test']) };
const cutOff = Date.parse(`${args['cut-off']}T00:00:00Z`);
/** Of each training request: found items that were not clicked, though near to what was, and others. */
const NEAR_KEPT = 40;
const OTHERS_KEPT = 40;
/** cosine from which on an item is near another */
const NEAR = 0.6;

const sources = sourcesIn(args.data);
const { items, catalog, statics, labels, profiles, events } = await replayed(sources);
const users = timelines(events, profiles, catalog);
const random = randomOf(Number(args.seed), 1);

interface Visit {
  user: string;
  time: number;
  split: 'train' | 'test';
  /** what was clicked within a day of it: true where it was serendipitous */
  clicked: Map<string, boolean>;
}

/** Moments at which the channel would have been asked and of which it is known what came of them. */
function visits(): Visit[] {
  const all: Visit[] = [];
  for (const [user, own] of Map.groupBy(labels, ({ user_id }) => user_id)) {
    const mature = own.filter(({ visit_days }) => visit_days >= MATURE);
    const requests = users.get(user)!.requests;
    const times = new Set(mature.filter((one) => one.serendipitous).map((one) => requests.get(one.request_id ?? '')));
    for (const split of ['train', 'test'] as const) {
      // a day apart from the cut-off: what is learned from is over before it
      const within = (time: number) => (split === 'train' ? time + DAY < cutOff : time >= cutOff);
      const chosen = shuffled([...times].filter((time): time is number => time !== undefined && within(time)));
      for (const time of chosen.slice(0, EACH[split])) {
        const soon = mature.filter(({ click_time }) => click_time >= time && click_time < time + DAY);
        const clicked = new Map(soon.map((one) => [one.item_id, one.serendipitous]));
        all.push({ user, time, split, clicked });
      }
    }
  }
  return all.sort((a, b) => a.time - b.time);
}

function shuffled<T>(list: T[]): T[] {
  for (let i = list.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [list[i], list[j]] = [list[j]!, list[i]!];
  }
  return list;
}

function requestOf({ user, time }: Visit): RegenerationRequest {
  const known = users.get(user)!;
  const { samples, history, promptVersion } = REGENERATION_DEFAULTS;
  return {
    request_id: `${user}/${time}`,
    user_id: user,
    round: 1,
    attempt: 1,
    asked_at: time,
    expires_at: Infinity,
    valid_until: time + DAY,
    reason: 'missing',
    prompt_version: promptVersion,
    samples,
    queries: 0,
    static_profile: statics.get(user) ?? null,
    tags: [false, true].flatMap((long) => tagsOf(known.profiles, long, time)),
    history: known.behaviours.filter((one) => one.time < time).slice(-history),
  };
}

/** What is learned from: all that was clicked, and some of the rest, most of it near. */
function kept(found: readonly Found[], near: readonly boolean[], { split, clicked }: Visit): number[] {
  const all = found.map((_, i) => i);
  if (split === 'test') return all;
  const missed = all.filter((i) => !clicked.has(found[i]!.item.item_id));
  return [
    ...all.filter((i) => clicked.has(found[i]!.item.item_id)),
    ...shuffled(missed.filter((i) => near[i])).slice(0, NEAR_KEPT),
    ...shuffled(missed.filter((i) => !near[i])).slice(0, OTHERS_KEPT),
  ];
}

const embedder: Embedder & { close?: () => Promise<void> } =
  args.embedder === 'ngram' ? new NgramEmbedder() : await OnnxEmbedder.fromFolder(args.embedder);
const sampler = await OnnxSampler.fromFolder(args.model);
const retriever = new EmbeddedRetriever({ embedder, logger: silent, now: Date.now });
const { signal } = new AbortController();
for (const item of items) retriever.put(item);
await retriever.settled();
const generating = new Generating({
  ...SERENGPT_WORKER_DEFAULTS,
  sampler,
  prompts: new Prompts(),
  logger: silent,
  now: Date.now,
});

const features: Buffer[] = [];
const lines: string[] = [];
const counts = {
  train: { requests: 0, rows: 0, serendipitous: 0, clicked: 0 },
  test: { requests: 0, rows: 0, serendipitous: 0, clicked: 0 },
};
const reach = { serendipitous: 0, found: 0 };

async function exported(visit: Visit): Promise<void> {
  const { answer } = await generating.answer(requestOf(visit), signal);
  const generation: Generation = answer;
  if (generation.texts.length === 0) return;
  const k = visit.split === 'train' ? Number(args['per-text']) : RETRIEVAL_DEFAULTS.perText;
  const { found } = await retriever.retrieve(generation.texts, k, signal);
  const context = await contextOf(generation, await retriever.items(itemsNamed(generation)), embedder);
  const rows = featuresOf(context, found);
  const right = [...visit.clicked].filter(([, serendipitous]) => serendipitous).map(([id]) => id);
  const known = [...(await retriever.items(right)).values()];
  const categories = new Set(known.map(({ category_id }) => category_id).filter((id) => id !== null));
  const near = found.map(
    ({ item }) =>
      categories.has(item.category_id ?? '') ||
      known.some(({ vector }) => vector !== null && item.vector !== null && cosine(vector, item.vector) >= NEAR),
  );
  const count = counts[visit.split];
  count.requests++;
  if (visit.split === 'test') reach.serendipitous += right.length;
  const request = `${visit.user}/${visit.time}`;
  for (const i of kept(found, near, visit)) {
    const one = found[i]!;
    const serendipitous = visit.clicked.get(one.item.item_id);
    const label = serendipitous === undefined ? 0 : serendipitous ? 2 : 1;
    count.rows++;
    if (label === 2) count.serendipitous++;
    if (label === 1) count.clicked++;
    if (label === 2 && visit.split === 'test') reach.found++;
    const row = rows.subarray(i * FEATURES.length, (i + 1) * FEATURES.length);
    features.push(Buffer.from(row.slice().buffer));
    const score = retrievalScore(one);
    lines.push(JSON.stringify({ request, user: visit.user, split: visit.split, label, near: near[i], score }));
  }
}

const all = visits();
for (const [i, visit] of all.entries()) {
  await exported(visit);
  if (i % 50 === 49) process.stderr.write(`${i + 1} of ${all.length} requests, ${lines.length} rows\n`);
}

await mkdir(args.out, { recursive: true });
await writeFile(join(args.out, 'rows.f32'), Buffer.concat(features));
await writeFile(join(args.out, 'rows.ndjson'), lines.map((line) => `${line}\n`).join(''));
const sums = await Promise.all(
  Object.values(sources).map(async (path) => [
    basename(path),
    createHash('sha256')
      .update(await readFile(path))
      .digest('hex'),
  ]),
);
const meta = {
  features: FEATURES,
  cut_off: args['cut-off'],
  counts,
  // of the serendipitous clicks of held-out requests, those whose item retrieval found
  reach,
  model: sampler.name,
  embedder: embedder.name,
  retriever: retriever.name,
  per_text: { train: Number(args['per-text']), test: RETRIEVAL_DEFAULTS.perText },
  data: Object.fromEntries(sums),
};
await writeFile(join(args.out, 'meta.json'), `${JSON.stringify(meta, null, 2)}\n`);
process.stdout.write(`${JSON.stringify(meta)}\n`);
await sampler.close();
await embedder.close?.();
await retriever.close();
