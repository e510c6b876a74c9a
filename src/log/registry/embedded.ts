import { RegistryError } from '../../errors.ts';
import { AvroSerde, WriterSchemas } from '../avro.ts';
import { avroType } from '../avro-types.ts';
import { readSchema, readSchemas, schemasFolder, subjectOf } from '../schemas.ts';
import type { Serde, SerdeOptions, Serdes } from '../serde.ts';

/**
 * An id out of the schema itself: 31 bits of the fingerprint of its canonical form, so that every machine gives the same
 * one, a schema that changes on the wire gets a new one, and a reworded doc does not.
 */
export const embeddedId = (schema: string): number =>
  avroType(schema).fingerprint('sha256').readUInt32BE(0) & 0x7fff_ffff;

/**
 * A registry of files: the schemas of a folder and what lies below it. When a schema changes, a copy of the old file
 * goes to `schemas/history/<name>/`, and records written with it stay readable.
 */
export async function embeddedSerdes(folder = schemasFolder): Promise<Serdes> {
  const byId = new Map<number, string>();
  for (const schema of await readSchemas(folder)) {
    const id = embeddedId(schema);
    const other = byId.get(id);
    if (other !== undefined && !avroType(other).equals(avroType(schema))) {
      throw new RegistryError(
        'SCHEMA_ID_CLASH',
        `two schemas of ${folder} share the id ${id}: change one's namespace`,
        {
          fatal: true,
        },
      );
    }
    byId.set(id, schema);
  }
  const writers = new WriterSchemas((id) => Promise.resolve(byId.get(id) ?? null));
  for (const [id, schema] of byId) writers.set(id, schema);
  return {
    async serde<T>(topic: string, name: string, serde?: SerdeOptions): Promise<Serde<T>> {
      const schema = await readSchema(name, folder);
      return new AvroSerde<T>(schema, embeddedId(schema), subjectOf(topic), writers, serde);
    },
    async close() {},
  };
}
