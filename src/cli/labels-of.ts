import type { SerendipityLabel } from '../serendipity/records.ts';
import { SeralError } from '../errors.ts';
import type { Log } from '../log/port.ts';
import { partitionOf } from '../log/murmur2.ts';
import { encodeKey } from '../log/keys.ts';
import type { Serdes } from '../log/serde.ts';

export const LABELS_TOPIC = 'serendipity.labels';

export interface LabelsOf {
  /** the last revision of each label, in order of time */
  labels: SerendipityLabel[];
  /** records of the user that could not be read */
  unreadable: number;
}

/**
 * A user's labels as published: from the one partition that holds the user, each label's last revision. A topic that
 * is not there holds none.
 */
export async function labelsOf(
  log: Log,
  serdes: Serdes,
  user: string,
  item?: string,
  topic = LABELS_TOPIC,
): Promise<LabelsOf> {
  const found: LabelsOf = { labels: [], unreadable: 0 };
  const key = encodeKey(user);
  const admin = log.admin();
  let bounds: { partition: number; start: number; end: number }[];
  try {
    if ((await admin.describe([topic]))[0] === null) return found;
    bounds = await admin.offsets(topic);
  } finally {
    await admin.close();
  }
  const partition = partitionOf(key, bounds.length);
  const { start, end } = bounds.find((one) => one.partition === partition)!;

  const serde = await serdes.serde<SerendipityLabel>(topic, 'SerendipityLabel');
  const last = new Map<string, SerendipityLabel>();
  const reader = log.reader();
  try {
    for await (const { records } of reader.read({ topic, partition }, start, end)) {
      const own = records.filter((record) => record.key !== null && record.key.equals(key));
      await serde.prepare(own.map((record) => record.value));
      for (const { value } of own) {
        let label: SerendipityLabel;
        try {
          label = serde.decode(value);
        } catch (error) {
          if (!(error instanceof SeralError)) throw error;
          found.unreadable++;
          continue;
        }
        if (item === undefined || label.item_id === item) last.set(label.label_id, label);
      }
    }
  } finally {
    await reader.close();
  }
  found.labels = [...last.values()].sort(
    (a, b) => a.click_time - b.click_time || (a.label_id < b.label_id ? -1 : a.label_id > b.label_id ? 1 : 0),
  );
  return found;
}
