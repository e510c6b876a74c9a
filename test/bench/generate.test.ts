import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, describe, expect, test } from 'vitest';
import { generate, generateSync, toLine } from '../../bench/generate.ts';
import type { GeneratedEvent, GeneratorOptions } from '../../bench/generate.ts';

const script = join(import.meta.dirname, '../../bench/generate.ts');
const folder = mkdtempSync(join(tmpdir(), 'generate-'));
afterAll(() => rmSync(folder, { recursive: true }));

const small = { users: 300, days: 20, categories: 400, items: 4_000 };
const made = (options: GeneratorOptions): GeneratedEvent[] => [...generateSync({ ...small, ...options })];
const hashOf = (events: GeneratedEvent[]) => createHash('sha256').update(events.map(toLine).join('')).digest('hex');
const inTimeOrder = (events: GeneratedEvent[]) =>
  events.every((event, n) => n === 0 || events[n - 1]!.event_time <= event.event_time);

describe('a generated log', () => {
  test('is the same for the same seed, and another for another', async () => {
    const first = hashOf(made({ events: 5_000, seed: 'a' }));
    expect(hashOf(made({ events: 5_000, seed: 'a' }))).toBe(first);
    expect(hashOf(made({ events: 5_000, seed: 'b' }))).not.toBe(first);
    const slowly: GeneratedEvent[] = [];
    for await (const event of generate({ ...small, events: 5_000, seed: 'a' })) slowly.push(event);
    expect(hashOf(slowly)).toBe(first);
  });

  test('has as many events as asked for, in the order of their time, over its days', () => {
    for (const events of [1, 7, 500, 20_000]) {
      const log = made({ events });
      expect(log).toHaveLength(events);
      expect(inTimeOrder(log)).toBe(true);
      expect(new Set(log.map((event) => event.event_id)).size).toBe(events);
    }
    const days = made({ events: 20_000 }).map((event) => Math.floor(event.event_time / 86_400_000));
    expect(new Set(days).size).toBe(20);
  });

  test('comes out of order by no more than its disorder, with the same events in it', () => {
    const plain = made({ events: 20_000 });
    const mixed = made({ events: 20_000, disorderMs: 600_000 });
    expect(inTimeOrder(mixed)).toBe(false);
    let newest = 0;
    let latest = 0;
    for (const { event_time } of mixed) {
      latest = Math.max(latest, newest - event_time);
      newest = Math.max(newest, event_time);
    }
    expect(latest).toBeGreaterThan(300_000);
    expect(latest).toBeLessThan(600_000);
    expect(hashOf(mixed.sort(byId))).toBe(hashOf(plain.sort(byId)));
  });

  test('repeats the share of its events that was asked for, each once', () => {
    const log = made({ events: 20_000, duplicates: 0.05 });
    const repeats = log.length - new Set(log).size;
    expect(repeats / 20_000).toBeGreaterThan(0.04);
    expect(repeats / 20_000).toBeLessThan(0.06);
    const seen = new Map<GeneratedEvent, number>();
    for (const event of log) seen.set(event, (seen.get(event) ?? 0) + 1);
    expect(Math.max(...seen.values())).toBe(2);
    expect(hashOf([...seen.keys()].sort(byId))).toBe(hashOf(made({ events: 20_000 }).sort(byId)));
  });

  test('has the shares of a shop, and its edges', () => {
    const log = [...generateSync({ events: 60_000, users: 1_000 })];
    const share = (holds: (event: GeneratedEvent) => boolean) => log.filter(holds).length / log.length;
    const within = (value: number, least: number, most: number) => {
      expect(value).toBeGreaterThan(least);
      expect(value).toBeLessThan(most);
    };
    const shown = log.filter((event) => event.event_type === 'exposure').flatMap((event) => event.items);
    within(shown.length / log.length, 5, 5.5);
    within(shown.filter((item) => !item.viewable).length / shown.length, 0.03, 0.08);
    within(shown.filter((item) => item.category_id === null).length / shown.length, 0.001, 0.01);
    within(shown.filter((item) => item.brand_id === null).length / shown.length, 0.1, 0.2);
    within(
      share((event) => event.event_type === 'click'),
      0.25,
      0.36,
    );
    within(
      share((event) => event.event_type === 'visit'),
      0.07,
      0.13,
    );
    within(
      share((event) => event.event_type === 'search'),
      0.02,
      0.06,
    );
    within(
      share((event) => event.event_type === 'purchase'),
      0.008,
      0.03,
    );
    within(
      share((event) => event.event_type === 'exposure' && event.request_id === null),
      0.005,
      0.02,
    );

    // Zipf: some users have much, most have little
    const perUser = [...Map.groupBy(log, (event) => event.user_id).values()].map((own) => own.length);
    perUser.sort((a, b) => b - a);
    within(perUser.slice(0, perUser.length / 10).reduce((a, b) => a + b) / log.length, 0.25, 0.6);

    // clicks again, and on what was never shown
    const shownTo = new Set(
      log.flatMap((event) =>
        event.event_type === 'exposure' ? event.items.map((item) => `${event.user_id} ${item.item_id}`) : [],
      ),
    );
    const clicks = log.filter((event) => event.event_type === 'click');
    const clicked = Map.groupBy(clicks, (event) => `${event.user_id} ${event.request_id} ${event.items[0]!.item_id}`);
    within((clicks.length - clicked.size) / clicks.length, 0.03, 0.12);
    const unshown = clicks.filter((event) => !shownTo.has(`${event.user_id} ${event.items[0]!.item_id}`));
    within(unshown.length / clicks.length, 0.001, 0.03);
    expect(log.some((event) => event.event_type === 'purchase' && event.items.length > 1)).toBe(true);
  });

  test('stays what a line of it says', () => {
    const log = made({ events: 3_000 });
    for (const event of log) {
      const read = JSON.parse(toLine(event)) as { items?: object[] };
      const items = (read.items ?? []).map((item) => ({ viewable: true, price: null, quantity: 1, ...item }));
      expect({ query: null, ...read, items }).toEqual(event);
    }
  });
});

describe('the command', () => {
  test('writes the log, compressed where the name says so, and the catalog of its items', () => {
    const [log, catalog] = [join(folder, 'log.ndjson.gz'), join(folder, 'catalog.ndjson')];
    const world = ['--users', '300', '--days', '20', '--categories', '400', '--items', '4000'];
    const args = [script, '--events', '2000', ...world, '--seed', 'a', '--out', log, '--catalog', catalog];
    execFileSync(process.execPath, args, { stdio: 'pipe' });
    expect(gunzipSync(readFileSync(log)).toString()).toBe(made({ events: 2_000, seed: 'a' }).map(toLine).join(''));
    const known = new Map(
      readFileSync(catalog, 'utf8')
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as GeneratedEvent['items'][0])
        .map((item) => [item.item_id, item]),
    );
    expect(known.size).toBe(4_000);
    for (const { items } of made({ events: 2_000, seed: 'a' }))
      for (const { item_id, category_id, brand_id, seller_id } of items) {
        const item = known.get(item_id)!;
        expect([item.brand_id, item.seller_id]).toEqual([brand_id, seller_id]);
        // an item whose category the log lacks may be known to the catalog
        if (category_id !== null) expect(item.category_id).toBe(category_id);
      }
  });

  test('writes to standard output', () => {
    const out = execFileSync(process.execPath, [script, '--events', '10', '--out', '-'], { stdio: 'pipe' });
    expect(out.toString().trimEnd().split('\n')).toHaveLength(10);
  });

  test('explains itself, and refuses what it does not know', () => {
    expect(spawnSync(process.execPath, [script, '--help']).status).toBe(0);
    expect(spawnSync(process.execPath, [script]).status).toBe(2);
    expect(spawnSync(process.execPath, [script, '--events', 'many', '--out', '-']).status).toBe(2);
    expect(spawnSync(process.execPath, [script, '--evnets', '1', '--out', '-']).status).toBe(2);
  });
});

function byId(a: GeneratedEvent, b: GeneratedEvent): number {
  return a.event_id < b.event_id ? -1 : a.event_id > b.event_id ? 1 : 0;
}
