import { RegistryError } from '../../errors.ts';
import { AvroSerde, WriterSchemas } from '../avro.ts';
import { readSchema, subjectOf } from '../schemas.ts';
import type { Serde, SerdeOptions, Serdes } from '../serde.ts';
import { type RegistryOptions, ask, registryClient } from './client.ts';

/**
 * Serdes behind a schema registry that speaks Confluent's protocol. Running jobs only look up: a schema is registered by
 * `seral schemas register`, on purpose and after a check, never by the first record that happens to be written.
 */
export function confluentSerdes(options: RegistryOptions): Serdes {
  const client = registryClient(options);
  const writers = new WriterSchemas(async (id, subject) => {
    const found = await ask(`give schema ${id}`, () => client.getBySubjectAndId(subject, id));
    if (found === null) return null;
    // another kind of schema is found, but nothing of ours is written with it: its records are refused as malformed
    return found.schemaType === undefined || found.schemaType === 'AVRO' ? found.schema : `"${found.schemaType}"`;
  });
  return {
    async serde<T>(topic: string, name: string, serde?: SerdeOptions): Promise<Serde<T>> {
      const schema = await readSchema(name, options.schemasFolder);
      const subject = subjectOf(topic, options.subjectPrefix);
      const id = await ask(`look up ${name} in ${subject}`, () =>
        client.getId(subject, { schema, schemaType: 'AVRO' }),
      );
      if (id === null) {
        throw new RegistryError(
          'SCHEMA_NOT_REGISTERED',
          `the schema ${name} of this version is not registered under ${subject}: run \`seral schemas register\``,
          { fatal: true },
        );
      }
      return new AvroSerde<T>(schema, id, subject, writers, serde);
    },
    async close() {
      await client.close();
    },
  };
}

export {
  type Registered,
  type SubjectCheck,
  type TopicSchema,
  checkCompatibility,
  registerSchemas,
} from './subjects.ts';
export type { RegistryOptions } from './client.ts';
