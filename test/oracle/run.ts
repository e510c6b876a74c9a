/**
 * The oracle over whole files: writes what `seral replay labels` has to write, so that `cmp` can judge.
 *
 *     node test/oracle/run.ts --input events.ndjson.gz --output labels.ndjson --metrics metrics.json --time-zone UTC
 */
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { createGunzip } from 'node:zlib';
import { oracle } from './oracle.ts';
import type { CatalogEntry, RawEvent } from './oracle.ts';

const usage = `Usage: node test/oracle/run.ts --input FILE [--output FILE] [--metrics FILE] [options]

  --input FILE              events, .ndjson or .ndjson.gz
  --output FILE             labels, one a line, sorted by label_id
  --metrics FILE            an array of one object per day and arm
  --catalog FILE            items, .ndjson or .ndjson.gz, that fill nulls
  --visit-days N            days with visits that a window has (10)
  --today WORD              included or excluded (included)
  --time-zone ZONE          of the business (UTC)
  --attribution-window SPAN such as 24h, 90m, 3d or 500ms (24h)

Prints counts, the time taken and the SHA-256 of what it wrote, on stderr.`;

const units: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

function spanOf(text: string): number {
  const [, amount, unit] = /^(\d+)(ms|s|m|h|d)$/.exec(text) ?? [];
  if (amount === undefined) throw new RangeError(`not a span of time: ${text}`);
  return Number(amount) * units[unit!]!;
}

/** The records of a file; a line that is no JSON object is bad input, counted and left out. */
async function* records<T extends object>(file: string): AsyncGenerator<T> {
  const bytes = createReadStream(file);
  const input = file.endsWith('.gz') ? bytes.pipe(createGunzip()) : bytes;
  let bad = 0;
  for await (const line of createInterface({ input, crlfDelay: Infinity })) {
    if (line.trim() === '') continue;
    let record: unknown;
    try {
      record = JSON.parse(line);
    } catch {
      record = null;
    }
    if (typeof record === 'object' && record !== null && !Array.isArray(record)) yield record as T;
    else bad++;
  }
  if (bad > 0) console.error(`${bad} lines of ${file} are no JSON objects`);
}

async function write(file: string, lines: Iterable<string>): Promise<string> {
  const hash = createHash('sha256');
  const out = createWriteStream(file);
  for (const line of lines) {
    hash.update(line);
    if (!out.write(line)) await once(out, 'drain');
  }
  out.end();
  await once(out, 'finish');
  return hash.digest('hex');
}

const { values } = parseArgs({
  options: {
    input: { type: 'string' },
    output: { type: 'string' },
    metrics: { type: 'string' },
    catalog: { type: 'string' },
    'visit-days': { type: 'string', default: '10' },
    today: { type: 'string', default: 'included' },
    'time-zone': { type: 'string', default: 'UTC' },
    'attribution-window': { type: 'string', default: '24h' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(usage);
} else if (values.input === undefined || (values.today !== 'included' && values.today !== 'excluded')) {
  console.error(usage);
  process.exitCode = 2;
} else {
  const started = performance.now();
  let catalog: Map<string, CatalogEntry> | undefined;
  if (values.catalog !== undefined) {
    catalog = new Map();
    // a compacted topic: the last record of an item is the item
    for await (const item of records<CatalogEntry & { item_id: string }>(values.catalog))
      catalog.set(item.item_id, item);
  }
  const events: RawEvent[] = [];
  for await (const event of records<RawEvent>(values.input)) events.push(event);
  const { labels, metrics } = oracle(events, {
    visitDays: Number(values['visit-days']),
    today: values.today,
    timeZone: values['time-zone'],
    attributionWindowMs: spanOf(values['attribution-window']),
    catalog,
  });
  const hashes: string[] = [];
  if (values.output !== undefined) {
    const lines = labels.map((label) => `${JSON.stringify(label)}\n`);
    hashes.push(`${await write(values.output, lines)}  ${values.output}`);
  }
  if (values.metrics !== undefined)
    hashes.push(`${await write(values.metrics, [`${JSON.stringify(metrics)}\n`])}  ${values.metrics}`);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.error(`${events.length} events, ${labels.length} labels, ${metrics.length} rows of metrics in ${seconds} s`);
  for (const hash of hashes) console.error(hash);
}
