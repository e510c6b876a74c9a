/**
 * node bench/serengpt-small.ts [--model FOLDER] [--users 200] [--threads 1]: what the embedded SerenGPT costs, on one
 * prompt a user of the shipped data's size: loading, 30 titles a user, memory.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { OnnxSampler } from '../src/inference/onnx/sampler.ts';
import { Prompts } from '../src/inference/prompts.ts';
import { readLines } from '../src/log/ndjson.ts';
import { promptOf } from '../src/serengpt/prompt.ts';
import type { ChannelBehaviour } from '../src/serengpt/records.ts';
import { catalogFromJson } from '../src/shop/catalog.ts';

const root = join(import.meta.dirname, '..');
const { values } = parseArgs({
  options: {
    model: { type: 'string', default: join(root, 'models/serengpt-small') },
    users: { type: 'string', default: '200' },
    threads: { type: 'string', default: '1' },
  },
});
const users = Number(values.users);

const titles: string[] = [];
for await (const lines of readLines(join(root, 'data/completejourney/catalog.ndjson.gz'))) {
  titles.push(...lines.flatMap(({ value }) => catalogFromJson(value).title ?? []));
  if (titles.length > 5000) break;
}
const prompts = new Prompts();
const promptFor = (user: number): string => {
  const text = (i: number): string => titles[(user * 997 + i * 131) % titles.length]!;
  const history = Array.from({ length: 12 }, (_, i): ChannelBehaviour => {
    return { time: i, kind: 'purchase', text: text(i), item_id: null, category_id: null, brand_id: null };
  });
  const tags = Array.from({ length: 16 }, (_, i) => {
    return { tag: text(50 + i).slice(0, 16), group: 'category', score: 1, long_term: i % 2 === 0 };
  });
  const static_profile = 'age 35-44, income 50-74K, Married, Homeowner, household of 4';
  return promptOf(prompts, 'serengpt-compact-1', { static_profile, tags, history }).user;
};

const residentBefore = process.memoryUsage.rss();
const begun = performance.now();
const sampler = await OnnxSampler.fromFolder(values.model, { threads: Number(values.threads) });
const loaded = performance.now() - begun;
const request = { system: null, samples: 30, temperature: 0.95, repetitionPenalty: 1.05, maxTokens: 24 };
const { signal } = new AbortController();
const taken: number[] = [];
let [promptTokens, completionTokens] = [0, 0];
for (let user = 0; user < users; user++) {
  const at = performance.now();
  const sampled = await sampler.sample({ ...request, prompt: promptFor(user), seed: user * 30 }, signal);
  taken.push(performance.now() - at);
  promptTokens += sampled.promptTokens;
  completionTokens += sampled.completionTokens;
}
taken.sort((a, b) => a - b);
const quantile = (q: number): string => taken[Math.floor((taken.length - 1) * q)]!.toFixed(0);
const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(0);
const closing = performance.now();
await sampler.close();
process.stdout.write(
  `${sampler.name}, ${values.threads} thread(s)\n` +
    `loaded in ${loaded.toFixed(0)} ms, closed in ${(performance.now() - closing).toFixed(0)} ms\n` +
    `30 titles a user: ms at p50 ${quantile(0.5)}, p95 ${quantile(0.95)}, most ${quantile(1)}; ` +
    `${(promptTokens / users).toFixed(0)} tokens of prompt, ${(completionTokens / users).toFixed(0)} of titles a user\n` +
    `resident ${megabytes(residentBefore)} MB before, ${megabytes(process.resourceUsage().maxRSS * 1024)} MB at most\n`,
);
