import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import avsc from 'avsc';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { BadRecordError, DecodeError, RegistryError } from '../../src/errors.ts';
import { avroType, LazyRecords } from '../../src/log/avro-types.ts';
import { AvroSerde, WriterSchemas } from '../../src/log/avro.ts';
import { decodeKey, encodeKey } from '../../src/log/keys.ts';
import { embeddedId, embeddedSerdes } from '../../src/log/registry/embedded.ts';
import { readSchema, readSchemas } from '../../src/log/schemas.ts';
import type { Serde } from '../../src/log/serde.ts';

interface Item {
  item_id: string;
  category_id: string | null;
  brand_id: string | null;
  seller_id: string | null;
  position: number | null;
  viewable: boolean;
  price: number | null;
  quantity: number;
}

interface Event {
  event_id: string;
  event_type: string;
  event_time: number;
  user_id: string;
  request_id: string | null;
  scene: string | null;
  arm: string | null;
  items: Item[];
  query: string | null;
}

const codeOf = (call: () => unknown): string => {
  try {
    call();
  } catch (error) {
    expect(error).toBeInstanceOf(DecodeError);
    return (error as DecodeError).code;
  }
  return 'none';
};

const schema = await readSchema('BehaviorEvent');
const itemSchema = (JSON.parse(schema) as { fields: { name: string; type: any }[] }).fields.find(
  ({ name }) => name === 'items',
)!.type.items as object;
const full: Event = {
  event_id: 'e1',
  event_type: 'exposure',
  event_time: 1_700_000_000_123,
  user_id: 'user-1',
  request_id: 'r1',
  scene: 'home_feed',
  arm: null,
  items: [
    {
      item_id: 'grün-猫-🎁',
      category_id: 'c',
      brand_id: null,
      seller_id: 'a seller with a rather long name that is not short at all, to say the least',
      position: 0,
      viewable: false,
      price: 12.5,
      quantity: 2,
    },
  ],
  query: null,
};

/** A record of `schema` with a body of these bytes. */
const framed = (id: number, ...parts: (Buffer | number[])[]): Buffer => {
  const header = Buffer.alloc(5);
  header.writeInt32BE(id, 1);
  return Buffer.concat([header, ...parts.map((part) => Buffer.from(part))]);
};

describe('a serde', () => {
  let serde: Serde<Event>;
  const id = embeddedId(schema);

  beforeEach(async () => {
    serde = await (await embeddedSerdes()).serde<Event>('behavior.events', 'BehaviorEvent');
  });

  it("writes Confluent's wire format, which avsc alone reads alike", () => {
    const bytes = serde.encode(full);
    expect([bytes[0], bytes.readInt32BE(1)]).toEqual([0, id]);
    const plain = avsc.Type.forSchema(JSON.parse(schema), { wrapUnions: false });
    expect(bytes.subarray(5)).toEqual(plain.toBuffer(full));
    expect(serde.decode(bytes)).toEqual(full);
  });

  it('fills what JSON leaves out from the defaults of the schema, in nested records too', () => {
    const sparse = { event_id: 'e', event_type: 'click', event_time: 1, user_id: 'u', items: [{ item_id: 'i' }] };
    expect(serde.decode(serde.encode(sparse as unknown as Event))).toEqual({
      ...sparse,
      request_id: null,
      scene: null,
      arm: null,
      query: null,
      items: [
        {
          item_id: 'i',
          category_id: null,
          brand_id: null,
          seller_id: null,
          position: null,
          viewable: true,
          price: null,
          quantity: 1,
        },
      ],
    });
    const { items: _, ...none } = sparse;
    const [one, two] = [1, 2].map(() => serde.decode(serde.encode(none as unknown as Event)));
    expect(one!.items).toEqual([]);
    // an array of its own each time: one record's change must not show in the next
    expect(one!.items).not.toBe(two!.items);
  });

  it('says why a value cannot be written', () => {
    for (const change of [
      { event_type: 'constructor' },
      { event_type: 'Click' },
      { user_id: undefined },
      { user_id: 7 },
      { event_time: 1.5 },
      { event_time: 2 ** 52 + 1 },
      { event_time: -(2 ** 60) },
      { items: {} },
      { items: [{ ...full.items[0], position: 2 ** 31 }] },
    ]) {
      expect(() => serde.encode({ ...full, ...change } as unknown as Event)).toThrow(BadRecordError);
    }
    // and goes on as if nothing had happened
    expect(serde.decode(serde.encode(full))).toEqual(full);
  });

  it('grows with a record that is larger than any before', () => {
    const large = { ...full, items: Array.from({ length: 20_000 }, () => full.items[0]!), query: 'ä'.repeat(100_000) };
    expect(serde.decode(serde.encode(large))).toEqual(large);
    expect(serde.decode(serde.encode(full))).toEqual(full);
  });

  it('replaces half a surrogate pair when it writes, so that every reader can read it', () => {
    for (const query of ['\ud800', 'a\udc00b', `${'x'.repeat(80)}\ud83c`]) {
      expect(serde.decode(serde.encode({ ...full, query })).query).toBe(query.toWellFormed());
    }
  });

  it('takes the replacement character itself for what it is', () => {
    const query = 'before \ufffd after';
    expect(serde.decode(serde.encode({ ...full, query })).query).toBe(query);
  });

  describe('names what is wrong with a record', () => {
    const good = () => serde.encode(full);

    it('NULL_VALUE, MAGIC_BYTE, UNKNOWN_SCHEMA_ID', () => {
      expect(codeOf(() => serde.decode(null))).toBe('NULL_VALUE');
      expect(codeOf(() => serde.decode(Buffer.alloc(0)))).toBe('MAGIC_BYTE');
      expect(codeOf(() => serde.decode(Buffer.from('{"event_id":"e"}')))).toBe('MAGIC_BYTE');
      expect(codeOf(() => serde.decode(framed(12_345, good().subarray(5))))).toBe('UNKNOWN_SCHEMA_ID');
      expect(codeOf(() => serde.decode(framed(-1, good().subarray(5))))).toBe('UNKNOWN_SCHEMA_ID');
    });

    it('MALFORMED: cut anywhere, or with bytes behind it', () => {
      const bytes = good();
      for (let length = 1; length < bytes.length; length++) {
        expect([length, codeOf(() => serde.decode(bytes.subarray(0, length)))]).toEqual([length, 'MALFORMED']);
      }
      expect(codeOf(() => serde.decode(Buffer.concat([bytes, Buffer.from([0])])))).toBe('MALFORMED');
      expect(serde.decode(bytes)).toEqual(full);
    });

    it('MALFORMED: an unknown enum symbol, union branch, or a number out of range', () => {
      const head = [2, 0x65]; // event_id "e"
      expect(codeOf(() => serde.decode(framed(id, head, [10])))).toBe('MALFORMED');
      expect(codeOf(() => serde.decode(framed(id, head, [1])))).toBe('MALFORMED');
      const time = [0, 2];
      expect(codeOf(() => serde.decode(framed(id, head, time, [2, 0x75], [4])))).toBe('MALFORMED');
      expect(codeOf(() => serde.decode(framed(id, head, [0], Array(9).fill(0xff), [1, 2, 0x75])))).toBe('MALFORMED');
    });

    it('INVALID_UTF8, in short texts and long ones', () => {
      for (const text of ['ab', 'a text that is a good deal longer than the short ones are']) {
        const bytes = serde.encode({ ...full, query: text });
        for (const bad of [0xff, 0xc0, 0x80]) {
          bytes[bytes.length - 2] = bad;
          expect(codeOf(() => serde.decode(bytes))).toBe('INVALID_UTF8');
        }
      }
    });

    it('at once, where a few bytes claim billions of items or a length that is negative', () => {
      const huge = [0xff, 0xff, 0xff, 0xff, 0x0f];
      const until = [2, 0x65, 0, 2, 2, 0x75, 0, 0, 0];
      const started = Date.now();
      for (const claim of [
        huge,
        [...huge.slice(0, 4), 0x7f],
        [0xfe, 0xff, 0xff, 0xff, 0x0f],
        [...Array(9).fill(0xff), 1],
      ]) {
        // as the length of the first text, as the count of items, as the size of a block of them
        expect(codeOf(() => serde.decode(framed(id, claim)))).toBe('MALFORMED');
        expect(codeOf(() => serde.decode(framed(id, until, claim)))).toBe('MALFORMED');
        expect(codeOf(() => serde.decode(framed(id, until, [1], claim)))).toBe('MALFORMED');
      }
      expect(codeOf(() => serde.decode(framed(id, [1])))).toBe('MALFORMED');
      expect(Date.now() - started).toBeLessThan(1000);
    });

    it('and never anything else, whatever the bytes are', () => {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
          expect(['none', 'MALFORMED', 'INVALID_UTF8']).toContain(
            codeOf(() => serde.decode(framed(id, Buffer.from(bytes)))),
          );
        }),
        { numRuns: 2_000 },
      );
      const bytes = good();
      fc.assert(
        fc.property(fc.nat(bytes.length - 6), fc.nat(255), (at, value) => {
          const changed = Buffer.from(bytes);
          changed[5 + at] = value;
          expect(['none', 'MALFORMED', 'INVALID_UTF8']).toContain(codeOf(() => serde.decode(changed)));
        }),
        { numRuns: 2_000 },
      );
    });
  });

  it('hands back every event that it is given', () => {
    const text = fc.oneof(fc.string({ unit: 'grapheme' }), fc.string({ maxLength: 14 }), fc.string({ unit: 'binary' }));
    const maybe = <V>(arbitrary: fc.Arbitrary<V>) => fc.option(arbitrary, { nil: null });
    const item: fc.Arbitrary<Item> = fc.record({
      item_id: text,
      category_id: maybe(text),
      brand_id: maybe(text),
      seller_id: maybe(text),
      position: maybe(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })),
      viewable: fc.boolean(),
      price: maybe(fc.double({ noNaN: true })),
      quantity: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
    });
    const event: fc.Arbitrary<Event> = fc.record({
      event_id: text,
      event_type: fc.constantFrom('exposure', 'click', 'purchase', 'search', 'visit'),
      event_time: fc.oneof(
        fc.integer({ min: -(2 ** 52), max: 2 ** 52 }),
        fc.constantFrom(-(2 ** 52), 2 ** 52, 1 - 2 ** 52),
      ),
      user_id: text,
      request_id: maybe(text),
      scene: maybe(text),
      arm: maybe(text),
      items: fc.array(item),
      query: maybe(fc.string({ minLength: 0, maxLength: 300 })),
    });
    fc.assert(
      fc.property(event, (value) => {
        expect(serde.decode(serde.encode(value))).toEqual(value);
      }),
      { numRuns: 500 },
    );
  });
});

describe('lazy lists', () => {
  const writers = new WriterSchemas(() => Promise.resolve(null));
  const eager = new AvroSerde<Event>(schema, 1, 'behavior.events-value', writers);
  const lazy = new AvroSerde<Event>(schema, 1, 'behavior.events-value', writers, { lazy: true });
  const whole = (event: Event): Event => ({ ...event, items: [...event.items] });
  const plain: Event = { ...full, items: full.items.map((item) => ({ ...item, item_id: 'i1' })) };

  it('stay in bytes until they are asked for, and are the same then', () => {
    const read = lazy.decode(eager.encode(plain));
    expect(read.items).toBeInstanceOf(LazyRecords);
    const items = read.items as unknown as LazyRecords<Item>;
    expect(items).toMatchObject({ length: plain.items.length, empty: false });
    expect(items.records).toEqual(plain.items);
    expect(items.records).toBe(items.records);
    expect(JSON.parse(JSON.stringify(read))).toEqual(plain);
    expect(lazy.decode(eager.encode({ ...plain, items: [{ ...plain.items[0]!, seller_id: '' }] })).items).toMatchObject(
      {
        empty: true,
      },
    );
  });

  it('are read at once where they are empty or have a text that is not ASCII', () => {
    expect(lazy.decode(eager.encode({ ...full, items: [] })).items).toEqual([]);
    expect(lazy.decode(eager.encode(full)).items).toEqual(full.items);
  });

  it('are refused for what a list read at once is refused for, whatever the bytes are', () => {
    const bytes = eager.encode(plain);
    fc.assert(
      fc.property(fc.nat(bytes.length - 6), fc.nat(255), fc.nat(3), (at, value, cut) => {
        const changed = Buffer.from(bytes.subarray(0, bytes.length - (cut === 3 ? 1 : 0)));
        changed[Math.min(5 + at, changed.length - 1)] = value;
        const code = codeOf(() => eager.decode(changed));
        expect(codeOf(() => whole(lazy.decode(changed)))).toBe(code);
        if (code === 'none') expect(whole(lazy.decode(changed))).toEqual(eager.decode(changed));
      }),
      { numRuns: 5_000 },
    );
  });

  it('in several blocks, as some writers have them, are the same', () => {
    const bytes = eager.encode(plain);
    const items = avroType({ type: 'array', items: itemSchema }).toBuffer(plain.items);
    const at = bytes.indexOf(items);
    const one = avroType(itemSchema).toBuffer(plain.items[0]);
    // a block of one that says how long it is, and one that does not
    const size = Buffer.alloc(10);
    const sized = Buffer.concat([Buffer.of(1), size.subarray(0, avroType('"long"').encode(one.length, size)), one]);
    const blocks = Buffer.concat([sized, Buffer.of(2), one, Buffer.of(0)]);
    const changed = Buffer.concat([bytes.subarray(0, at), blocks, bytes.subarray(at + items.length)]);
    expect(whole(lazy.decode(changed)).items).toEqual([plain.items[0], plain.items[0]]);
  });

  it('of another writer are read at once', async () => {
    const newer = JSON.parse(schema) as { fields: { name: string; type: any }[] };
    newer.fields.find(({ name }) => name === 'items')!.type.items.fields.unshift({ name: 'rank', type: 'int' });
    const known = new WriterSchemas(() => Promise.resolve(JSON.stringify(newer)));
    const serde = new AvroSerde<Event>(schema, 1, 'behavior.events-value', known, { lazy: true });
    const value = { ...plain, items: plain.items.map((item) => ({ rank: 7, ...item })) };
    const bytes = framed(9, avroType(newer).toBuffer(value));
    await serde.prepare([bytes]);
    expect(serde.decode(bytes).items).toEqual(plain.items);
  });
});

describe('another writer', () => {
  /** Schemas by id, as a registry has them; `asked` remembers what it was asked for. */
  const registry = (schemas: Record<number, object | string>, now: () => number = Date.now) => {
    const asked: number[] = [];
    const writers = new WriterSchemas((id) => {
      asked.push(id);
      const found = schemas[id];
      return Promise.resolve(found === undefined ? null : JSON.stringify(found));
    }, now);
    return { asked, writers };
  };
  const written = (id: number, by: object, value: unknown) => framed(id, avroType(by).toBuffer(value));

  const event = JSON.parse(schema) as { fields: { name: string; type: unknown }[] };
  const older = { ...event, fields: event.fields.filter((field) => !['query', 'items', 'arm'].includes(field.name)) };
  const newer = {
    ...event,
    fields: [
      { name: 'tags', type: { type: 'array', items: 'string' } },
      ...event.fields,
      { name: 'extra', type: { type: 'map', values: { type: 'array', items: 'long' } } },
    ],
  };

  it('of an older schema is read with the defaults of the fields that it did not know', async () => {
    const { writers } = registry({ 7: older });
    const serde = new AvroSerde<Event>(schema, 1, 'behavior.events-value', writers);
    const bytes = written(7, older, full);
    expect(codeOf(() => serde.decode(bytes))).toBe('UNKNOWN_SCHEMA_ID');
    await serde.prepare([bytes]);
    expect(serde.decode(bytes)).toEqual({ ...full, items: [], query: null, arm: null });
    // in turn with our own
    expect(serde.decode(serde.encode(full))).toEqual(full);
    expect(serde.decode(bytes)).toEqual({ ...full, items: [], query: null, arm: null });
    expect(codeOf(() => serde.decode(Buffer.concat([bytes, Buffer.from([0])])))).toBe('MALFORMED');
    expect(codeOf(() => serde.decode(bytes.subarray(0, -1)))).toBe('MALFORMED');
  });

  it('of a newer schema is read without the fields that we do not know, and cannot hang us with them', async () => {
    const { writers } = registry({ 8: newer });
    const serde = new AvroSerde<Event>(schema, 1, 'behavior.events-value', writers);
    const bytes = written(8, newer, { ...full, tags: ['a', 'b'], extra: { x: [1, 2] } });
    await serde.prepare([bytes]);
    expect(serde.decode(bytes)).toEqual(full);
    const started = Date.now();
    for (const claim of [
      [0xfe, 0xff, 0xff, 0xff, 0x0f],
      [1, 0xff, 0xff, 0xff, 0xff, 0x0f],
      [1, 0x0d],
    ]) {
      expect(codeOf(() => serde.decode(framed(8, claim, bytes.subarray(5))))).toBe('MALFORMED');
      const behind = bytes.subarray(
        0,
        bytes.length - avroType(newer.fields.at(-1)!.type as object).toBuffer({ x: [1, 2] }).length,
      );
      expect(codeOf(() => serde.decode(Buffer.concat([behind, Buffer.from(claim)])))).toBe('MALFORMED');
    }
    expect(Date.now() - started).toBeLessThan(1000);
  });

  it('that knows one symbol more is read, but for the records that have it: they are UNKNOWN_ENUM', async () => {
    // in front, so that every known symbol has another number
    const ahead = JSON.parse(schema.replace('"symbols":[', '"symbols":["share",')) as object;
    const { writers } = registry({ 11: ahead });
    const serde = new AvroSerde<Event>(schema, 1, 'behavior.events-value', writers);
    const types = ['exposure', 'click', 'purchase', 'search', 'visit'];
    const records = types.map((event_type) => written(11, ahead, { ...full, event_type }));
    const unknown = written(11, ahead, { ...full, event_type: 'share' });
    await serde.prepare(records);
    expect(records.map((bytes) => serde.decode(bytes))).toEqual(types.map((event_type) => ({ ...full, event_type })));
    expect(codeOf(() => serde.decode(unknown))).toBe('UNKNOWN_ENUM');
    expect(codeOf(() => serde.decode(framed(11, [2, 0x65, 12])))).toBe('MALFORMED');
    // a schema check still says that such a writer is not compatible
    expect(() => avroType(schema).createResolver(avroType(ahead))).toThrow();
    // and another enum is another enum
    const other = JSON.parse(JSON.stringify(ahead).replace('EventType', 'OtherType')) as object;
    const { writers: others } = registry({ 12: other });
    const strict = new AvroSerde<Event>(schema, 1, 'behavior.events-value', others);
    const bytes = written(12, other, full);
    await strict.prepare([bytes]);
    expect(codeOf(() => strict.decode(bytes))).toBe('MALFORMED');
  });

  it('whose schema cannot be read as ours, or is none, is MALFORMED', async () => {
    const { user_id: _, ...rest } = full;
    const incompatible = { ...event, fields: event.fields.filter((field) => field.name !== 'user_id') };
    const { writers } = registry({ 9: incompatible, 10: 'PROTOBUF' });
    const serde = new AvroSerde<Event>(schema, 1, 'behavior.events-value', writers);
    const records = [written(9, incompatible, rest), framed(10, [1, 2, 3])];
    await serde.prepare(records);
    for (const bytes of records) expect(codeOf(() => serde.decode(bytes))).toBe('MALFORMED');
  });

  it('is asked for once, however many records and calls there are, and not at all where nothing is new', async () => {
    const { writers, asked } = registry({ 7: older });
    const serde = new AvroSerde<Event>(schema, 1, 'behavior.events-value', writers);
    const old = written(7, older, full);
    expect(serde.prepare([serde.encode(full), null, Buffer.from('x'), Buffer.alloc(0)])).toBeUndefined();
    await Promise.all([serde.prepare([old, serde.encode(full), old]), serde.prepare([old])]);
    expect(serde.prepare([old])).toBeUndefined();
    expect(asked).toEqual([7]);
  });

  it('that is unknown is asked for again after a while', async () => {
    let now = 0;
    const schemas: Record<number, object> = {};
    const { writers, asked } = registry(schemas, () => now);
    const serde = new AvroSerde<Event>(schema, 1, 'behavior.events-value', writers);
    const bytes = written(7, older, full);
    await serde.prepare([bytes]);
    expect(codeOf(() => serde.decode(bytes))).toBe('UNKNOWN_SCHEMA_ID');
    schemas[7] = older;
    now = 59_999;
    expect(serde.prepare([bytes])).toBeUndefined();
    now = 60_000;
    await serde.prepare([bytes]);
    expect(serde.decode(bytes).event_id).toBe('e1');
    expect(asked).toEqual([7, 7]);
  });

  it('is not taken for unknown because the registry could not be asked', async () => {
    const find = vi.fn<() => Promise<string | null>>();
    find.mockRejectedValueOnce(new RegistryError('REGISTRY_UNAVAILABLE', 'down', { retriable: true }));
    find.mockResolvedValueOnce(JSON.stringify(older));
    const serde = new AvroSerde<Event>(schema, 1, 'behavior.events-value', new WriterSchemas(find));
    const bytes = written(7, older, full);
    await expect(serde.prepare([bytes])).rejects.toMatchObject({ retriable: true });
    await serde.prepare([bytes]);
    expect(serde.decode(bytes).event_id).toBe('e1');
  });
});

describe('the registry of files', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'seral-schemas-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it('gives each schema of the project an id of its own, the same on every machine', async () => {
    const ids = (await readSchemas()).map(embeddedId);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.every((one) => one > 0)).toBe(true);
    // with other words in its doc the id stays; with another field it does not
    const event = JSON.parse(schema) as { doc: string; fields: object[] };
    expect(embeddedId(JSON.stringify({ ...event, doc: 'reworded' }))).toBe(embeddedId(schema));
    expect(embeddedId(JSON.stringify({ ...event, fields: event.fields.slice(1) }))).not.toBe(embeddedId(schema));
  });

  it('reads what an older version wrote, as long as its file is kept below', async () => {
    const version = (fields: object[]) => JSON.stringify({ type: 'record', name: 'Thing', fields });
    const [first, second] = [
      version([{ name: 'a', type: 'string' }]),
      version([
        { name: 'a', type: 'string' },
        { name: 'b', type: 'int', default: 3 },
      ]),
    ];
    await writeFile(join(folder, 'Thing.avsc'), first);
    const bytes = (await (await embeddedSerdes(folder)).serde<{ a: string }>('t', 'Thing')).encode({ a: 'x' });
    await writeFile(join(folder, 'Thing.avsc'), second);
    const forgetful = await (await embeddedSerdes(folder)).serde('t', 'Thing');
    await forgetful.prepare([bytes]);
    expect(codeOf(() => forgetful.decode(bytes))).toBe('UNKNOWN_SCHEMA_ID');
    await writeFile(join(folder, 'Thing-1.avsc'), first);
    const serde = await (await embeddedSerdes(folder)).serde('t', 'Thing');
    expect(serde.decode(bytes)).toEqual({ a: 'x', b: 3 });
  });

  it('says which schema it does not have', async () => {
    const serdes = await embeddedSerdes();
    await expect(serdes.serde('t', 'Missing')).rejects.toMatchObject({ code: 'SCHEMA_FILE', fatal: true });
    await expect(serdes.serde('t', 'Missing')).rejects.toThrow(/Missing/);
  });

  it('finds every schema of the project readable by avsc as it is', async () => {
    for (const one of await readSchemas()) expect(() => avroType(one)).not.toThrow();
    expect(JSON.parse(schema)).toEqual(JSON.parse(await readFile('schemas/BehaviorEvent.avsc', 'utf8')));
  });
});

describe('keys', () => {
  it('are UTF-8 strings', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (key) => {
        expect(decodeKey(encodeKey(key))).toBe(key);
      }),
    );
    expect(decodeKey(encodeKey('\ufffd'))).toBe('\ufffd');
    expect(codeOf(() => decodeKey(null))).toBe('NULL_KEY');
    expect(codeOf(() => decodeKey(Buffer.from([0x61, 0xff])))).toBe('INVALID_UTF8');
  });
});
