/**
 * The embedded log: the whole log port in this process, on one RocksDB folder. `seral demo`, tests and the replay of
 * files run on it. What Kafka promises holds here too (test/log/contract.ts), with these differences:
 *   - one process owns the folder (a second one is refused with STORE_LOCKED), so consumer groups live within it;
 *   - a commit survives the death of the process (kill -9), not that of the machine: the write-ahead log is not synced;
 *   - an open transaction is held in memory; there is no transaction timeout, since its producer cannot die alone;
 *   - a transaction's end takes no offset, so a log without aborts has dense offsets from 0.
 */
import type { Log, TopicPartition } from '../port.ts';
import { EmbeddedAdmin } from './admin.ts';
import { Core } from './core.ts';
import { EmbeddedReader } from './fetch.ts';
import { EmbeddedGroupConsumer, Group } from './group.ts';
import { Maintenance } from './maintenance.ts';
import { trimPartition } from './compaction.ts';
import { EmbeddedProducer, EmbeddedTransactionalProducer } from './producers.ts';

export interface EmbeddedLogOptions {
  /** A folder of its own; made where it is not there. */
  path: string;
  /** The time of records that carry none, and of retention. */
  now?: () => number;
}

export interface EmbeddedLog extends Log {
  /** Compacts (and expires) now, whatever would be gained; without a topic, all of them. */
  compact(topic?: string): Promise<void>;
  /** Makes `before` the first kept position. */
  trim(partition: TopicPartition, before: number): Promise<void>;
}

export async function embeddedLog({ path, now = Date.now }: EmbeddedLogOptions): Promise<EmbeddedLog> {
  const core = await Core.open(path, now);
  const maintenance = new Maintenance(core);
  const groups = new Map<string, Group>();
  let closing: Promise<void> | null = null;
  const groupOf = (name: string): Group => {
    let group = groups.get(name);
    if (group === undefined) groups.set(name, (group = new Group(core)));
    return group;
  };
  return {
    groupConsumer: (options) => new EmbeddedGroupConsumer(core, groupOf(options.group), options),
    transactionalProducer: (options) => new EmbeddedTransactionalProducer(core, options),
    producer: () => new EmbeddedProducer(core),
    reader: () => new EmbeddedReader(core),
    admin: () => new EmbeddedAdmin(core, path, groups),
    async compact(topic) {
      core.checkOpen();
      await maintenance.run(topic === undefined ? [...core.topics.values()] : [core.topic(topic)]);
    },
    async trim(partition, before) {
      core.checkOpen();
      await trimPartition(core, core.partition(partition), before);
    },
    close: () => (closing ??= core.close()),
  };
}
