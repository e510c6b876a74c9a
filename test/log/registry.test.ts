import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { confluentSerdes } from '../../src/log/registry/confluent.ts';
import { checkCompatibility } from '../../src/log/registry/subjects.ts';

/** A registry that answers as each test says; test/log/registry.broker.test.ts asks a real one. */
describe('a registry in trouble', () => {
  let server: Server;
  let url: string;
  let requests: { method: string; path: string; authorization: string | undefined }[];
  let answer: (request: IncomingMessage, n: number) => { status: number; body?: unknown } | null;

  beforeEach(async () => {
    requests = [];
    server = createServer((request, response) => {
      const { method = '', url: path = '', headers } = request;
      requests.push({ method, path, authorization: headers.authorization });
      const given = answer(request, requests.length);
      // null: it never answers
      if (given === null) return;
      response.writeHead(given.status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(given.body ?? { error_code: given.status, message: 'as the test says' }));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });

  afterEach(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  const failure = (call: () => Promise<unknown>): Promise<unknown> =>
    call().then(
      () => 'it succeeded',
      (e: unknown) => e,
    );
  const unknown = Buffer.from([0, 0, 0, 0, 77, 2, 0x65]);

  it('is asked again, a bounded number of times, and is then a retriable error', async () => {
    answer = (_, n) => (n < 3 ? { status: 503 } : { status: 200, body: { id: 12, version: 1 } });
    const serdes = confluentSerdes({ url });
    const serde = await serdes.serde('behavior.events', 'BehaviorEvent');
    expect(requests.map((r) => r.path)).toEqual(Array(3).fill('/subjects/behavior.events-value?normalize=false'));
    answer = () => ({ status: 503 });
    const error = await failure(() => serde.prepare([unknown])!);
    expect(error).toMatchObject({ name: 'RegistryError', code: 'REGISTRY_UNAVAILABLE', retriable: true, fatal: false });
    expect(requests.length).toBe(3 + 5);
    // and nothing is remembered of it
    answer = () => ({ status: 404 });
    await serde.prepare([unknown]);
    expect(serde.prepare([unknown])).toBeUndefined();
    expect(() => serde.decode(unknown)).toThrow(expect.objectContaining({ code: 'UNKNOWN_SCHEMA_ID' }));
    await serdes.close();
  });

  it('that cannot be reached or never answers is the same', async () => {
    answer = () => null;
    const hanging = confluentSerdes({ url, retries: 1, timeoutMs: 50 });
    expect(await failure(() => hanging.serde('t', 'UserDay'))).toMatchObject({
      code: 'REGISTRY_UNAVAILABLE',
      retriable: true,
    });
    expect(requests.length).toBeGreaterThan(0);
    const nowhere = confluentSerdes({ url: 'http://127.0.0.1:1', retries: 1 });
    expect(await failure(() => nowhere.serde('t', 'UserDay'))).toMatchObject({
      code: 'REGISTRY_UNAVAILABLE',
      retriable: true,
    });
  });

  it('that denies us is not asked again', async () => {
    answer = () => ({ status: 401 });
    const serdes = confluentSerdes({ url, auth: { username: 'u', password: 'p:w' } });
    expect(await failure(() => serdes.serde('t', 'UserDay'))).toMatchObject({ code: 'REGISTRY_DENIED', fatal: true });
    expect(requests.map((r) => r.authorization)).toEqual([`Basic ${Buffer.from('u:p:w').toString('base64')}`]);
    await failure(() => confluentSerdes({ url, auth: { token: 'secret' } }).serde('t', 'UserDay'));
    expect(requests.at(-1)!.authorization).toBe('Bearer secret');
  });

  it('that does not know our schema leads to the command that registers it', async () => {
    answer = () => ({ status: 404 });
    const error = await failure(() => confluentSerdes({ url, subjectPrefix: 'shop.' }).serde('t', 'UserDay'));
    expect(error).toMatchObject({ code: 'SCHEMA_NOT_REGISTERED', fatal: true, retriable: false });
    expect((error as Error).message).toMatch(/shop\.t-value.*seral schemas register/s);
    expect(await checkCompatibility({ url }, [{ topic: 't', schema: 'UserDay' }])).toEqual([
      { topic: 't', schema: 'UserDay', subject: 't-value', state: 'new', id: null, problems: [] },
    ]);
  });
});
