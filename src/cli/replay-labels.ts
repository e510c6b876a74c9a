import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BadRecordError, SeralError } from '../errors.ts';
import { readLines, TextFile } from '../log/ndjson.ts';
import { itemFacts, type ItemFacts, type SerendipityLabel, type UserDay } from '../serendipity/records.ts';
import { eventFromJson } from '../shop/behaviour.ts';
import type { CatalogItem } from '../shop/catalog.ts';
import { metricsKey, type MetricsDay } from '../serendipity/metrics.ts';
import type { LocalRecord } from '../stream/local-task.ts';
import { runLocal } from '../stream/local.ts';
import { labelsTopology, type LabelsOptions } from '../../topologies/labels.ts';
import { metricsTopology } from '../../topologies/metrics.ts';
import { LastRows } from './last-rows.ts';

export interface ReplayOptions {
  /** a file, or `-` for standard input or output */
  input: string;
  output: string;
  catalog: string | null;
  metrics: string | null;
  /** where the last revision of each user's days goes, which `seral report --input` reads */
  userDays?: string | null;
  /** where refused records are written, with their code; null: they are counted only */
  refused: string | null;
  rules: LabelsOptions;
  cacheBytes: number;
  onProgress?: (bytes: number) => void;
}

export interface ReplayResult {
  events: number;
  exposures: number;
  labels: number;
  /** records refused, by code */
  refused: Map<string, number>;
  counts: Map<string, number>;
  stateBytes: number;
}

/** Definition 1 over a file: the labels job itself, on state in a temporary folder; then the metrics job on its user-days. */
export async function replayLabels(options: ReplayOptions): Promise<ReplayResult> {
  const folder = await mkdtemp(join(tmpdir(), 'seral-replay-'));
  const result: ReplayResult = {
    events: 0,
    exposures: 0,
    labels: 0,
    refused: new Map(),
    counts: new Map(),
    stateBytes: 0,
  };
  const refusals = options.refused === null ? null : new TextFile(options.refused);
  const userDaysFile = options.userDays ?? null;
  let labels: LastRows | null = null;
  let userDays: LastRows | null = null;
  try {
    labels = await LastRows.open(folder);
    userDays = options.metrics === null && userDaysFile === null ? null : await LastRows.open(folder);
    const refuse = (code: string, error: string, record: unknown): void => {
      result.refused.set(code, (result.refused.get(code) ?? 0) + 1);
      void refusals?.write(`${JSON.stringify({ code, error, record })}\n`);
    };
    const catalog =
      options.catalog === null ? new Map<string, ItemFacts>() : await readCatalog(options.catalog, refuse);

    const events = async function* (): AsyncGenerator<LocalRecord[]> {
      for await (const lines of readLines(options.input, { onProgress: options.onProgress })) {
        const records: LocalRecord[] = [];
        for (const { number, value, raw } of lines) {
          try {
            if (value === undefined) throw new BadRecordError('MALFORMED', `line ${number} is not JSON`);
            const event = eventFromJson(value);
            if (event.event_type === 'exposure') result.exposures += event.items.length;
            records.push({ source: 'events', key: event.user_id, value: event });
          } catch (error) {
            if (!(error instanceof BadRecordError)) throw error;
            refuse(error.code, `line ${number}: ${error.message}`, value ?? raw);
          }
        }
        result.events += records.length;
        yield records;
        if (labels!.full) await labels!.flush();
        if (userDays?.full === true) await userDays.flush();
      }
    };

    const done = await runLocal(labelsTopology(options.rules), {
      inputs: events(),
      tables: { catalog },
      stateDir: folder,
      cacheBytes: options.cacheBytes,
      now: () => Infinity,
      onOutput: (sink, _key, value) => {
        if (sink === 'labels') {
          const { revision: _revision, withdrawn, ...label } = value as SerendipityLabel;
          labels!.put(label.label_id, label.user_id, withdrawn ? null : JSON.stringify(label));
        } else if (userDays !== null) {
          const row = value as UserDay;
          userDays.put(`${row.user_id}|${metricsKey(row.day, row.arm)}`, '', JSON.stringify(row));
        }
      },
      onDeadLetter: ({ code, error, value }) => {
        result.events--;
        refuse(code, error, value);
      },
    });
    result.counts = done.counts;
    result.stateBytes = done.stateBytes;
    if (result.events === 0 && result.refused.size > 0) {
      const codes = [...result.refused].map(([code, n]) => `${n} ${code}`).join(', ');
      throw new SeralError('NOTHING_READ', `every record of ${options.input} was refused: ${codes}`);
    }

    const output = new TextFile(options.output);
    for await (const rows of labels.rows()) {
      result.labels += rows.length;
      await output.write(`${rows.join('\n')}\n`);
    }
    await output.close();
    if (userDaysFile !== null) {
      const file = new TextFile(userDaysFile);
      for await (const rows of userDays!.rows()) await file.write(`${rows.join('\n')}\n`);
      await file.close();
    }
    if (options.metrics !== null)
      await writeFile(options.metrics, `${JSON.stringify(await metricsOf(userDays!, folder))}\n`);
    return result;
  } finally {
    await refusals?.close();
    await labels?.close();
    await userDays?.close();
    await rm(folder, { recursive: true, force: true });
  }
}

async function readCatalog(
  path: string,
  refuse: (code: string, error: string, record: unknown) => void,
): Promise<Map<string, ItemFacts>> {
  const items = new Map<string, ItemFacts>();
  for await (const lines of readLines(path)) {
    for (const { number, value, raw } of lines) {
      const item = value as CatalogItem | undefined;
      if (typeof item?.item_id === 'string' && item.item_id !== '') items.set(item.item_id, itemFacts(item));
      else refuse('CATALOG_ITEM', `line ${number} of the catalog has no item_id`, value ?? raw);
    }
  }
  return items;
}

async function metricsOf(userDays: LastRows, folder: string): Promise<MetricsDay[]> {
  const rows = new Map<string, MetricsDay>();
  const inputs = async function* (): AsyncGenerator<LocalRecord[]> {
    for await (const batch of userDays.rows()) {
      yield batch.map((json): LocalRecord => {
        const value = JSON.parse(json) as UserDay;
        return { source: 'user-days', key: value.user_id, value, timestamp: 0 };
      });
    }
  };
  await runLocal(metricsTopology(), {
    inputs: inputs(),
    stateDir: folder,
    cacheBytes: 16 << 20,
    now: () => Infinity,
    onOutput: (_sink, key, value) => rows.set(key, value as MetricsDay),
    onDeadLetter: ({ code, error }) => {
      throw new SeralError(code, error);
    },
  });
  return [...rows.values()]
    .filter(({ users }) => users > 0)
    .sort((a, b) => {
      if (a.day !== b.day) return a.day < b.day ? -1 : 1;
      if (a.arm === null || b.arm === null) return a.arm === b.arm ? 0 : a.arm === null ? -1 : 1;
      return Buffer.compare(Buffer.from(a.arm), Buffer.from(b.arm));
    });
}
