import { describe, expect, test } from 'vitest';
import type { RegenerationRequest } from '../../src/serengpt/records.ts';
import { SimulatedWorkers } from '../../src/serengpt/simulated-workers.ts';

const request = (id: string, expires_at = Infinity) => ({ request_id: id, expires_at }) as RegenerationRequest;
const said = (finished: ReturnType<SimulatedWorkers['finish']>) =>
  finished.map(({ request, at, outcome }) => `${request.request_id} ${outcome} at ${at}`);

describe('two workers of ten seconds', () => {
  const workers = () => new SimulatedWorkers({ workers: 2, serviceMs: 10, queue: 2 });

  test('take two at once, and the others in turn', () => {
    const queue = workers();
    for (const [id, now] of [
      ['a', 0],
      ['b', 3],
      ['c', 4],
      ['d', 5],
    ] as const)
      expect(queue.submit(request(id), now)).toBeNull();
    expect(said(queue.finish())).toEqual(['a done at 10']);
    expect(said(queue.finish())).toEqual(['b done at 13']);
    expect(queue.nextAt).toBe(20);
    expect(said(queue.finish())).toEqual(['c done at 20']);
    expect(said(queue.finish())).toEqual(['d done at 23']);
    expect(queue.nextAt).toBe(Infinity);
  });

  test('refuse what has no place', () => {
    const queue = workers();
    for (const id of ['a', 'b', 'c', 'd']) queue.submit(request(id), 0);
    expect(queue.submit(request('e'), 1)).toMatchObject({ at: 1, outcome: 'refused' });
    expect([...queue.open()].map(({ request_id }) => request_id)).toEqual(['a', 'b', 'c', 'd']);
  });

  test('drop what is past its deadline when its turn comes, and are late with what is by its end', () => {
    const queue = workers();
    queue.submit(request('a', 10), 0);
    queue.submit(request('b', 9), 0);
    queue.submit(request('c', 10), 0);
    queue.submit(request('d', 19), 0);
    expect(said(queue.finish())).toEqual(['a done at 10', 'c dropped at 10']);
    expect(said(queue.finish())).toEqual(['b late at 10']);
    expect(said(queue.finish())).toEqual(['d late at 20']);
  });

  test('lose nobody in a long line', () => {
    const queue = new SimulatedWorkers({ workers: 1, serviceMs: 1, queue: Infinity });
    for (let i = 0; i < 5000; i++) queue.submit(request(`${i}`), 0);
    const order = Array.from({ length: 5000 }, () => queue.finish()[0]!);
    expect(order.map(({ at, request }) => [at, request.request_id])).toEqual(order.map((_, i) => [i + 1, `${i}`]));
  });
});
