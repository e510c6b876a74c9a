import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, expect, test } from 'vitest';

const run = join(import.meta.dirname, 'run.ts');
const folder = mkdtempSync(join(tmpdir(), 'oracle-'));
afterAll(() => rmSync(folder, { recursive: true }));

test('whole files go in and out, in the format of a replay', () => {
  const at = Date.UTC(2024, 4, 1, 23);
  const lines = [
    { event_id: 'e', event_type: 'exposure', event_time: at, user_id: 'u', request_id: 'r', items: [{ item_id: 'i' }] },
    { event_id: 'k', event_type: 'click', event_time: at, user_id: 'u', request_id: 'r', items: [{ item_id: 'i' }] },
  ].map((event) => `${JSON.stringify(event)}\n`);
  const [input, catalog, output, metrics] = ['in.ndjson.gz', 'catalog.ndjson', 'out.ndjson', 'metrics.json'].map(
    (name) => join(folder, name),
  ) as [string, string, string, string];
  writeFileSync(input, gzipSync(`${lines[1]}not json\n\n${lines[0]}`));
  writeFileSync(catalog, '{"item_id":"i","category_id":"c"}\n');
  const options = ['--time-zone', 'Asia/Kolkata', '--attribution-window', '1h', '--visit-days', '3'];
  const files = ['--input', input, '--catalog', catalog, '--output', output, '--metrics', metrics];
  execFileSync(process.execPath, [run, ...files, ...options], { stdio: 'pipe' });
  expect(readFileSync(output, 'utf8')).toBe(
    '{"label_id":"k#i","user_id":"u","item_id":"i","request_id":"r","scene":null,"arm":null,"category_id":"c",' +
      `"brand_id":null,"seller_id":null,"position":null,"click_time":${at},"exposure_time":${at},` +
      '"attribution":"request","serendipitous":true,"novel_category":true,"novel_brand":false,"novel_seller":false,' +
      '"serendipity_related":true,"category_last_seen":null,"visit_days":1,"unlabelled":null}\n',
  );
  expect(readFileSync(metrics, 'utf8')).toBe(
    '[{"day":"2024-05-02","arm":null,"exposures":1,"s_exposures":1,"clicks":1,"s_clicks":1,"purchases":0,' +
      '"s_purchases":0,"users":1,"uv3":0}]\n',
  );
});

test('wrong use exits with 2', () => {
  expect(spawnSync(process.execPath, [run, '--today', 'maybe', '--input', 'x']).status).toBe(2);
  expect(spawnSync(process.execPath, [run]).status).toBe(2);
});
