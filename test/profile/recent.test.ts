import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Recent, recentCodec, type Bounds, type Search, type Touched } from '../../src/profile/recent.ts';

const facts = (item: string) => ({ item, title: `title of ${item}`, category: 'c', brand: null, seller: 's' });

type Did = { kind: 'search' | 'click' | 'purchase'; time: number; what: string };
const did: fc.Arbitrary<Did> = fc.record({
  kind: fc.constantFrom('search', 'click', 'purchase'),
  time: fc.integer({ min: 1, max: 30 }),
  what: fc.constantFrom('a', 'b', 'c'),
});

function recentOf(log: readonly Did[]): Recent {
  const recent = new Recent();
  for (const { kind, time, what } of log) {
    if (kind === 'search') recent.search(time, what);
    else recent.touch(kind, time, facts(what));
  }
  return recent;
}

const contents = (recent: Recent) => ({
  searches: recent.searches,
  products: [...recent.products.values()].sort((a, b) => (a.item < b.item ? -1 : 1)),
});

/** The window's searches and products, of which only what was done up to its end. */
function windowOf(recent: Recent, until: number, bounds: Bounds): [Search[], Map<string, Touched>] {
  const { searches, products } = recent.within(until - 10, until, bounds);
  const upTo = (times: readonly number[]) => times.filter((time) => time <= until && time > until - 10);
  const cut = products.map((one) => ({ ...one, clicks: upTo(one.clicks), purchases: upTo(one.purchases) }));
  return [searches, new Map(cut.map((one) => [one.item, one]))];
}

describe('what a user did lately', () => {
  test('is the same for the same events in any order and however often repeated', () => {
    fc.assert(
      fc.property(fc.array(did, { maxLength: 12 }), fc.array(fc.nat()), (log, picks) => {
        const again = [
          ...log,
          ...picks.map((n) => log[n % Math.max(log.length, 1)]).filter((one) => one !== undefined),
        ];
        expect(contents(recentOf([...again].reverse()))).toEqual(contents(recentOf(log)));
      }),
    );
  });

  test('survives its bytes', () => {
    fc.assert(
      fc.property(fc.array(did), (log) => {
        const recent = recentOf(log);
        expect(recentCodec.decode(recentCodec.encode(recent))).toEqual(recent);
      }),
    );
  });

  test('keeps nothing older than the floor, and the newest within the bounds', () => {
    fc.assert(
      fc.property(fc.array(did), fc.integer({ min: 0, max: 30 }), (log, floor) => {
        const recent = recentOf(log);
        recent.trim(floor, { searches: 2, products: 1 });
        expect(recent.searches.length).toBeLessThanOrEqual(2);
        expect(recent.products.size).toBeLessThanOrEqual(1);
        const searches = recentOf(log.filter(({ time }) => time >= floor)).searches;
        expect(recent.searches).toEqual(searches.slice(-2));
        const touched = log.filter(({ kind, time }) => kind !== 'search' && time >= floor);
        const newest = Math.max(...touched.map(({ time }) => time));
        for (const { clicks, purchases } of recent.products.values()) {
          expect(Math.max(...clicks, ...purchases)).toBe(newest);
        }
      }),
    );
  });

  test('of a window is the same however much of what came later is known, with bounds and all', () => {
    const bounds = { searches: 2, products: 2 };
    fc.assert(
      fc.property(fc.array(did), fc.integer({ min: 5, max: 30 }), fc.boolean(), (log, until, early) => {
        const ordered = [...log].sort((a, b) => a.time - b.time);
        const cutOff = (known: readonly Did[]) => {
          const recent = new Recent();
          for (const { kind, time, what } of known) {
            if (kind === 'search') recent.search(time, what);
            else recent.touch(kind, time, facts(what));
            // as the topology does: what an open request is about is held
            recent.trim(Math.min(time, until) - 10, bounds, early || time > until ? [until] : []);
          }
          return contents(new Recent(...windowOf(recent, until, bounds)));
        };
        expect(cutOff(ordered)).toEqual(cutOff(ordered.filter(({ time }) => time <= until)));
      }),
    );
  });

  test('counts what the bounds cost, and not what is too old', () => {
    const recent = recentOf([
      { kind: 'search', time: 1, what: 'old' },
      { kind: 'search', time: 10, what: 'a' },
      { kind: 'search', time: 11, what: 'b' },
      { kind: 'click', time: 12, what: 'x' },
      { kind: 'click', time: 13, what: 'y' },
    ]);
    expect(recent.trim(5, { searches: 1, products: 1 })).toBe(2);
  });

  test('cuts a text that is too long, and never in the middle of a character', () => {
    const recent = new Recent();
    recent.search(1, `${'x'.repeat(199)}😀`);
    expect(recent.searches[0]!.query.isWellFormed()).toBe(true);
    expect(recent.search(2, '   ')).toBe(false);
  });
});
