import { expect, it } from 'vitest';
import { answerTo, generationOf, onceEach, requestOf, saidLike, shippedItems } from '../../bench/asked.ts';
import { randomOf } from '../../bench/world.ts';
import { embeddedSerdes } from '../../src/log/registry/embedded.ts';
import { checkAsked, checkRetrieved, GENERATIONS, REGENERATION_REQUESTS } from '../../src/serengpt/records.ts';
import { item } from '../nearline/given.ts';

const ITEMS = Array.from({ length: 500 }, (_, i) => item(`item-${i}`, `title ${i}`));
const request = (user = 7) => requestOf(user, ITEMS, 1_700_000_000_000);
const named = (...ids: string[]) => ids.map((request_id) => ({ ...request(), request_id }));

it('makes records that the topics take, the same for the same user', async () => {
  const serdes = await embeddedSerdes();
  const asked = request();
  const generated = generationOf(asked, ['a lamp']);
  for (const [{ topic, schema }, record] of [
    [REGENERATION_REQUESTS, asked],
    [GENERATIONS, generated],
  ] as const) {
    const serde = await serdes.serde<object>(topic, schema);
    expect(serde.decode(serde.encode(record))).toEqual(record);
  }
  await serdes.close();
  expect(() => checkAsked(asked, 'user-7')).not.toThrow();
  expect(() => checkRetrieved(answerTo(asked, []), 'user-7')).not.toThrow();
  expect(request()).toEqual(asked);
  expect(request(8).history).not.toEqual(asked.history);
  expect(new Set(asked.tags.map(({ long_term }) => long_term))).toEqual(new Set([true, false]));
});

it('says about the words of a title', () => {
  const title = 'one two three four five six seven eight nine ten';
  const said = saidLike(title, 'eleven', randomOf('said')).split(' ');
  expect(said.at(-1)).toBe('eleven');
  expect(said.length).toBeLessThan(11);
  expect(`${title} eleven`.split(' ')).toEqual(expect.arrayContaining(said));
});

it('takes items of the shipped catalog, not many more than are asked for', async () => {
  const items = await shippedItems(10);
  expect(items.length).toBeGreaterThan(10);
  expect(items[0]).toMatchObject({ item_id: expect.any(String), title: expect.any(String), available: true });
});

it('refuses answers that are missing, double or nobody’s', () => {
  expect(() => onceEach(named('a', 'b'), named('b', 'a'))).not.toThrow();
  expect(() => onceEach(named('a', 'b'), named('b'))).toThrow('1 of 2');
  expect(() => onceEach(named('a', 'b'), named('a', 'b', 'a'))).toThrow('a was answered twice');
  expect(() => onceEach(named('a'), named('c'))).toThrow('c was answered twice, or never asked');
  expect(() => onceEach(named('a', 'a'), named('a'))).toThrow('two requests');
});
