import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ACTIVE, OTHERS, Waiting, budgetCodec, pieceCodec, type Budget, type Place } from '../../src/stream/waiting.ts';
import type { Codec, Store } from '../../src/stream/topology.ts';

/** A store whose values go through their bytes at each write, and which refuses what was not named. */
function strictStore<V>(codec: Codec<V>) {
  const rows = new Map<string, Buffer>();
  let named = new Set<string>();
  const read = (key: string): V | undefined => {
    const bytes = rows.get(key);
    return bytes === undefined ? undefined : codec.decode(bytes);
  };
  const store: Store<V> = {
    get(key) {
      if (!named.has(key)) throw new Error(`"${key}" was not named`);
      return read(key);
    },
    peek: (key) => (named.has(key) ? read(key) : undefined),
    put: (key, value) => {
      named.add(key);
      rows.set(key, codec.encode(value));
    },
    delete: (key) => void rows.delete(key),
  };
  return { store, rows, want: (key: string) => named.add(key), forget: () => (named = new Set()) };
}

class Line {
  readonly budget = strictStore<Budget>(budgetCodec);
  readonly pieces = strictStore<string[]>(pieceCodec);
  readonly waiting: Waiting;
  now = 0;

  constructor(rate: number) {
    this.waiting = new Waiting(this.budget.store, this.pieces.store, rate);
  }

  /** Each step names its keys anew, as the engine has it. */
  #step<T>(name: (want: (store: string, key: string) => void) => void, run: () => T): T {
    this.budget.forget();
    this.pieces.forget();
    // twice: what the first round read says what else to name
    for (let round = 0; round < 3; round++) {
      name((store, key) => void (store === 'budget' ? this.budget : this.pieces).want(key));
    }
    return run();
  }

  join(user: string, lane: number): Place | null {
    return this.#step(
      (want) => this.waiting.wantToJoin(want),
      () => (this.waiting.spend(this.now) ? null : this.waiting.join(user, lane)),
    );
  }

  leave(user: string, place: Place): void {
    this.#step(
      (want) => this.waiting.wantPlace(place, want),
      () => this.waiting.leave(user, place),
    );
  }

  call(): string[] {
    let rounds = 0;
    return this.#step(
      // the clock goes on while what is named is read
      (want) => this.waiting.wantToCall(this.now + 1, this.now + 700 * rounds++, want),
      () => this.waiting.call((this.now += 700 * (rounds - 1))),
    );
  }
}

type Step = { do: 'join'; lane: number } | { do: 'leave'; which: number } | { do: 'wait'; seconds: number };
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('join' as const), lane: fc.constantFrom(ACTIVE, OTHERS) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('leave' as const), which: fc.nat() }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('wait' as const), seconds: fc.integer({ min: 1, max: 40 }) }) },
);

test('everybody gets a turn once, in order of each line, within the budget of every minute; who left gets none', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), fc.integer({ min: 1, max: 500 }), (steps, rate) => {
      const line = new Line(rate);
      // the oracle: two plain lists, and what each minute has seen
      const lines: string[][] = [[], []];
      const places = new Map<string, Place>();
      const served: string[] = [];
      const perMinute = new Map<number, number>();
      const serve = (user: string): void => {
        served.push(user);
        const minute = Math.floor(line.now / 60_000);
        perMinute.set(minute, (perMinute.get(minute) ?? 0) + 1);
      };
      const call = (): void => {
        for (const user of line.call()) {
          const own = lines.find(([first]) => first === user);
          expect(own, `${user} is not the first of a line`).toBeDefined();
          own!.shift();
          serve(user);
        }
      };
      let users = 0;
      for (const one of steps) {
        if (one.do === 'join') {
          const user = `user-${users++}`;
          const place = line.join(user, one.lane);
          if (place === null) {
            expect(lines.flat()).toEqual([]);
            serve(user);
          } else {
            places.set(user, place);
            lines[one.lane]!.push(user);
          }
        } else if (one.do === 'leave') {
          const all = lines.flat();
          const user = all[one.which % Math.max(all.length, 1)];
          if (user === undefined) continue;
          line.leave(user, places.get(user)!);
          for (const own of lines) if (own.includes(user)) own.splice(own.indexOf(user), 1);
        } else {
          for (let second = 0; second < one.seconds; second++) {
            line.now += 1000;
            call();
          }
        }
      }
      for (let minutes = 0; lines.flat().length > 0; minutes++) {
        expect(minutes).toBeLessThan(400 * 60);
        line.now += 1000;
        call();
      }
      expect(new Set(served).size).toBe(served.length);
      for (const count of perMinute.values()) expect(count).toBeLessThanOrEqual(rate);
      // nothing of anybody is left behind
      expect([...line.pieces.rows.values()].flatMap((bytes) => pieceCodec.decode(bytes))).toEqual([]);
    }),
    { numRuns: 60 },
  );
});
