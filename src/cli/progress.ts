/**
 * Progress of long work, on stderr (stdout is for data): a bar with rate and time left on a terminal, elsewhere a plain
 * line every few seconds, which a log collector can keep.
 */
import cliProgress from 'cli-progress';
import { formatSize, humanCount, humanDuration } from './units.ts';

export interface Progress {
  /** so much is done, of `total` */
  update(done: number): void;
  /** Ends it; the text takes the place of the last line. */
  stop(finalText?: string): void;
}

export interface ProgressOptions {
  stream?: NodeJS.WriteStream;
  now?: () => number;
  /** between two plain lines */
  everyMs?: number;
}

const REDRAW_MS = 100;

/** Without `total`, the amount and the rate alone. The unit `bytes` is shown as KB, MB and GB. */
export function progress(label: string, total: number | null, unit: string, options: ProgressOptions = {}): Progress {
  const { stream = process.stderr, now = Date.now, everyMs = 5000 } = options;
  const begun = now();
  let done = 0;
  const amount = (value: number) => (unit === 'bytes' ? roundSize(value) : humanCount(Math.round(value)));
  const status = (): string => {
    const seconds = (now() - begun) / 1000;
    const rate = seconds > 0 ? done / seconds : 0;
    const parts = [
      total === null
        ? `${amount(done)} ${suffix(unit)}`.trim()
        : `${amount(done)} of ${amount(total)} ${suffix(unit)}`.trim(),
      `${amount(rate)}/s`,
    ];
    if (total !== null && rate > 0 && done < total) parts.push(`${humanDuration(((total - done) / rate) * 1000)} left`);
    return parts.join(', ');
  };
  const share = () => (total === null || total <= 0 ? 1 : Math.min(1, done / total));

  if (stream.isTTY !== true) {
    let next = begun + everyMs;
    return {
      update(value) {
        done = value;
        if (now() < next) return;
        next = now() + everyMs;
        const percent = total === null ? '' : `${Math.floor(share() * 100)} %, `;
        stream.write(`${label}: ${percent}${status()}\n`);
      },
      stop(finalText) {
        if (finalText !== undefined) stream.write(`${finalText}\n`);
      },
    };
  }

  const bar = new cliProgress.SingleBar({
    stream,
    fps: 1000 / REDRAW_MS,
    hideCursor: true,
    clearOnComplete: true,
    format: (bars) => {
      const width = bars.barsize ?? 30;
      const full = Math.round(share() * width);
      const drawn = total === null ? '' : `[${'#'.repeat(full)}${'-'.repeat(width - full)}] `;
      return `${label} ${drawn}${status()}`;
    },
  });
  bar.start(total ?? 1, 0);
  return {
    update(value) {
      done = value;
      bar.update(total === null ? 0 : Math.min(value, total));
    },
    stop(finalText) {
      bar.stop();
      if (finalText !== undefined) stream.write(`${finalText}\n`);
    },
  };
}

const suffix = (unit: string): string => (unit === 'bytes' ? '' : unit);

/** One digit behind the point is enough for eyes. */
function roundSize(bytes: number): string {
  for (const [unit, size] of [
    ['GB', 1024 ** 3],
    ['MB', 1024 ** 2],
    ['KB', 1024],
  ] as const) {
    if (bytes >= size) return `${(bytes / size).toFixed(1)} ${unit}`;
  }
  return formatSize(Math.round(bytes));
}
