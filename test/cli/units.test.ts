import { describe, expect, it } from 'vitest';
import { formatDuration, formatSize, humanDuration, parseDuration, parseSize } from '../../src/cli/units.ts';

describe('durations and sizes', () => {
  it.each([
    ['100ms', 100],
    ['1.5h', 5_400_000],
    ['24h', 86_400_000],
    ['400d', 34_560_000_000],
    [0, 0],
  ])('%s is %d ms', (text, ms) => expect(parseDuration(text)).toBe(ms));

  it.each(['10', 10, '', '-1s', '1 week', 'h', null, '1e3s', '99999999999999999d'])('%s is no duration', (text) =>
    expect(parseDuration(text)).toBeUndefined(),
  );

  it('reads sizes by powers of 1024', () => {
    expect(parseSize('128MB')).toBe(134_217_728);
    expect(parseSize('1gb')).toBe(2 ** 30);
    expect(parseSize('5')).toBeUndefined();
  });

  it('prints what reads back as the same', () => {
    for (const ms of [0, 1, 1500, 90_000, 86_400_000]) expect(parseDuration(formatDuration(ms))).toBe(ms);
    for (const bytes of [0, 1, 1024, 134_217_728, 1_000_000]) expect(parseSize(formatSize(bytes))).toBe(bytes);
    expect(formatDuration(86_400_000)).toBe('1d');
  });

  it('tells people times without odd carries', () => {
    expect([400, 3200, 59_990, 125_000, 3_600_000].map(humanDuration)).toEqual([
      '400 ms',
      '3.2 s',
      '1 min 0 s',
      '2 min 5 s',
      '1 h 0 min',
    ]);
  });
});
