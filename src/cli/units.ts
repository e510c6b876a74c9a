/** Durations and sizes as people write them: `24h`, `100ms`, `128MB`. A bare number is refused: nobody knows its unit. */

const DURATIONS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
/** 1 MB is 1,048,576 bytes here, as in the settings of Kafka and RocksDB. */
const SIZES: Record<string, number> = { B: 1, KB: 1024, MB: 1024 ** 2, GB: 1024 ** 3 };

/** Milliseconds; undefined for what is no duration. `0` needs no unit. */
export function parseDuration(text: unknown): number | undefined {
  return amount(text, DURATIONS, (unit) => unit);
}

/** Bytes; undefined for what is no size. */
export function parseSize(text: unknown): number | undefined {
  return amount(text, SIZES, (unit) => unit.toUpperCase());
}

function amount(text: unknown, units: Record<string, number>, spell: (unit: string) => string): number | undefined {
  if (text === 0 || text === '0') return 0;
  if (typeof text !== 'string') return undefined;
  const match = /^(\d+(?:\.\d+)?)\s*([a-zA-Z]+)$/.exec(text.trim());
  const unit = match && units[spell(match[2]!)];
  if (!match || !unit) return undefined;
  const value = Math.round(Number(match[1]) * unit);
  return Number.isSafeInteger(value) ? value : undefined;
}

export const formatDuration = (ms: number): string => format(ms, DURATIONS, 'ms');
export const formatSize = (bytes: number): string => format(bytes, SIZES, 'B');

/** The largest unit that divides the amount, so that what is printed reads back as the same number. */
function format(amount: number, units: Record<string, number>, smallest: string): string {
  if (amount === 0) return `0${smallest}`;
  let best = smallest;
  for (const [name, unit] of Object.entries(units)) if (amount % unit === 0 && unit >= units[best]!) best = name;
  return `${amount / units[best]!}${best}`;
}

/** `3.2 s`, `4 min 5 s`, `2 h 10 min`: for people, in summaries and progress lines. */
export function humanDuration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export const humanCount = (count: number): string => count.toLocaleString('en-US');
