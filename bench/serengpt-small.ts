/**
 * node bench/serengpt-small.ts [--model FOLDER] [--users 200] [--threads 1]: what the embedded SerenGPT costs, on one
 * prompt a user of the shipped data's size: loading, 30 titles a user, memory.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { OnnxSampler } from '../src/inference/onnx/sampler.ts';
import { Prompts } from '../src/inference/prompts.ts';
import { promptOf } from '../src/serengpt/prompt.ts';
import { requestOf, shippedItems } from './asked.ts';

const root = join(import.meta.dirname, '..');
const { values } = parseArgs({
  options: {
    model: { type: 'string', default: join(root, 'models/serengpt-small') },
    users: { type: 'string', default: '200' },
    threads: { type: 'string', default: '1' },
  },
});
const users = Number(values.users);

const items = await shippedItems(5000);
const prompts = new Prompts();
const promptFor = (user: number): string =>
  promptOf(prompts, 'serengpt-compact-1', requestOf(user, items, Date.now())).user;

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
