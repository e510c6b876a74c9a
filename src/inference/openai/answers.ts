/** What comes back from a server that speaks OpenAI's chat protocol, good or bad, read without believing any of it. */
import { InferenceError } from '../../errors.ts';
import type { Generated } from '../generator.ts';
import type { Sample, Sampled } from '../sampler.ts';

/** Of what a server says of its refusal. */
const SAID = 160;
/** Characters in a row that a refusal may share with a prompt before it is taken for an echo of it. */
const ECHO = 16;

/** An attempt that failed, with how long the server asks to be left alone. */
export class AttemptFailed extends InferenceError {
  readonly status: number | null;
  readonly retryAfterMs: number;

  constructor(code: string, message: string, options: { retriable: boolean; status?: number; retryAfterMs?: number }) {
    super(code, message, { retriable: options.retriable });
    this.status = options.status ?? null;
    this.retryAfterMs = options.retryAfterMs ?? 0;
  }
}

/** The answer in a response of status 200. Throws AttemptFailed where it is no such response. */
export function generatedOf(body: string): Generated {
  const response = parsed(body);
  const choice = at(at(response, 'choices'), 0);
  const text = at(at(choice, 'message'), 'content');
  if (typeof text !== 'string') throw noSuchResponse('has no choices[0].message.content');
  const reason = at(choice, 'finish_reason');
  return { text, ...usageOf(response), finishReason: typeof reason === 'string' ? reason : null };
}

/** All choices of such a response, of completions or of a chat, as many as there are. Throws AttemptFailed where there is none. */
export function sampledOf(body: string): Sampled {
  const response = parsed(body);
  const choices = at(response, 'choices');
  const samples = (Array.isArray(choices) ? choices : []).flatMap((choice): Sample[] => {
    const text = at(choice, 'text') ?? at(at(choice, 'message'), 'content');
    if (typeof text !== 'string') return [];
    return [{ text, logprob: logprobOf(at(choice, 'logprobs')), finished: at(choice, 'finish_reason') !== 'length' }];
  });
  if (samples.length === 0) throw noSuchResponse('has no choice with a text');
  return { samples, ...usageOf(response) };
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    throw noSuchResponse('is no JSON');
  }
}

const usageOf = (response: unknown): { promptTokens: number; completionTokens: number } => {
  const usage = at(response, 'usage');
  return {
    promptTokens: tokens(at(usage, 'prompt_tokens')),
    completionTokens: tokens(at(usage, 'completion_tokens')),
  };
};

/** The mean of the tokens': completions list them, a chat has them one by one. */
function logprobOf(logprobs: unknown): number | null {
  const content = at(logprobs, 'content');
  const listed =
    at(logprobs, 'token_logprobs') ?? (Array.isArray(content) ? content.map((one) => at(one, 'logprob')) : []);
  const known = (Array.isArray(listed) ? listed : []).filter((one): one is number => Number.isFinite(one));
  return known.length === 0 ? null : known.reduce((sum, one) => sum + one, 0) / known.length;
}

const noSuchResponse = (why: string) =>
  new AttemptFailed('MODEL_UNAVAILABLE', `the model server's response ${why}`, { retriable: true });

const at = (value: unknown, key: string | number): unknown =>
  typeof value === 'object' && value !== null && Object.hasOwn(value, key)
    ? (value as Record<string | number, unknown>)[key]
    : undefined;

const tokens = (value: unknown): number =>
  Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) < 2 ** 31 ? (value as number) : 0;

/** The error of a response with another status. `secret` and the prompts do not get into it, though a server may echo them. */
export function refusalOf(
  status: number,
  retryAfter: string | null,
  body: string,
  secret: string | null,
  prompts: readonly string[],
): AttemptFailed {
  const retriable = status === 429 || status === 408 || status >= 500;
  const code = status === 429 ? 'MODEL_OVERLOADED' : retriable ? 'MODEL_UNAVAILABLE' : 'MODEL_REFUSED';
  const said = saidIn(body, secret, prompts);
  return new AttemptFailed(code, `the model server answered ${status}${said === '' ? '' : `: ${said}`}`, {
    retriable,
    status,
    retryAfterMs: retryAfterMs(retryAfter),
  });
}

function saidIn(body: string, secret: string | null, prompts: readonly string[]): string {
  let said = body;
  try {
    const error = at(JSON.parse(body), 'error');
    const message = typeof error === 'string' ? error : at(error, 'message');
    if (typeof message === 'string') said = message;
  } catch {
    // whatever it is, its beginning says something
  }
  said = said
    .replace(/\p{Cc}+/gu, ' ')
    .slice(0, SAID)
    .trim();
  if (secret !== null && said.includes(secret)) return '';
  return prompts.some((prompt) => shares(said, prompt)) ? '' : said;
}

function shares(text: string, other: string): boolean {
  for (let i = 0; i + ECHO <= text.length; i++) if (other.includes(text.slice(i, i + ECHO))) return true;
  return false;
}

/** Seconds, or a date; 0 where there is none. */
function retryAfterMs(header: string | null): number {
  if (header === null) return 0;
  const seconds = Number(header);
  const ms = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(header) - Date.now();
  return Number.isFinite(ms) ? Math.max(ms, 0) : 0;
}
