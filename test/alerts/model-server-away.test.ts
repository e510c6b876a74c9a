/** A GPU server that is down, slow or answers garbage: candidates age, the metrics say so, lists are served all the same. */
import { afterEach, expect, it } from 'vitest';
import { eventually } from '../stream/bench.ts';
import type { Act } from '../support/model-server.ts';
import { ChannelInProcess, RETRY_AFTER, T } from './channel.ts';

const PERSONALISED = [
  { item_id: 'p1', score: 9 },
  { item_id: 'p2', score: 7.5 },
  { item_id: 'p3', score: 7.5 },
];
const WORKER = { worker: 'serengpt-worker' };
let channel: ChannelInProcess;

afterEach(() => channel.stop());

const answers = (act: Act) => () => {
  channel.model.script = () => act;
};
const faults: [string, () => void | Promise<void>, string][] = [
  ['is gone', () => channel.model.close(), 'MODEL_UNAVAILABLE'],
  ['is ill', answers({ status: 503 }), 'MODEL_UNAVAILABLE'],
  ['hangs', answers({ silence: true }), 'MODEL_TIMEOUT'],
  ['is too slow', answers({ texts: ['A lamp'], delayMs: 5000 }), 'MODEL_TIMEOUT'],
  ['drips', answers({ dripMs: 20 }), 'MODEL_TIMEOUT'],
  ['answers what is no JSON', answers({ raw: '<html>502</html>' }), 'MODEL_UNAVAILABLE'],
  ['breaks off', answers({ cutAfter: 20, text: 'A lamp' }), 'MODEL_UNAVAILABLE'],
  ['answers without an end', answers({ bytes: 1_000_000 }), 'ANSWER_TOO_LARGE'],
  ['answers what no text may be', answers({ texts: ['<|im_end|>', '\u0000\u0001'] }), 'NO_USABLE_TEXT'],
];

it.each(faults)(
  'a model server that %s: lists go on without candidates, and with them once it is back',
  async (_, breakIt, code) => {
    const served = async () => {
      const { status, body } = await channel.get('ada');
      expect([status, body.status]).toEqual([200, 'ready']);
      return body;
    };
    const failed = () => channel.metric('serengpt', 'seral_requests_failed_total', { ...WORKER, code });
    const missed = () => channel.metric('topologies', 'seral_regeneration_missed_total', { why: 'failed' });
    const lists = (outcome: string) => channel.metric('serve', 'seral_serve_fused_lists_total', { outcome });
    const found = (outcome: string) => channel.metric('serve', 'seral_serve_candidates_total', { outcome });
    const olderThan = async (le: string) =>
      (await channel.metric('serve', 'seral_serve_candidate_age_seconds_count')) -
      (await channel.metric('serve', 'seral_serve_candidate_age_seconds_bucket', { le }));

    channel = await ChannelInProcess.start();
    // in good order: a click, and candidates are there
    const begin = channel.at;
    await channel.event('ada', 'click', { item: 'tent' });
    await eventually(served, 30_000);
    const first = await served();
    expect(first.candidates.map(({ item_id }: any) => item_id).sort()).toEqual(['lamp', 'stove']);
    const good = await channel.fuse('ada', PERSONALISED);
    expect(good.body.serendipity).toMatchObject({ status: 'ready', available: 2 });
    expect(await channel.metric('serengpt', 'seral_requests_total', WORKER)).toBe(1);
    expect(await channel.metric('serengpt', 'seral_requests_failed_total')).toBe(0);
    expect(await olderThan('600')).toBe(0);

    // broken: what there is ages, and is served to its end
    await breakIt();
    channel.at = begin + T - 1;
    expect(await served()).toMatchObject({ request_id: first.request_id, age_ms: T - 1 });
    expect(await olderThan('600')).toBe(1);

    // its time is over, and the visit that asks for more gets none, in two attempts
    channel.at = begin + T;
    await channel.event('ada', 'visit');
    await eventually(
      async () => expect(await channel.metric('topologies', 'seral_regeneration_given_up_total')).toBe(1),
      30_000,
    );
    const before = { expired: await found('expired'), missing: await found('missing') };
    const nothing = await channel.get('ada');
    expect(nothing.status).toBe(202);
    expect(['triggered', 'pending']).toContain(nothing.body.status);
    expect((await found('expired')) + (await found('missing'))).toBe(before.expired + before.missing + 1);
    const alone = await channel.fuse('ada', PERSONALISED);
    expect(alone.status).toBe(200);
    expect(alone.body.items.map(({ item_id, score, source }: any) => [item_id, score, source])).toEqual(
      PERSONALISED.map(({ item_id, score }) => [item_id, score, 'personalised']),
    );
    expect(alone.body.serendipity).toMatchObject({ available: 0, inserted: 0 });
    expect((await lists('triggered')) + (await lists('pending'))).toBe(1);
    expect(await lists('ready')).toBe(1);

    // what the alerts go by: all that was asked since has failed, at the worker and as users feel it
    expect(await channel.metric('serengpt', 'seral_requests_total', WORKER)).toBe(3);
    expect([await failed(), await channel.metric('serengpt', 'seral_requests_failed_total')]).toEqual([2, 2]);
    expect([await missed(), await channel.metric('topologies', 'seral_regeneration_requests_total')]).toEqual([2, 3]);
    await eventually(async () => {
      expect(await channel.letters('serengpt-worker.dlq')).toBe(2);
      const at = { topology: 'serengpt-worker' };
      expect(await channel.metric('serengpt', 'seral_dead_letters_total', { ...at, code })).toBe(2);
      expect(await channel.metric('serengpt', 'seral_records_total', at)).toBe(3);
      expect(await channel.metric('serengpt', 'seral_lag_records', at)).toBe(0);
      expect(await channel.metric('topologies', 'seral_candidate_lists_expired_total')).toBe(1);
    });
    for (const name of ['regeneration', 'candidates', 'retrieval-worker']) {
      expect(await channel.letters(`${name}.dlq`), name).toBe(0);
    }
    expect(await channel.live()).toBe(true);

    // back: the next visit after the rest brings candidates again
    await channel.modelBack();
    channel.at = begin + T + RETRY_AFTER;
    await channel.event('ada', 'visit');
    await eventually(served, 30_000);
    expect((await served()).asked_at).toBe(channel.at);
    expect((await channel.fuse('ada', PERSONALISED)).body.serendipity.status).toBe('ready');
    expect(await channel.metric('serengpt', 'seral_requests_failed_total')).toBe(2);
    expect(await channel.letters('serengpt-worker.dlq')).toBe(2);
  },
);

it('gives a list while the model is still being waited for', async () => {
  channel = await ChannelInProcess.start({ attemptTimeout: '5m' });
  channel.model.script = () => ({ silence: true });
  await channel.event('ada', 'click', { item: 'tent' });
  await eventually(() => expect(channel.model.running).toBe(1), 30_000);
  expect((await channel.get('ada')).status).toBe(202);
  const { status, body } = await channel.fuse('ada', PERSONALISED);
  expect([status, body.items.length]).toEqual([200, PERSONALISED.length]);
  expect(channel.model.running).toBe(1);
  expect(await channel.metric('serengpt', 'seral_requests_in_flight', WORKER)).toBe(1);
  expect(await channel.live()).toBe(true);
});
