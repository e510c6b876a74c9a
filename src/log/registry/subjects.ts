import { Compatibility, type SchemaRegistryClient } from '@confluentinc/schemaregistry/dist/schemaregistry-client.js';
import { RegistryError, messageOf } from '../../errors.ts';
import { avroType } from '../avro-types.ts';
import { readSchema, subjectOf } from '../schemas.ts';
import { type RegistryOptions, ask, registryClient } from './client.ts';

export interface TopicSchema {
  topic: string;
  /** the name of a file of schemas/ */
  schema: string;
}

export interface SubjectCheck extends TopicSchema {
  subject: string;
  /** `new`: the subject has no schema yet; `registered`: it has this very one; `compatible`: it may be registered */
  state: 'new' | 'registered' | 'compatible' | 'incompatible';
  /** of the registered one */
  id: number | null;
  /** what a reader with this schema could not read, one line for each version */
  problems: string[];
}

export interface Registered extends TopicSchema {
  subject: string;
  id: number;
  /** false where it was there before */
  added: boolean;
}

/**
 * `seral schemas check`: can this version's schemas read what every registered version wrote (BACKWARD_TRANSITIVE)? We
 * ask our own reader, version by version, since the registry would answer by whatever level the subject has today.
 * Changes nothing.
 */
export async function checkCompatibility(
  options: RegistryOptions,
  wanted: readonly TopicSchema[],
): Promise<SubjectCheck[]> {
  const client = registryClient(options);
  try {
    const checks: SubjectCheck[] = [];
    for (const one of wanted) checks.push(await check(client, options, one));
    return checks;
  } finally {
    await client.close();
  }
}

/**
 * `seral schemas register`: all of them or, where one is incompatible, none. Each subject is held to BACKWARD_TRANSITIVE
 * from then on, against every other registrant too.
 */
export async function registerSchemas(options: RegistryOptions, wanted: readonly TopicSchema[]): Promise<Registered[]> {
  const checks = await checkCompatibility(options, wanted);
  const broken = checks.filter((check) => check.state === 'incompatible');
  if (broken.length > 0) {
    const lines = broken.flatMap((one) => one.problems.map((problem) => `  - ${one.subject}: ${problem}`));
    throw new RegistryError('SCHEMA_INCOMPATIBLE', `nothing was registered:\n${lines.join('\n')}`, { fatal: true });
  }
  const client = registryClient(options);
  try {
    const done: Registered[] = [];
    for (const { topic, schema: name, subject, state, id } of checks) {
      await ask(`set the compatibility of ${subject}`, () =>
        client.updateCompatibility(subject, Compatibility.BACKWARD_TRANSITIVE),
      );
      const schema = await readSchema(name, options.schemasFolder);
      const given =
        state === 'registered'
          ? id
          : await ask(`register ${subject}`, () => client.register(subject, { schema, schemaType: 'AVRO' }));
      if (given === null) {
        throw new RegistryError('REGISTRY_UNAVAILABLE', `${subject} vanished while it was registered`, {
          retriable: true,
        });
      }
      done.push({ topic, schema: name, subject, id: given, added: state !== 'registered' });
    }
    return done;
  } finally {
    await client.close();
  }
}

async function check(
  client: SchemaRegistryClient,
  options: RegistryOptions,
  { topic, schema: name }: TopicSchema,
): Promise<SubjectCheck> {
  const schema = await readSchema(name, options.schemasFolder);
  const subject = subjectOf(topic, options.subjectPrefix);
  const answer = (state: SubjectCheck['state'], id: number | null, problems: string[] = []): SubjectCheck => ({
    topic,
    schema: name,
    subject,
    state,
    id,
    problems,
  });
  const versions = await ask(`list the versions of ${subject}`, () => client.getAllVersions(subject));
  if (versions === null || versions.length === 0) return answer('new', null);
  const id = await ask(`look up ${name} in ${subject}`, () => client.getId(subject, { schema, schemaType: 'AVRO' }));
  const problems: string[] = [];
  const reader = avroType(schema);
  for (const version of versions) {
    const writer = await ask(`give version ${version} of ${subject}`, () => client.getSchemaMetadata(subject, version));
    if (writer === null) continue;
    try {
      reader.createResolver(avroType(writer.schema));
    } catch (error) {
      problems.push(`cannot read version ${version}: ${messageOf(error)}`);
    }
  }
  if (problems.length > 0) return answer('incompatible', id, problems);
  return id === null ? answer('compatible', null) : answer('registered', id);
}
