import { join } from 'node:path';
import { encodeKey } from '../log/keys.ts';
import type { Log, OutRecord, Producer } from '../log/port.ts';
import { readLines, sizeOf } from '../log/ndjson.ts';
import type { Serdes } from '../log/serde.ts';
import { eventFromJson, type BehaviorEvent } from '../shop/behaviour.ts';
import { catalogFromJson, type CatalogItem } from '../shop/catalog.ts';
import { attributesFromJson, type UserAttributes } from '../shop/users.ts';
import { progress } from './progress.ts';
import { humanCount } from './units.ts';

const DATA = join(import.meta.dirname, '../../data/completejourney');

const DAY = 86_400_000;
/** Of the log's time, between two stops: a refresh is due every 15 days, and its answer is to come before the next. */
const STEP = 10 * DAY;
/** The same where the channel is open: candidates are asked for at a visit, and are there at that of the next day. */
const CHANNEL_STEP = DAY;

/** Puts the items and the households' attributes into the log; returns the items' titles. */
export async function loadTables(log: Log, serdes: Serdes): Promise<Map<string, string>> {
  const titles = new Map<string, string>();
  const items = await serdes.serde<CatalogItem>('catalog.items', 'CatalogItem');
  const users = await serdes.serde<UserAttributes>('users', 'UserAttributes');
  await sending(log, async (producer) => {
    for await (const lines of readLines(join(DATA, 'catalog.ndjson.gz'))) {
      const rows = lines.map(({ value }) => catalogFromJson(value));
      for (const { item_id, title } of rows) if (title) titles.set(item_id, title);
      await producer.send(
        rows.map((row) => ({ topic: 'catalog.items', key: encodeKey(row.item_id), value: items.encode(row) })),
      );
    }
    for await (const lines of readLines(join(DATA, 'users.ndjson'))) {
      const rows = lines.map(({ value }) => attributesFromJson(value));
      await producer.send(
        rows.map((row) => ({ topic: 'users', key: encodeKey(row.user_id), value: users.encode(row) })),
      );
    }
  });
  return titles;
}

export interface Play {
  /** awaited after each step: a year in one go would outrun the answers */
  settled: () => Promise<void>;
  /** event time from which on the channel is open */
  channelFrom: number;
  /** told the time that the log has got to */
  onTime: (time: number) => void;
  stop: AbortSignal;
}

/** Plays the year into the log. */
export async function playEvents(
  log: Log,
  serdes: Serdes,
  { settled, channelFrom, onTime, stop }: Play,
): Promise<number> {
  const path = join(DATA, 'events.ndjson.gz');
  const bar = progress('a year of behaviour', await sizeOf(path), 'bytes');
  const events = await serdes.serde<BehaviorEvent>('behavior.events', 'BehaviorEvent');
  let count = 0;
  let until = -Infinity;
  let records: OutRecord[] = [];
  await sending(log, async (producer) => {
    const send = async (): Promise<void> => {
      await producer.send(records);
      count += records.length;
      records = [];
    };
    for await (const lines of readLines(path, { onProgress: bar.update })) {
      for (const { value } of lines) {
        if (stop.aborted) return;
        const event = eventFromJson(value);
        if (event.event_time > until) {
          if (records.length > 0) await send();
          if (count > 0) await settled();
          until = event.event_time + (event.event_time < channelFrom - STEP ? STEP : CHANNEL_STEP);
        }
        onTime(event.event_time);
        records.push({ topic: 'behavior.events', key: encodeKey(event.user_id), value: events.encode(event) });
        if (records.length >= 5000) await send();
      }
    }
    await send();
    await settled();
  });
  bar.stop(`a year of behaviour: ${humanCount(count)} events went into the embedded log`);
  return count;
}

async function sending(log: Log, send: (producer: Producer) => Promise<void>): Promise<void> {
  const producer = log.producer();
  await producer.open();
  try {
    await send(producer);
  } finally {
    await producer.close();
  }
}
