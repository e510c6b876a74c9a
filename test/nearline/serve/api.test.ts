import { request as httpRequest } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { Validator } from '@seriousme/openapi-schema-validator';
import fc from 'fast-check';
import type { FastifyInstance } from 'fastify';
import { Registry } from 'prom-client';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { serveApi, type ApiOptions } from '../../../src/nearline/serve/api.ts';
import type { Lookup } from '../../../src/nearline/serve/cache.ts';
import { Entry } from '../../../src/nearline/serve/entry.ts';
import { ServeMetrics } from '../../../src/nearline/serve/metrics.ts';
import { SERVE_DEFAULTS } from '../../../src/nearline/serve/settings.ts';
import type { Asked } from '../../../src/nearline/serve/triggers.ts';
import { candidate, HOUR, listOf, NOW } from './given.ts';

const TOKENS = ['the-first-token-0001', 'the-second-token-002'];
const rule = { weight: 0.5, atLeast: 1, within: 3, perCategory: 3 };
const figures = { lag: 0, behindSeconds: 0, memoryBytes: 0, stale: false, waitingTriggers: 0 };

let registry: Registry;
let asked: [string, string | null][];
let answer: Asked;
let users: Map<string, Lookup | Promise<Lookup>>;
let logged: object[];
let open: FastifyInstance[];

async function make(given: Partial<ApiOptions> = {}): Promise<FastifyInstance> {
  const server = await serveApi({
    cache: { get: (user) => users.get(user) ?? { entry: null, why: 'missing' } },
    triggers: {
      ask: (user, arm) => {
        asked.push([user, arm]);
        return answer;
      },
    },
    arms: new Map([
      ['default', rule],
      ['control', { ...rule, weight: 0 }],
      ['bold', { ...rule, weight: 1, atLeast: 2 }],
    ]),
    auth: { kind: 'none' },
    tls: null,
    limits: SERVE_DEFAULTS.limits,
    triggerEveryMs: 60_000,
    now: () => NOW,
    logger: { debug() {}, info() {}, warn() {}, error: (fields) => logged.push(fields) },
    metrics: new ServeMetrics(registry, () => figures),
    version: '1.2.3',
    ...given,
  });
  open.push(server);
  return server;
}

beforeEach(() => {
  registry = new Registry();
  asked = [];
  logged = [];
  open = [];
  answer = 'triggered';
  users = new Map<string, Lookup | Promise<Lookup>>([
    ['ada', { entry: new Entry(Buffer.alloc(100), () => listOf('ada')) }],
    ['slow', Promise.resolve<Lookup>({ entry: new Entry(Buffer.alloc(100), () => listOf('slow')) })],
    ['empty', { entry: new Entry(Buffer.alloc(100), () => listOf('empty', { candidates: [] })) }],
    ['old', { entry: null, why: 'expired' }],
    ['soon', { entry: null, why: 'loading' }],
    ['broken', { entry: null, why: 'unavailable' }],
  ]);
});
afterEach(async () => {
  for (const server of open) await server.close();
});

const personalised = (...scores: number[]) => scores.map((score, i) => ({ item_id: `p${i}`, score }));
const post = (server: FastifyInstance, payload: object | string, headers = {}) =>
  server.inject({
    method: 'POST',
    url: '/v1/fuse',
    payload,
    headers: { 'content-type': 'application/json', ...headers },
  });
const codeOf = (response: { body: string }) => JSON.parse(response.body).error.code;

describe('GET candidates', () => {
  it.each(['ada', 'slow'])('gives the valid ones at once (%s)', async (user) => {
    const server = await make();
    const response = await server.inject(`/v1/users/${user}/candidates`);
    expect(response.statusCode).toBe(200);
    expect(response.headers['content-type']).toBe('application/json; charset=utf-8');
    const { left_out: _, ...list } = listOf(user);
    expect(response.json()).toEqual({ status: 'ready', age_ms: HOUR, ...list });
    expect(asked).toEqual([]);
  });

  it('takes an empty list for an answer', async () => {
    const response = await (await make()).inject('/v1/users/empty/candidates');
    expect([response.statusCode, response.json().candidates]).toEqual([200, []]);
  });

  it.each([
    ['an unknown user', 'nobody'],
    ['one whose candidates have expired', 'old'],
  ])('asks for those of %s, and tells both the same', async (_, user) => {
    const server = await make();
    const response = await server.inject(`/v1/users/${user}/candidates?arm=bold`);
    expect(response.statusCode).toBe(202);
    expect(response.json()).toEqual({ status: 'triggered', user_id: user, retry_after_ms: 60_000 });
    expect(asked).toEqual([[user, 'bold']]);
    answer = 'budget';
    expect((await server.inject(`/v1/users/${user}/candidates`)).json().status).toBe('budget');
  });

  it.each(['soon', 'broken'])('asks for nothing while the cache cannot know (%s)', async (user) => {
    const response = await (await make()).inject(`/v1/users/${user}/candidates`);
    expect([response.statusCode, response.json().status, asked]).toEqual([202, 'pending', []]);
  });

  it('takes any text for an id', async () => {
    const server = await make();
    for (const user of ['a/b', '../../etc/passwd', 'ü 漢 🛒', '%', '?x=1#y', '__proto__', 'x'.repeat(4096)]) {
      const response = await server.inject(`/v1/users/${encodeURIComponent(user)}/candidates`);
      expect([response.statusCode, response.json().user_id]).toEqual([202, user]);
    }
  });

  it('refuses one that is too long, empty, or no text', async () => {
    const server = await make();
    for (const id of ['x'.repeat(4097), '', '%E0%A4%A', '%ED%A0%80', '%']) {
      const response = await server.inject(`/v1/users/${id}/candidates`);
      expect([id.length, response.statusCode, codeOf(response)]).toEqual([id.length, 400, 'BAD_REQUEST']);
    }
  });
});

describe('POST fuse', () => {
  it('gives one list, each row with where it comes from', async () => {
    const response = await post(await make(), {
      user_id: 'ada',
      request_id: 'r-7',
      size: 4,
      candidates: personalised(10, 6, 2),
      whatever: { else: 1 },
    });
    expect(response.statusCode).toBe(200);
    const { items, ...rest } = response.json();
    expect(rest).toEqual({
      user_id: 'ada',
      request_id: 'r-7',
      arm: 'default',
      weight: 0.5,
      serendipity: {
        status: 'ready',
        available: 2,
        inserted: 2,
        request_id: 'ada-r1',
        asked_at: NOW - HOUR,
        expires_at: NOW + 23 * HOUR,
        age_ms: HOUR,
      },
    });
    expect(items.map((row: any) => [row.position, row.item_id, row.source, row.score, row.calibrated_score])).toEqual([
      [1, 'p0', 'personalised', 10, 10],
      [2, 'p1', 'personalised', 6, 6],
      [3, 'c1', 'serendipity', 0.9, 5],
      [4, 'c2', 'serendipity', 0.5, 3],
    ]);
    expect(items[2]).toMatchObject({ led_by: 'walking boots for rain', why: 'score', novel_category: true });
    expect(items[0]).not.toHaveProperty('led_by');
  });

  it("goes by the arm's rule, and the default one where there is none", async () => {
    const server = await make();
    const list = async (arm: string) =>
      (await post(server, { user_id: 'ada', arm, size: 3, candidates: personalised(1, 1, 1) })).json();
    expect((await list('bold')).items.map((row: any) => row.item_id)).toEqual(['p0', 'c1', 'c2']);
    expect((await list('unheard of')).arm).toBe('default');
    const control = await list('control');
    expect(control.items.map((row: any) => row.item_id)).toEqual(['p0', 'p1', 'p2']);
    expect(control.serendipity).toEqual({ status: 'off', available: 0, inserted: 0 });
    expect(asked).toEqual([]);
    const metrics = await registry.metrics();
    expect(metrics).toContain('seral_serve_fused_items_total{arm="bold",source="serendipity"} 2');
    expect(metrics).not.toContain('unheard');
  });

  it.each([
    ['nobody', 'triggered'],
    ['old', 'triggered'],
    ['soon', 'pending'],
    ['broken', 'pending'],
  ])('gives the personalised list where there are no candidates (%s)', async (user_id, status) => {
    const { serendipity, items } = (
      await post(await make(), { user_id, size: 2, candidates: personalised(3, 2, 1) })
    ).json();
    expect(serendipity).toEqual({ status, available: 0, inserted: 0 });
    expect(items.map((row: any) => row.item_id)).toEqual(['p0', 'p1']);
  });

  it('gives candidates alone where there is no personalised list', async () => {
    const { items } = (await post(await make(), { user_id: 'ada', size: 5, candidates: [] })).json();
    expect(items.map((row: any) => row.item_id)).toEqual(['c1', 'c2']);
  });

  it.each([
    ['no user', { size: 1, candidates: [] }],
    ['a user of no characters', { user_id: '', size: 1, candidates: [] }],
    ['a number for a user', { user_id: 7, size: 1, candidates: [] }],
    ['half a character', { user_id: '\ud800', size: 1, candidates: [] }],
    ['too many rows', { user_id: 'ada', size: 201, candidates: [] }],
    ['a size in words', { user_id: 'ada', size: '5', candidates: [] }],
    ['half a row', { user_id: 'ada', size: 1.5, candidates: [] }],
    ['too many items', { user_id: 'ada', size: 1, candidates: personalised(...Array(1001).fill(1)) }],
    ['an item without a score', { user_id: 'ada', size: 1, candidates: [{ item_id: 'x' }] }],
    ['a score that is none', { user_id: 'ada', size: 1, candidates: [{ item_id: 'x', score: null }] }],
    ['an endless score', '{"user_id":"ada","size":1,"candidates":[{"item_id":"x","score":1e999}]}'],
    ['no JSON', '{"user_id":'],
    ['nothing', ''],
    ['a list', []],
    ['an item id that is too long', { user_id: 'ada', size: 1, candidates: [{ item_id: 'x'.repeat(4097), score: 1 }] }],
  ])('refuses %s', async (_, body) => {
    const response = await post(await make(), body);
    expect([response.statusCode, codeOf(response)]).toEqual([400, 'BAD_REQUEST']);
    expect(response.body.length).toBeLessThan(300);
    expect(logged).toEqual([]);
  });

  it('ignores what poisons prototypes elsewhere', async () => {
    const server = await make();
    const poison = '"__proto__":{"user_id":"eve","size":7},"constructor":{"prototype":{"size":7}}';
    const body = `{"user_id":"ada","size":1,${poison},"candidates":[{"item_id":"p","score":1,${poison}}]}`;
    const response = await post(server, body);
    expect([response.statusCode, response.json().items.length]).toEqual([200, 1]);
    expect(({} as any).size).toBeUndefined();
    const only = await post(server, `{"__proto__":{"user_id":"eve","size":7,"candidates":[]}}`);
    expect(only.statusCode).toBe(400);
  });

  it('refuses what is too large or of another kind', async () => {
    const server = await make();
    const large = await post(server, { user_id: 'ada', size: 1, candidates: [], more: 'x'.repeat(1 << 20) });
    expect([large.statusCode, codeOf(large)]).toEqual([413, 'BODY_TOO_LARGE']);
    const other = await post(server, 'user_id: ada', { 'content-type': 'application/yaml' });
    expect([other.statusCode, codeOf(other)]).toEqual([415, 'UNSUPPORTED_MEDIA_TYPE']);
  });
});

describe('the OpenAPI document', () => {
  it('is valid, and names both routes', async () => {
    const server = await make({ auth: { kind: 'token', tokens: TOKENS } });
    const response = await server.inject('/v1/openapi.json');
    expect(response.statusCode).toBe(200);
    const document = response.json();
    expect(await new Validator().validate(document)).toMatchObject({ valid: true });
    expect(document.openapi).toBe('3.1.0');
    expect(Object.keys(document.paths).sort()).toEqual(['/v1/fuse', '/v1/users/{id}/candidates']);
    expect(Object.keys(document.components.schemas)).toContain('FuseRequest');
  });

  it('describes the answers that are given', async () => {
    const { default: Ajv } = await import('ajv/dist/2020.js');
    const server = await make();
    const document = (await server.inject('/v1/openapi.json')).json();
    const ajv = new (Ajv as any)({ strict: false });
    ajv.addSchema(document, 'api');
    const check = (name: string, body: unknown) => {
      const ok = ajv.validate({ $ref: `api#/components/schemas/${name}` }, body);
      expect(ok, ajv.errorsText()).toBe(true);
    };
    check('Candidates', (await server.inject('/v1/users/ada/candidates')).json());
    check('Triggered', (await server.inject('/v1/users/nobody/candidates')).json());
    check('FusedList', (await post(server, { user_id: 'ada', size: 9, candidates: personalised(1, 2) })).json());
    check('Error', (await server.inject('/nothing')).json());
    expect(() => check('Candidates', { status: 'ready' })).toThrow();
  });
});

describe('who may ask', () => {
  const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

  it('whoever has one of the tokens', async () => {
    const server = await make({ auth: { kind: 'token', tokens: TOKENS } });
    const statusWith = async (headers: object) =>
      (await server.inject({ url: '/v1/users/ada/candidates', headers: headers as Record<string, string> })).statusCode;
    expect(await Promise.all(TOKENS.map((token) => statusWith(bearer(token))))).toEqual([200, 200]);
    const wrong = [
      {},
      bearer('another-token-that-is-wrong'),
      bearer(''),
      bearer(`${TOKENS[0]} `.repeat(2)),
      { authorization: TOKENS[0]! },
    ];
    expect(new Set(await Promise.all(wrong.map(statusWith)))).toEqual(new Set([401]));
    const response = await post(server, '{not even json');
    expect([response.statusCode, codeOf(response)]).toEqual([401, 'UNAUTHENTICATED']);
    expect(response.headers['www-authenticate']).toBe('Bearer');
    expect((await server.inject('/anything')).statusCode).toBe(401);
  });

  it('so often as the limit says, each by itself', async () => {
    const limits = { requests: 3, refused: 2, windowMs: 60_000 };
    const server = await make({ auth: { kind: 'token', tokens: TOKENS }, limits });
    const statuses = async (token: string, count: number) => {
      const found: number[] = [];
      for (let i = 0; i < count; i++) {
        found.push((await server.inject({ url: '/v1/users/ada/candidates', headers: bearer(token) })).statusCode);
      }
      return found;
    };
    expect(await statuses('guess-0000000000000', 3)).toEqual([401, 401, 429]);
    expect(await statuses('guess-0000000000001', 1)).toEqual([429]);
    expect(await statuses(TOKENS[0]!, 4)).toEqual([200, 200, 200, 429]);
    expect(await statuses(TOKENS[1]!, 1)).toEqual([200]);
    const refused = await server.inject({ url: '/v1/users/ada/candidates', headers: bearer(TOKENS[0]!) });
    expect(codeOf(refused)).toBe('RATE_LIMITED');
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
  });

  it('limits what is asked for without tokens, and what is not there, by address', async () => {
    const server = await make({ limits: { requests: 2, refused: 2, windowMs: 60_000 } });
    const status = async (remoteAddress: string) =>
      (await server.inject({ url: '/nothing', remoteAddress })).statusCode;
    expect([await status('10.0.0.1'), await status('10.0.0.1'), await status('10.0.0.1')]).toEqual([404, 404, 429]);
    expect(await status('10.0.0.2')).toBe(404);
  });
});

it('says nothing of users in logs and metrics, and sends sane headers', async () => {
  users.set('secret-user', {
    entry: new Entry(Buffer.alloc(1), () => ({ ...listOf('x'), candidates: null as never })),
  });
  const server = await make();
  const failed = await post(server, { user_id: 'secret-user', size: 2, candidates: personalised(1) });
  expect(failed.statusCode).toBe(200);
  users.set('secret-user', {
    get entry(): never {
      throw new Error('a bug');
    },
  } as never);
  const broken = await server.inject('/v1/users/secret-user/candidates');
  expect([broken.statusCode, codeOf(broken), broken.body.includes('bug')]).toEqual([500, 'INTERNAL', false]);
  await server.inject('/v1/users/secret-user/nothing');
  expect(logged).toHaveLength(1);
  expect(JSON.stringify(logged) + (await registry.metrics())).not.toContain('secret-user');
  expect(await registry.metrics()).toContain('seral_serve_requests_total{route="other",status="404"} 1');
  expect(broken.headers).toMatchObject({
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  });
  expect(broken.headers).not.toHaveProperty('x-powered-by');
});

describe('whatever is sent', () => {
  const anything = fc.oneof(
    fc.json(),
    fc.string(),
    fc.string({ unit: 'binary' }),
    fc
      .record(
        {
          user_id: fc.oneof(fc.string(), fc.integer(), fc.constant(null)),
          size: fc.oneof(fc.integer(), fc.double(), fc.string()),
          candidates: fc.oneof(
            fc.array(fc.record({ item_id: fc.string(), score: fc.double() }, { requiredKeys: [] })),
            fc.anything(),
          ),
          arm: fc.oneof(fc.string(), fc.anything()),
        },
        { requiredKeys: [] },
      )
      .map((body) => {
        try {
          return JSON.stringify(body) ?? '';
        } catch {
          return '{}';
        }
      }),
  );

  it('a body is answered or refused in JSON, and nothing breaks', async () => {
    const server = await make();
    await fc.assert(
      fc.asyncProperty(anything, async (body) => {
        const response = await post(server, body);
        expect([200, 400]).toContain(response.statusCode);
        if (response.statusCode === 400) expect(codeOf(response)).toBe('BAD_REQUEST');
      }),
      { numRuns: 500 },
    );
    expect(logged).toEqual([]);
    expect((await post(server, { user_id: 'ada', size: 1, candidates: [] })).statusCode).toBe(200);
  });

  it('a path is answered or refused in JSON, and nothing breaks', async () => {
    const server = await make();
    await server.listen({ host: '127.0.0.1', port: 0 });
    const { port } = server.server.address() as AddressInfo;
    const ask = (path: string, headers: Record<string, string> = {}) =>
      new Promise<{ status: number; body: string }>((resolve, reject) => {
        const request = httpRequest({ host: '127.0.0.1', port, path, headers }, (response) => {
          const parts: Buffer[] = [];
          response.on('data', (part: Buffer) => parts.push(part));
          response.on('end', () => resolve({ status: response.statusCode!, body: Buffer.concat(parts).toString() }));
        });
        request.on('error', reject);
        request.end();
      });
    const paths = [
      ...['/', '//', '/..', '/v1/users/../../x/candidates', '/v1//users/ada/candidates', '/v1/users/%2e%2e/candidates'],
      ...['/v1/users/ada/candidates/', '/v1/users/a%00b/candidates', '/v1/users/%ff/candidates', '/%', '/%2e%2e%2f'],
      ...['/v1/users/ada/candidates?arm[]=1', '/v1/users/ada/candidates?arm=a&arm=b', '/v1/users/ada;x/candidates'],
      ...['*', 'http://elsewhere/v1/openapi.json', '/v1/users/ada/candidates?arm=' + 'x'.repeat(300), '/__proto__'],
    ];
    for (const path of paths) {
      const { status, body } = await ask(path);
      expect([200, 202, 400, 404], path).toContain(status);
      if (status >= 400) expect(JSON.parse(body), path).toHaveProperty('error.code');
    }
    const headers = {
      accept: '*/*;q=;;',
      cookie: '='.repeat(5000),
      host: '',
      'x-forwarded-for': '::::',
      authorization: ' ',
    };
    expect((await ask('/v1/users/ada/candidates', headers)).status).toBe(200);
    const large = await ask('/v1/users/ada/candidates', { cookie: 'x'.repeat(20_000) });
    expect([large.status, codeOf(large)]).toEqual([431, 'BAD_REQUEST']);
    for (const noise of [
      '\0\x01\x02\r\n\r\n',
      'GET\r\n\r\n',
      'POST /v1/fuse HTTP/1.1\r\nContent-Length: -1\r\n\r\n',
      'GET / HTTP/9.9\r\n\r\n',
    ]) {
      const said = await new Promise<string>((resolve, reject) => {
        let text = '';
        const socket = connect(port, '127.0.0.1', () => socket.write(noise));
        socket.on('data', (data) => (text += String(data)));
        socket.on('close', () => resolve(text));
        socket.on('error', reject);
      });
      expect(said).toMatch(/^HTTP\/1.1 4\d\d /);
      expect(JSON.parse(said.split('\r\n\r\n')[1]!)).toHaveProperty('error.code');
    }
    expect((await ask('/v1/users/ada/candidates')).status).toBe(200);
    expect(logged).toEqual([]);
  });
});

it('keeps nothing of a list but what the answer shows', async () => {
  const entry = new Entry(Buffer.alloc(100), () => listOf('ada', { candidates: [candidate('"quoted" \u2028')] }));
  expect(JSON.parse(String(entry.json(5)))).toMatchObject({ status: 'ready', age_ms: 5, user_id: 'ada' });
  expect(String(entry.json(5))).not.toContain('left_out');
});
