import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MemoryDb } from '../../src/stream/memory-db.ts';
import { endOf, prefixOf, type StateBackend } from '../../src/stream/state-db.ts';
import { State } from '../../src/stream/state.ts';
import { finish, finishNow } from '../../src/stream/steps.ts';
import { TimerService } from '../../src/stream/timers.ts';
import type { Timer } from '../../src/stream/topology.ts';
import { jsonCodec } from './json-codec.ts';

const commit = (db: StateBackend, state: State, timers?: TimerService): void => {
  const changes = [...state.collect(), ...(timers?.collect(state.streamTime) ?? [])];
  void db.write(changes.map(({ store, key, value }) => ({ key: Buffer.concat([prefixOf(store), key]), value })));
  state.committed();
  timers?.committed(state.streamTime);
};

const make = (db = new MemoryDb(), budget = 1e9, ttlMs?: number) => {
  const spec = { name: 's', codec: jsonCodec<number>(), ...(ttlMs === undefined ? {} : { ttlMs }) };
  const state = new State([spec], db, budget);
  const store = state.byName.get('s')!;
  const fetch = (...keys: string[]) => {
    for (const key of keys) store.want(key);
    state.load();
  };
  return { db, state, store, fetch };
};

describe('a store', () => {
  it('gives what was named, and throws for what was not', () => {
    const { store, fetch } = make();
    expect(() => store.get('a')).toThrow(expect.objectContaining({ code: 'STATE_NOT_DECLARED' }));
    fetch('a');
    expect(store.get('a')).toBeUndefined();
    store.put('b', 1);
    expect(store.get('b')).toBe(1);
  });

  it('asks for a key again after a commit, though it is in memory', () => {
    const { db, state, store, fetch } = make();
    fetch('a');
    store.put('a', 1);
    commit(db, state);
    expect(() => store.get('a')).toThrow(expect.objectContaining({ code: 'STATE_NOT_DECLARED' }));
    expect(store.peek('a')).toBe(1);
    expect(store.want('a')).toBe(true);
    expect(store.get('a')).toBe(1);
  });

  it('writes one change a key, however often it was put, and none for what was absent and deleted', () => {
    const { state, store, fetch } = make();
    fetch('a', 'b');
    for (let i = 0; i < 10; i++) store.put('a', i);
    store.delete('b');
    expect(state.collect().map(({ key, value }) => [String(key), String(value!.subarray(1))])).toEqual([['a', '9']]);
  });

  it('needs no read for absent keys while it holds all there is', async () => {
    const { db, state, store } = make(new MemoryDb(), 2000);
    finishNow(state.open());
    expect(store.complete).toBe(true);
    expect(store.want('a')).toBe(true);
    expect(state.missing).toHaveLength(0);
    for (let i = 0; i < 100; i++) store.put(`k${i}`, i);
    commit(db, state);
    commit(db, state);
    expect(state.bytes).toBeLessThanOrEqual(2000);
    expect(store.complete).toBe(false);
    await finish(state.open());
    expect(store.complete).toBe(false);
  });

  it('keeps within its budget, evicts only what is clean, and finds evicted values again', () => {
    const { db, state, store, fetch } = make(new MemoryDb(), 5000);
    for (let round = 0; round < 5; round++) {
      for (let i = 0; i < 200; i++) {
        fetch(`k${i}`);
        store.put(`k${i}`, (store.get(`k${i}`) ?? 0) + 1);
      }
      expect(store.entries.size).toBeGreaterThanOrEqual(200);
      commit(db, state);
      expect(state.bytes).toBeLessThanOrEqual(5000);
    }
    fetch('k0', 'k199');
    expect([store.get('k0'), store.get('k199')]).toEqual([5, 5]);
    let bytes = 0;
    for (const entry of store.entries.values()) bytes += entry.bytes;
    expect(state.bytes).toBe(bytes);
  });

  it('does not show what has expired, and the sweep deletes it unless it was refreshed', () => {
    const { db, state, store, fetch } = make(new MemoryDb(), 1e9, 100);
    state.streamTime = 1000;
    fetch('a', 'b', 'c');
    for (const key of ['a', 'b', 'c']) store.put(key, 1);
    commit(db, state);
    state.reset();
    state.streamTime = 1101;
    fetch('a', 'b');
    expect(store.get('a')).toBeUndefined();
    store.put('b', 2);
    finishNow(state.sweep(10));
    expect(state.collect().map(({ key, value }) => [String(key), value === null])).toEqual([
      ['b', false],
      ['a', true],
      ['c', true],
    ]);
    commit(db, state);
    expect(db.scan(store.prefix, endOf(store.prefix), 10)).toHaveLength(1);
  });

  it('reads what was written before it had a time to live, and keeps it', () => {
    const { db, state, store } = make();
    store.put('a', 1);
    commit(db, state);
    const later = make(db, 1e9, 10);
    later.state.streamTime = 1e12;
    finishNow(later.state.sweep(10));
    later.fetch('a');
    expect(later.store.get('a')).toBe(1);
    expect(later.state.collect()).toEqual([]);
  });

  it('sweeps through all keys a few at a time, and starts over', () => {
    const { db, state, store } = make(new MemoryDb(), 1e9, 100);
    state.streamTime = 1;
    for (let i = 0; i < 25; i++) store.put(`k${String(i).padStart(2, '0')}`, i);
    commit(db, state);
    state.streamTime = 1000;
    for (let i = 0; i < 3; i++) {
      finishNow(state.sweep(10));
      commit(db, state);
    }
    expect(state.expired).toBe(25);
    finishNow(state.sweep(10));
    expect(state.collect()).toEqual([]);
  });
});

describe('timers', () => {
  const timer = (due: number, key = 'k', more: Partial<Timer> = {}): Timer => ({
    kind: 't',
    key,
    due,
    clock: 'event',
    ...more,
  });
  const fireAll = (service: TimerService, time: number, now = -1): Timer[] => {
    const fired: Timer[] = [];
    for (;;) {
      const due = finishNow(service.due(time, now, 7));
      if (due.length === 0) return fired;
      for (const one of due) if (service.fire(one)) fired.push(one.timer);
    }
  };
  const save = (db: MemoryDb, service: TimerService, time = 0) => {
    db.write(
      service.collect(time).map(({ store, key, value }) => ({ key: Buffer.concat([prefixOf(store), key]), value })),
    );
    service.committed(time);
  };

  it('fire in order of their due time, once, with all that was said about them', () => {
    const service = new TimerService(new MemoryDb(), 100);
    const timers = service.of('p');
    const all = [
      timer(30, 'ü'),
      timer(10, 'a\0b', { atEnd: true }),
      timer(20, '\ud83d\ude00'),
      timer(10, 'w', { clock: 'wall' }),
    ];
    for (const one of [...all, ...all]) timers.set(one);
    expect(fireAll(service, 25, -1)).toEqual([all[1], all[2]]);
    expect(fireAll(service, 25, 10)).toEqual([all[3]]);
    expect(fireAll(service, 100, 100)).toEqual([all[0]]);
    expect(service.isDue(1e15, 1e15)).toBe(false);
  });

  it('are found after a restart, however many lie on disk', () => {
    const db = new MemoryDb();
    const first = new TimerService(db, 5);
    for (let i = 0; i < 100; i++) first.of('p').set(timer(1000 - i, `k${i}`));
    // many at one time, as at midnight
    for (let i = 0; i < 50; i++) first.of('p').set(timer(5000, `k${i}`));
    save(db, first, 42);
    const second = new TimerService(db, 5);
    expect(finishNow(second.open())).toBe(42);
    const fired = fireAll(second, 5000);
    expect(fired).toHaveLength(150);
    expect(fired.map((t) => t.due)).toEqual(fired.map((t) => t.due).toSorted((a, b) => a - b));
    save(db, second, 42);
    const third = new TimerService(db, 5);
    finishNow(third.open());
    expect(fireAll(third, 1e12)).toEqual([]);
  });

  it('that one of the same round cancels do not fire', () => {
    const service = new TimerService(new MemoryDb(), 5);
    const timers = service.of('p');
    timers.set(timer(1, 'a'));
    timers.set(timer(2, 'b'));
    const [a, b] = finishNow(service.due(5, 0, 10));
    expect(service.fire(a!)).toBe(true);
    timers.cancel(b!.timer);
    expect(service.fire(b!)).toBe(false);
  });

  it('with atEnd are all found at the end, from disk and memory, by due time', () => {
    const db = new MemoryDb();
    const service = new TimerService(db, 2);
    const timers = service.of('p');
    for (let i = 0; i < 9; i++)
      timers.set(timer(100 - i, `k${i}`, { atEnd: i % 2 === 0, clock: i % 3 === 0 ? 'wall' : 'event' }));
    save(db, service);
    timers.cancel(timer(98, 'k2', { clock: 'event' }));
    timers.set(timer(1, 'new', { atEnd: true }));
    expect(finishNow(service.atEnd()).map((d) => d.timer.due)).toEqual([1, 92, 94, 96, 100]);
  });

  it('refuse a due time that is none', () => {
    const timers = new TimerService(new MemoryDb(), 2).of('p');
    expect(() => timers.set(timer(NaN))).toThrow(expect.objectContaining({ code: 'INVALID_TIMER' }));
    expect(() => timers.set(timer(1, 'k', { kind: 'a\0b' }))).toThrow(
      expect.objectContaining({ code: 'INVALID_TIMER' }),
    );
  });
});

describe('state and timers, with crashes at any time,', () => {
  const key = fc.integer({ min: 0, max: 12 }).map((n) => `k${n}`);
  // few of each, so that what is cancelled was often set
  const timerKey = fc.constantFrom('k0', 'k1');
  const due = fc.integer({ min: 0, max: 12 }).map((n) => n * 10);
  const kind = fc.constantFrom('event' as const, 'wall' as const);
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ op: fc.constant('put' as const), key, value: fc.nat(1000) }) },
    { weight: 2, arbitrary: fc.record({ op: fc.constant('delete' as const), key }) },
    { weight: 4, arbitrary: fc.record({ op: fc.constant('set' as const), key: timerKey, due, clock: kind }) },
    { weight: 4, arbitrary: fc.record({ op: fc.constant('cancel' as const), key: timerKey, due, clock: kind }) },
    { weight: 3, arbitrary: fc.record({ op: fc.constant('fire' as const), by: fc.nat(15) }) },
    { weight: 3, arbitrary: fc.record({ op: fc.constant('commit' as const) }) },
    { weight: 1, arbitrary: fc.record({ op: fc.constant('crash' as const) }) },
    { weight: 1, arbitrary: fc.record({ op: fc.constant('restart' as const) }) },
  );

  it('equal plain maps that remember the last commit', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 150, size: 'max' }), fc.integer({ min: 1, max: 6 }), (steps, size) => {
        const db = new MemoryDb();
        let { state, store } = make(db, 600);
        let service = new TimerService(db, size);
        interface Model {
          values: Map<string, number>;
          timers: Map<string, Timer>;
          time: number;
        }
        let model: Model = { values: new Map(), timers: new Map(), time: 0 };
        let committed: Model = structuredClone(model);
        state.streamTime = 0;
        const idOf = (t: Timer) => `${t.clock} ${t.due} ${t.key}`;
        for (const one of steps) {
          if (one.op === 'put') {
            store.put(one.key, one.value);
            model.values.set(one.key, one.value);
          } else if (one.op === 'delete') {
            store.delete(one.key);
            model.values.delete(one.key);
          } else if (one.op === 'set' || one.op === 'cancel') {
            const timer: Timer = { kind: 't', key: one.key, due: one.due, clock: one.clock };
            service.of('p')[one.op](timer);
            if (one.op === 'set') model.timers.set(idOf(timer), timer);
            else model.timers.delete(idOf(timer));
          } else if (one.op === 'fire') {
            model.time += one.by;
            state.streamTime = model.time;
            const fired: string[] = [];
            for (;;) {
              const round = finishNow(service.due(model.time, model.time, 3));
              if (round.length === 0) break;
              for (const d of round) if (service.fire(d)) fired.push(idOf(d.timer));
            }
            const expected = [...model.timers.values()].filter((t) => t.due <= model.time).map(idOf);
            expect(fired.toSorted()).toEqual(expected.toSorted());
            for (const id of expected) model.timers.delete(id);
          } else if (one.op === 'commit') {
            commit(db, state, service);
            committed = structuredClone(model);
          } else if (one.op === 'crash') {
            state.reset();
            state.streamTime = service.reset();
            model = structuredClone(committed);
          } else {
            ({ state, store } = make(db, 600));
            service = new TimerService(db, size);
            const time = finishNow(service.open());
            state.streamTime = time === -Infinity ? 0 : time;
            finishNow(state.open());
            model = structuredClone(committed);
          }
          if (state.streamTime === -Infinity) state.streamTime = 0;
          expect(state.streamTime).toBe(model.time);
        }
        for (let i = 0; i <= 12; i++) store.want(`k${i}`);
        state.load();
        for (let i = 0; i <= 12; i++) expect(store.get(`k${i}`)).toBe(model.values.get(`k${i}`));
      }),
      { numRuns: 400 },
    );
  });
});
