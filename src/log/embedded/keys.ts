/**
 * The keys of the RocksDB behind the embedded log. The first byte is the kind:
 *   v  format version and the next topic id          t<topic>                     id, partitions, config (JSON)
 *   p<id><partition>  where a partition stands       r<id><partition><last>       a chunk of records
 *   g<group>\0<topic>\0<partition>  a position       x<transactional id>          its epoch
 */
export const VERSION_KEY = Buffer.from('v');

const kind = (letter: string): number => letter.charCodeAt(0);

export const topicKey = (topic: string): Buffer => Buffer.from(`t${topic}`);
export const epochKey = (transactionalId: string): Buffer => Buffer.from(`x${transactionalId}`);
export const groupName = (group: string, topic: string, partition: number): string =>
  `${group}\0${topic}\0${partition}`;
export const groupKey = (name: string): Buffer => Buffer.from(`g${name}`);

export function partitionKey(topicId: number, partition: number): Buffer {
  const key = Buffer.allocUnsafe(9);
  key[0] = kind('p');
  key.writeUInt32BE(topicId, 1);
  key.writeUInt32BE(partition, 5);
  return key;
}

export function chunkKey(topicId: number, partition: number, last: number): Buffer {
  const key = Buffer.allocUnsafe(17);
  key[0] = kind('r');
  key.writeUInt32BE(topicId, 1);
  key.writeUInt32BE(partition, 5);
  key.writeUInt32BE(Math.floor(last / 0x1_0000_0000), 9);
  key.writeUInt32BE(last % 0x1_0000_0000, 13);
  return key;
}

export const lastOffsetOf = (key: Buffer): number => key.readUInt32BE(9) * 0x1_0000_0000 + key.readUInt32BE(13);

/** The range of all keys of a kind. */
export const allOf = (letter: string): { gte: Buffer; lt: Buffer } => ({
  gte: Buffer.from(letter),
  lt: Buffer.from([kind(letter) + 1]),
});
