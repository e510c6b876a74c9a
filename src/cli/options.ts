import { InvalidArgumentError, Option } from 'commander';

/** What several commands have in common. */
export const formatOption = (choices: string[]): Option =>
  new Option('--format <format>', 'how it is printed; json is one object a line').choices(choices).default(choices[0]);

export function positive(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < 1) throw new InvalidArgumentError('a whole number from 1 is expected.');
  return value;
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
