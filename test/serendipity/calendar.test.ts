import { expect, it } from 'vitest';
import { Calendar, dayName } from '../../src/serendipity/calendar.ts';

const name = (zone: string, time: string) => dayName(new Calendar(zone).dayOf(Date.parse(time)));

it('gives the day of the zone, not of UTC', () => {
  expect(name('UTC', '2024-03-01T00:00:00Z')).toBe('2024-03-01');
  expect(name('America/New_York', '2024-03-01T04:59:59.999Z')).toBe('2024-02-29');
  expect(name('Asia/Kathmandu', '2024-02-29T18:15:00Z')).toBe('2024-03-01');
});

it('follows clocks that change, to the minute', () => {
  // New York springs forward at 07:00 UTC and falls back at 06:00 UTC
  expect(name('America/New_York', '2024-03-10T04:59:00Z')).toBe('2024-03-09');
  expect(name('America/New_York', '2024-03-11T04:00:00Z')).toBe('2024-03-11');
  expect(name('America/New_York', '2024-11-04T04:59:00Z')).toBe('2024-11-03');
  // a day that Samoa left out
  expect(name('Pacific/Apia', '2011-12-30T09:59:59Z')).toBe('2011-12-29');
  expect(name('Pacific/Apia', '2011-12-30T10:00:00Z')).toBe('2011-12-31');
});

it('says which day may still come where clocks go back over midnight', () => {
  const calendar = new Calendar('America/St_Johns');
  const sunday = Date.parse('2010-11-07T02:30:30Z'); // 00:00:30 on Sunday; at 00:01 it is 23:01 on Saturday again
  expect(dayName(calendar.dayOf(sunday))).toBe('2010-11-07');
  expect(dayName(calendar.lowestFrom(sunday))).toBe('2010-11-06');
  expect(dayName(calendar.dayOf(sunday + 60_000))).toBe('2010-11-06');
  expect(dayName(calendar.lowestFrom(sunday + 7_200_000))).toBe('2010-11-07');
});

it('knows the days around which clocks go back', () => {
  const calendar = new Calendar('America/New_York');
  const back = (time: string) => calendar.goesBack(Date.parse(time));
  expect(back('2024-11-01T12:00:00Z')).toBe(false);
  expect(back('2024-11-02T12:00:00Z')).toBe(true);
  expect(back('2024-11-03T06:00:00Z')).toBe(true);
  expect(back('2024-11-04T12:00:00Z')).toBe(true);
  expect(back('2024-11-05T12:00:00Z')).toBe(false);
  // forward
  expect(back('2024-03-10T12:00:00Z')).toBe(false);
  expect(new Calendar('UTC').goesBack(Date.parse('2024-11-03T06:00:00Z'))).toBe(false);
});

it('refuses a zone that is none', () => {
  expect(() => new Calendar('Mars/Olympus')).toThrow(RangeError);
});
