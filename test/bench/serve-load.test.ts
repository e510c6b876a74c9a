import { expect, it } from 'vitest';
import { asker, codecOfCandidates, getOf, nameOf, ServeLoad, SIZE } from '../../bench/serve-load.ts';
import { randomOf } from '../../bench/world.ts';

const load = () => new ServeLoad(randomOf('load'), 5);

it('makes lists that the cache takes, of items that are the same for the same numbers', async () => {
  const codec = await codecOfCandidates();
  const list = load().listOf(nameOf(1));
  const { user } = codec.decode(codec.encode(list));
  expect(user).toMatchObject({ user_id: 'user-00000001', candidates: { length: 5 } });
  expect(user.expires_at).toBeGreaterThan(user.asked_at);
  expect(load().listOf('another').candidates).toEqual(list.candidates);
});

it('asks for a user’s candidates, and for a fusion of items in the order of their scores', () => {
  expect(getOf('ann')).toMatchObject({ method: 'GET', path: '/v1/users/ann/candidates' });
  const { method, body } = load().fuseOf('ann');
  const { user_id, size, candidates } = JSON.parse(body!) as { user_id: string; size: number; candidates: Scored[] };
  expect([method, user_id, size, candidates.length]).toEqual(['POST', 'ann', SIZE, 200]);
  expect(candidates.map(({ score }) => score)).toEqual(candidates.map(({ score }) => score).sort((a, b) => b - a));
});

it('asks for each user in turn, the same each time', () => {
  const row = { kind: 'fuse', requests: 0, users: 10, candidates: 5, seed: 's' } as const;
  const [next, again] = [asker(row), asker(row)];
  const asked = Array.from({ length: 10 }, next);
  expect(new Set(asked.map(({ user }) => user)).size).toBe(10);
  expect(asked.map(({ body }) => (JSON.parse(body!) as { user_id: string }).user_id)).toEqual(
    asked.map(({ user }) => user),
  );
  expect(Array.from({ length: 10 }, again)).toEqual(asked);
});

interface Scored {
  item_id: string;
  score: number;
}
