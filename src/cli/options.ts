import { InvalidArgumentError, Option } from 'commander';

/** What several commands have in common. */
export const formatOption = (choices: string[]): Option =>
  new Option('--format <format>', 'how it is printed; json is one object a line').choices(choices).default(choices[0]);

export function positive(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < 1) throw new InvalidArgumentError('a whole number from 1 is expected.');
  return value;
}

/** A day as it is written: YYYY-MM-DD, and in the calendar. */
export function isDay(text: string): boolean {
  if (!/^\d{4}-\d\d-\d\d$/.test(text)) return false;
  const time = Date.parse(text);
  return !Number.isNaN(time) && new Date(time).toISOString().startsWith(text);
}

export function day(text: string): string {
  if (!isDay(text)) throw new InvalidArgumentError('a day such as 2017-12-31 is expected.');
  return text;
}

/** Data goes to stdout; progress and remarks to stderr. */
export const print = (text: string): void => void process.stdout.write(text.endsWith('\n') ? text : `${text}\n`);

/** `use` with what is closed afterwards, whatever happens. */
export async function using<R extends { close(): Promise<void> }, T>(
  resource: R,
  use: (resource: R) => T | Promise<T>,
): Promise<T> {
  try {
    return await use(resource);
  } finally {
    await resource.close();
  }
}
