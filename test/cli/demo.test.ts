import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { seral } from '../support/seral.ts';

const data = join(import.meta.dirname, '../../data/completejourney');
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'seral-demo-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

it(
  'labels every click of the sample, makes profiles, and leaves a log that can be asked',
  { timeout: 120_000 },
  async () => {
    const demo = await seral(['demo', '--once', '--folder', folder]);
    expect(demo.stderr).toContain('67,808 events');
    expect(demo.stdout).toContain('46,173 clicks of 45 households labelled');
    expect(demo.stdout).toMatch(/2017-12 +10,010 +49\.1 %/);
    expect(demo.stdout).toMatch(
      /h993 clicked .+: serendipitous, its category '.+' was in none of the last 10 visit days/,
    );
    expect(demo.stdout).toContain('Profiles of 45 households');
    expect(demo.stdout).toContain('profiler "extractive" (without a model');
    expect(demo.stdout).toMatch(/^h993 +\d+ +\w+.*, \d+ more/m);
    expect(demo.code).toBe(0);

    const env = { SERAL_LOG_KIND: 'embedded', SERAL_EMBEDDED_PATH: join(folder, 'log') };
    const asked = await seral(['explain', 'h993', '--limit', '1', '--format', 'json'], env);
    expect(asked.code).toBe(0);
    expect(asked.stdout).toContain('"user_id":');

    const profile = await seral(['explain', 'h993', '--only', 'profile'], env);
    expect(profile.code).toBe(0);
    expect(profile.stdout).toMatch(
      /^short-term profile of 2017-1\d-\d\d: 10 tags approved, \d+ refused\. Proposed by the extractive/,
    );
    expect(profile.stdout).toContain('static profile: age 55-64');
    expect(profile.stdout).toMatch(
      /^ {2}\+ .+ score 0\.\d\d: prior 0\.\d\d, posterior 0\.\d\d by \d+ signs?, recency/m,
    );
    expect(profile.stdout).toMatch(/^ {2}- .+ refused, BELOW_TOP: it is credible, but 10 others score higher/m);
    expect(profile.stdout).toMatch(/^ {6}bought 2017-\d\d-\d\d: '.+', 1\.00 by its category, tags or brand/m);
    expect(profile.stdout).toMatch(/^long-term profile of /m);

    // the live job gives what a replay of the file does, to the last figure
    const output = join(folder, 'profiles.ndjson');
    const files = ['--input', 'events.ndjson.gz', '--catalog', 'catalog.ndjson.gz', '--users', 'users.ndjson'];
    const paths = files.map((word) => (word.startsWith('--') ? word : join(data, word)));
    expect((await seral(['replay', 'profiles', ...paths, '--output', output])).code).toBe(0);
    const rows = (await readFile(output, 'utf8'))
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    for (const user of ['h993', 'h588', 'h1015']) {
      const live = await seral(['explain', user, '--only', 'profile', '--format', 'json'], env);
      const replayed = rows.filter(({ profile }) => profile.user_id === user).map(({ profile }) => profile);
      const said = live.stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line));
      expect(replayed).toHaveLength(2);
      for (const profile of said) expect(replayed).toContainEqual(profile);
    }

    const nobody = await seral(['explain', 'nobody'], env);
    expect(nobody.stdout).toContain('no profile of nobody');
  },
);

it('replays a file to the labels that hold, and keeps what it refuses with its code', { timeout: 60_000 }, async () => {
  const output = join(folder, 'labels.ndjson');
  const refused = join(folder, 'refused.ndjson');
  const events = join(data, 'events.ndjson.gz');
  const done = await seral(['replay', 'labels', '--input', events, '--output', output, '--refused', refused]);
  expect(done.code).toBe(0);
  const lines = (await readFile(output, 'utf8')).trimEnd().split('\n');
  expect(lines).toHaveLength(46_173);
  expect(Object.keys(JSON.parse(lines[0]))).toEqual(
    'label_id user_id item_id request_id scene arm category_id brand_id seller_id position click_time exposure_time attribution serendipitous novel_category novel_brand novel_seller serendipity_related category_last_seen visit_days unlabelled'.split(
      ' ',
    ),
  );
  expect(await readFile(refused, 'utf8')).toBe('');

  const nothing = await seral(['replay', 'labels', '--input', join(data, '../README.md'), '--output', output]);
  expect(nothing.code).toBe(1);
  expect(nothing.stderr).toContain('NOTHING_READ');
  expect((await seral(['replay', 'labels', '--input', events])).code).toBe(2);
});
