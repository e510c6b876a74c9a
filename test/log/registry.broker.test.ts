import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AvroDeserializer, AvroSerializer, SchemaRegistryClient, SerdeType } from '@confluentinc/schemaregistry';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { confluentSerdes } from '../../src/log/registry/confluent.ts';
import { checkCompatibility, registerSchemas } from '../../src/log/registry/subjects.ts';
import { readSchemas } from '../../src/log/schemas.ts';
import { describeWithRegistry, registryUrl } from '../support/broker.ts';

describeWithRegistry('a real registry', () => {
  let folder: string;
  let topic: string;
  const url = registryUrl;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'seral-schemas-'));
    topic = `registry-${randomUUID()}`;
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const field = (name: string, type: unknown, rest: object = {}) => ({ name, type, ...rest });
  const thing = (...fields: object[]) =>
    writeFile(join(folder, 'Thing.avsc'), JSON.stringify({ type: 'record', name: 'Thing', namespace: 'test', fields }));
  const options = () => ({ url, schemasFolder: folder });
  const wanted = () => [{ topic, schema: 'Thing' }];
  const open = () => confluentSerdes(options()).serde<Record<string, unknown>>(topic, 'Thing');

  it('knows our schemas once they are registered, and not before', async () => {
    await thing(field('a', 'string'));
    await expect(open()).rejects.toMatchObject({ code: 'SCHEMA_NOT_REGISTERED' });
    expect(await checkCompatibility(options(), wanted())).toMatchObject([{ state: 'new', id: null }]);
    const [first] = await registerSchemas(options(), wanted());
    expect(first).toMatchObject({ subject: `${topic}-value`, added: true });
    expect(await registerSchemas(options(), wanted())).toEqual([{ ...first, added: false }]);
    expect(await checkCompatibility(options(), wanted())).toMatchObject([{ state: 'registered', id: first!.id }]);
    const bytes = (await open()).encode({ a: 'x' });
    expect(bytes.readInt32BE(1)).toBe(first!.id);
    expect((await open()).decode(bytes)).toEqual({ a: 'x' });
  });

  it('lets a schema grow, and both the old and the new records be read', async () => {
    await thing(field('a', 'string'));
    await registerSchemas(options(), wanted());
    const older = await open();
    await thing(field('a', 'string'), field('b', ['null', 'long'], { default: null }));
    expect(await checkCompatibility(options(), wanted())).toMatchObject([{ state: 'compatible', id: null }]);
    await registerSchemas(options(), wanted());
    const newer = await open();
    const [old, fresh] = [older.encode({ a: 'x' }), newer.encode({ a: 'y', b: 7 })];
    await newer.prepare([old, fresh]);
    expect([old, fresh].map((bytes) => newer.decode(bytes))).toEqual([
      { a: 'x', b: null },
      { a: 'y', b: 7 },
    ]);
    // a job that is still at the old version goes on through the upgrade
    await older.prepare([old, fresh]);
    expect([old, fresh].map((bytes) => older.decode(bytes))).toEqual([{ a: 'x' }, { a: 'y' }]);
  });

  it('is not given a schema that could not read what is there, whichever version wrote it, nor any beside it', async () => {
    const id = field('id', 'string');
    await thing(id, field('a', 'string'));
    await registerSchemas(options(), wanted());
    await thing(id);
    await registerSchemas(options(), wanted());
    // readable from the second version's records only if `a` had a default; from the first one's it is
    await thing(id, field('a', 'string'));
    const [check] = await checkCompatibility(options(), wanted());
    expect(check).toMatchObject({ state: 'incompatible', problems: [expect.stringContaining('version 2')] });
    await thing(id, field('a', 'long', { default: 0 }));
    const other = `${topic}-other`;
    const both = [{ topic: other, schema: 'Thing' }, ...wanted()];
    await expect(registerSchemas(options(), both)).rejects.toMatchObject({ code: 'SCHEMA_INCOMPATIBLE', fatal: true });
    await expect(registerSchemas(options(), both)).rejects.toThrow(/version 1/);
    expect((await checkCompatibility(options(), both))[0]).toMatchObject({ state: 'new' });
    // and whoever registers without asking us is held to the same
    const client = new SchemaRegistryClient({ baseURLs: [url], maxRetries: 0 });
    const schema = JSON.stringify({ type: 'record', name: 'Thing', namespace: 'test', fields: [field('z', 'int')] });
    await expect(client.register(`${topic}-value`, { schema, schemaType: 'AVRO' })).rejects.toThrow();
  });

  it('says that an id is unknown, without an error', async () => {
    await thing(field('a', 'string'));
    await registerSchemas(options(), wanted());
    const serde = await open();
    const bytes = Buffer.from([0, 0x7f, 0xff, 0xff, 0xff, 2, 0x65]);
    await serde.prepare([bytes]);
    expect(() => serde.decode(bytes)).toThrow(expect.objectContaining({ code: 'UNKNOWN_SCHEMA_ID' }));
  });

  it("gives Confluent's own serializers and ours each other's records", async () => {
    await thing(field('a', 'string'), field('n', 'long'));
    await registerSchemas(options(), wanted());
    const client = new SchemaRegistryClient({ baseURLs: [url] });
    const ours = await open();
    const value = { a: 'grün', n: 1_700_000_000_123 };
    const theirs = new AvroSerializer(client, SerdeType.VALUE, { useLatestVersion: true });
    expect(await theirs.serialize(topic, value)).toEqual(ours.encode(value));
    const back: unknown = await new AvroDeserializer(client, SerdeType.VALUE, {}).deserialize(
      topic,
      ours.encode(value),
    );
    expect(back).toEqual(value);
  });

  it('takes every schema of the project, twice', async () => {
    const names = (await readSchemas()).map((one) => (JSON.parse(one) as { name: string }).name);
    const all = names.map((name) => ({ topic: `${topic}.${name}`, schema: name }));
    const first = await registerSchemas({ url }, all);
    expect(first.every((one) => one.added)).toBe(true);
    expect(await registerSchemas({ url }, all)).toEqual(first.map((one) => ({ ...one, added: false })));
  });
});
