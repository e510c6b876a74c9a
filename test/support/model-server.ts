/**
 * A model server on a script: what it answers is decided for each request by `script`, which is given what was asked. It
 * speaks OpenAI's completions, and those of a chat, as far as the workers use them.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

/** What was asked, as the script sees it. */
export interface Asked {
  /** the number of the request, from 1 */
  number: number;
  body: any;
  /** such as /v1/chat/completions */
  path: string;
  /** the prompt of a completion, or all messages' contents, one after the other */
  prompt: string;
  headers: IncomingMessage['headers'];
}

export type Act =
  /** an answer in good order; `finish` is its finish_reason */
  | { text: string; delayMs?: number; finish?: string; promptTokens?: number; completionTokens?: number }
  /** several choices, each of so many tokens where logprobs are given: the same for each token */
  | { texts: readonly string[]; delayMs?: number; finish?: string; logprobs?: readonly number[] }
  /** an error, after a delay */
  | { status: number; retryAfter?: string; body?: string; delayMs?: number }
  /** the response breaks off after so many bytes */
  | { cutAfter: number; text: string }
  /** so many bytes of text, as fast as they are taken */
  | { bytes: number }
  /** a byte every so many ms, for ever */
  | { dripMs: number }
  /** a body that is not what was agreed on */
  | { raw: string }
  /** nothing at all, until the client gives up */
  | { silence: true };

export type Script = (asked: Asked) => Act | Promise<Act>;

export class ModelServer {
  /** for OpenAiOptions.url */
  readonly url: string;
  readonly asked: Asked[] = [];
  /** requests being answered, and the most there were at a time */
  running = 0;
  mostRunning = 0;
  script: Script;
  readonly #close: () => Promise<void>;
  #closed: Promise<void> | null = null;

  private constructor(url: string, script: Script, close: () => Promise<void>) {
    this.url = url;
    this.script = script;
    this.#close = close;
  }

  /** `at`: the port, where it is to be found again; 0: any free one. */
  static async start(script: Script = () => ({ text: 'NA' }), at = 0): Promise<ModelServer> {
    const server = createServer((request, response) => {
      here.running++;
      here.mostRunning = Math.max(here.mostRunning, here.running);
      response.on('close', () => here.running--);
      void here.#answer(request, response).catch(() => response.destroy());
    });
    server.listen(at, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const here = new ModelServer(`http://127.0.0.1:${port}/v1`, script, async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    });
    return here;
  }

  close(): Promise<void> {
    return (this.#closed ??= this.#close());
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = JSON.parse(Buffer.concat(chunks).toString());
    const messages = (body.messages ?? [{ content: body.prompt }]) as { content: string }[];
    const prompt = messages.map(({ content }) => content).join('\n');
    const path = request.url ?? '';
    const asked: Asked = { number: this.asked.length + 1, body, path, prompt, headers: request.headers };
    this.asked.push(asked);
    await play(await this.script(asked), asked, response);
  }
}

/** The envelope of an answer. */
export const completion = (
  text: string,
  act: { finish?: string; promptTokens?: number; completionTokens?: number } = {},
) =>
  JSON.stringify({
    id: 'stub',
    object: 'chat.completion',
    choices: [{ index: 0, message: { role: 'assistant', content: text }, finish_reason: act.finish ?? 'stop' }],
    usage: { prompt_tokens: act.promptTokens ?? 100, completion_tokens: act.completionTokens ?? 10 },
  });

/** The envelope of several: two tokens each, and ten in the prompt. */
export function choices(
  texts: readonly string[],
  chat: boolean,
  { finish = 'stop', logprobs }: { finish?: string; logprobs?: readonly number[] } = {},
): string {
  return JSON.stringify({
    object: chat ? 'chat.completion' : 'text_completion',
    choices: texts.map((text, index) => ({
      index,
      ...(chat ? { message: { role: 'assistant', content: text } } : { text }),
      logprobs:
        logprobs === undefined
          ? null
          : chat
            ? { content: [logprobs[index], logprobs[index]].map((logprob) => ({ logprob })) }
            : { token_logprobs: [logprobs[index], logprobs[index]] },
      finish_reason: finish,
    })),
    usage: { prompt_tokens: 10, completion_tokens: 2 * texts.length },
  });
}

async function play(act: Act, asked: Asked, response: ServerResponse): Promise<void> {
  if ('silence' in act) return;
  if ('delayMs' in act && act.delayMs !== undefined) await new Promise((resolve) => setTimeout(resolve, act.delayMs));
  if ('status' in act) {
    response.writeHead(act.status, act.retryAfter === undefined ? {} : { 'retry-after': act.retryAfter });
    response.end(act.body ?? JSON.stringify({ error: { message: `a stub's ${act.status}` } }));
    return;
  }
  response.writeHead(200, { 'content-type': 'application/json' });
  if ('cutAfter' in act) {
    response.write(completion(act.text).slice(0, act.cutAfter), () => response.destroy());
  } else if ('raw' in act) {
    response.end(act.raw);
  } else if ('bytes' in act) {
    await pour(response, act.bytes);
  } else if ('dripMs' in act) {
    const drip = setInterval(() => response.write(' '), act.dripMs);
    response.on('close', () => clearInterval(drip));
  } else if ('texts' in act) {
    response.end(choices(act.texts, asked.path.endsWith('/chat/completions'), act));
  } else {
    response.end(completion(act.text, act));
  }
}

function pour(response: ServerResponse, bytes: number): Promise<void> {
  const chunk = 'x'.repeat(16_384);
  function* chunks() {
    yield '{"choices":[{"message":{"content":"';
    for (let sent = 0; sent < bytes; sent += chunk.length) yield chunk;
    yield '"}}]}';
  }
  return pipeline(Readable.from(chunks()), response);
}
