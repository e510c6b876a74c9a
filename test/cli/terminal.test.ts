import { PassThrough } from 'node:stream';
import { expect, it } from 'vitest';
import { createLogger } from '../../src/cli/logging.ts';
import { progress } from '../../src/cli/progress.ts';
import { table } from '../../src/cli/table.ts';

const sink = (isTTY: boolean) => {
  const stream = Object.assign(new PassThrough(), { isTTY }) as unknown as NodeJS.WriteStream;
  let text = '';
  stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
  return { stream, text: () => text };
};

it('progress off a terminal is a line from time to time, with rate and time left', () => {
  const { stream, text } = sink(false);
  let now = 0;
  const bar = progress('restore', 1000, 'records', { stream, now: () => now });
  bar.update(10);
  expect(text()).toBe('');
  now = 5000;
  bar.update(500);
  bar.update(510);
  expect(text()).toBe('restore: 50 %, 500 of 1,000 records, 100/s, 5.0 s left\n');
  bar.stop('done');
  expect(text()).toMatch(/left\ndone\n$/);
});

it('progress without a total is an amount and a rate; bytes are in sizes', () => {
  const { stream, text } = sink(false);
  let now = 0;
  const bar = progress('read', null, 'bytes', { stream, now: () => now });
  now = 10_000;
  bar.update(20 * 1024 * 1024);
  bar.stop();
  expect(text()).toBe('read: 20.0 MB, 2.0 MB/s\n');
});

it('on a terminal is a bar', () => {
  const { stream, text } = sink(true);
  const bar = progress('restore', 10, 'records', { stream });
  bar.update(5);
  bar.stop('all there');
  expect(text()).toContain('restore [');
  expect(text()).toMatch(/all there\n$/);
});

it('logs are JSON lines; a user’s id is hashed where that is asked for', async () => {
  const { stream, text } = sink(false);
  const logger = await createLogger({ level: 'info', pretty: false, hashUserIds: true, destination: stream });
  logger.info({ key: 'u1', partition: 3 }, 'refused');
  logger.debug({}, 'not shown');
  const line = JSON.parse(text());
  expect(line).toMatchObject({ level: 'info', partition: 3, msg: 'refused' });
  expect(line.key).toMatch(/^[0-9a-f]{12}$/);
});

it('a table is aligned, without blanks at the ends of lines', () => {
  expect(
    table(
      ['A', 'B'],
      [
        ['long', ''],
        ['x', 'y'],
      ],
    ),
  ).toBe('A     B\nlong\nx     y\n');
});
