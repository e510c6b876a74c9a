import type { Log } from '../log/port.ts';

const DAY = 86_400_000;

export interface Bound {
  partition: number;
  start: number;
  end: number;
}

/**
 * What is kept of a topic, without what was written two days or more before a day began: in no time zone can a record be of
 * that day that was written before it. `from` null: all.
 */
export async function boundsFrom(log: Log, topic: string, from: string | null): Promise<Bound[]> {
  const admin = log.admin();
  try {
    const bounds = await admin.offsets(topic);
    if (from === null) return bounds;
    const at = await admin.offsetsAt(topic, Math.max(Date.parse(from) - 2 * DAY, 0));
    const first = new Map(at.map(({ partition, position }) => [partition, position]));
    return bounds.map(({ partition, start, end }) => ({
      partition,
      start: Math.min(Math.max(start, first.get(partition) ?? start), end),
      end,
    }));
  } finally {
    await admin.close();
  }
}
