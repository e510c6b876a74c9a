/** What was published, read as its readers read it, to be held against the oracle. */
import type { Log, LogRecord } from '../../src/log/port.ts';
import type { SerendipityLabel } from '../../src/serendipity/records.ts';
import type { MetricsDay } from '../../src/serendipity/metrics.ts';
import { compareBytes, type Label } from '../oracle/oracle.ts';

export async function readAll(log: Log, topic: string): Promise<LogRecord[]> {
  const found: LogRecord[] = [];
  const admin = log.admin();
  const reader = log.reader();
  for (const { partition, start, end } of await admin.offsets(topic)) {
    for await (const { records } of reader.read({ topic, partition }, start, end)) found.push(...records);
  }
  await reader.close();
  await admin.close();
  return found;
}

/** The labels that hold, sorted as the oracle's. Throws where a revision is missing, came twice or out of order. */
export function lastRevisions(published: Iterable<SerendipityLabel>): Label[] {
  const last = new Map<string, SerendipityLabel>();
  for (const label of published) {
    const name = JSON.stringify([label.user_id, label.label_id]);
    const before = last.get(name)?.revision ?? -1;
    if (label.revision !== before + 1) throw new Error(`${name} has revision ${label.revision} after ${before}`);
    last.set(name, label);
  }
  return [...last.values()]
    .filter(({ withdrawn }) => !withdrawn)
    .map(({ revision: _revision, withdrawn: _withdrawn, ...label }): Label => ({ ...label }))
    .sort((a, b) => compareBytes(a.label_id, b.label_id) || compareBytes(a.user_id, b.user_id));
}

/** The days and arms that have a user, sorted as the oracle's. */
export function lastDays(published: Iterable<MetricsDay>): MetricsDay[] {
  const last = new Map<string, MetricsDay>();
  for (const row of published) last.set(JSON.stringify([row.day, row.arm]), { ...row });
  const armOf = ({ arm }: MetricsDay): string => (arm === null ? '' : `=${arm}`);
  return [...last.values()]
    .filter(({ users }) => users > 0)
    .sort((a, b) => compareBytes(a.day, b.day) || compareBytes(armOf(a), armOf(b)));
}
