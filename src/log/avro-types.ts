import { isUtf8 } from 'node:buffer';
import avsc from 'avsc';
import { DecodeError } from '../errors.ts';
import { intern } from './interner.ts';

/**
 * avsc's types, made strict where avsc trusts its input. It reads past the end of a buffer without a word (the check is
 * made once, after the record), so a few bytes that claim an array of a billion items keep the process busy for minutes
 * or fill its memory; and it replaces bad UTF-8. Each override keeps the signature of the method it stands for, which
 * avsc's type hook allows; test/log/avro.test.ts feeds them what an attacker would.
 */
interface Tap {
  buf: Buffer;
  pos: number;
  readLong(): number;
  skipLong(): void;
  writeLong(n: number): void;
  writeString(s: string): void;
}

const malformed = (why: string): DecodeError => new DecodeError('MALFORMED', `the record cannot be read: ${why}`);

function length(tap: Tap): number {
  const n = tap.readLong();
  if (n < 0 || tap.pos + n > tap.buf.length) throw malformed('a length reaches past its end');
  return n;
}

/** Of the texts that were skipped since this was reset. */
const skipped = { bits: 0, longest: 0, empty: false };

class StrictString extends avsc.types.StringType {
  _read(tap: Tap): string {
    const n = length(tap);
    const buffer = tap.buf;
    const from = tap.pos;
    const to = from + n;
    tap.pos = to;
    const known = intern(buffer, from, to);
    if (known !== undefined) return known;
    const text = buffer.toString('utf8', from, to);
    // the replacement character is the only trace of bad bytes, and rare enough to be asked about
    if (text.includes('\ufffd') && !isUtf8(buffer.subarray(from, to))) {
      throw new DecodeError('INVALID_UTF8', 'a text of the record is not UTF-8');
    }
    return text;
  }

  _skip(tap: Tap): void {
    const n = length(tap);
    const { buf } = tap;
    const end = tap.pos + n;
    let bits = 0;
    for (let i = tap.pos; i < end; i++) bits |= buf[i]!;
    skipped.bits |= bits;
    if (n > skipped.longest) skipped.longest = n;
    if (n === 0) skipped.empty = true;
    tap.pos = end;
  }

  _write(tap: Tap, value: unknown): void {
    if (typeof value !== 'string') throw new Error(`not a string: ${JSON.stringify(value)}`);
    const n = value.length;
    if (n < 64) {
      // short and, as it turns out, ASCII: the length is one byte; what goes past the buffer's end is found out later
      const { buf, pos } = tap;
      let bits = 0;
      buf[pos] = n << 1;
      for (let i = 0; i < n; i++) {
        const c = value.charCodeAt(i);
        bits |= c;
        buf[pos + 1 + i] = c;
      }
      if (bits < 0x80) {
        tap.pos = pos + 1 + n;
        return;
      }
    }
    // avsc would write half a surrogate pair as it is, which no reader takes for UTF-8
    tap.writeString(value.isWellFormed() ? value : value.toWellFormed());
  }
}

/** The count of a block of an array or map, which holds no more items than bytes. */
function count(tap: Tap, perItem: number): number {
  let n = tap.readLong();
  if (n < 0) {
    n = -n;
    length(tap);
  }
  if (n * perItem > tap.buf.length - tap.pos) throw malformed(`${n} items in ${tap.buf.length - tap.pos} bytes`);
  return n;
}

interface Reads {
  _read(tap: Tap): unknown;
  _skip(tap: Tap): void;
}

class StrictArray extends avsc.types.ArrayType {
  // `this` may be a resolver, which has itemsType and nothing else of an array
  _read(tap: Tap): unknown[] {
    const items = this.itemsType as unknown as Reads;
    const values: unknown[] = [];
    for (let n = count(tap, 1); n > 0; n = count(tap, 1)) {
      while (n-- > 0) values.push(items._read(tap));
    }
    return values;
  }

  _skip(tap: Tap): void {
    const items = this.itemsType as unknown as Reads;
    for (let n = count(tap, 1); n > 0; n = count(tap, 1)) {
      while (n-- > 0) items._skip(tap);
    }
  }
}

/** Types whose `_skip` refuses what their `_read` would refuse, but for texts that are not UTF-8. */
const isSimple = (type: avsc.Type): boolean =>
  type === text ||
  type === int ||
  type === long ||
  type.typeName === 'boolean' ||
  type.typeName === 'double' ||
  type.typeName === 'null' ||
  (type instanceof avsc.types.UnwrappedUnionType && type.types.every(isSimple));

/** An array of records that stays in bytes until somebody asks for them. What it gives can be read: it was gone through. */
class LazyArray extends StrictArray {
  readonly #lazy: boolean;

  constructor(schema: avsc.Schema, options: unknown) {
    super(schema, options);
    const { itemsType } = this;
    this.#lazy = itemsType instanceof avsc.types.RecordType && itemsType.fields.every(({ type }) => isSimple(type));
  }

  override _read(tap: Tap): any {
    // a resolver has another writer's records, whose bytes would mean something else later
    if (!(#lazy in this) || !this.#lazy) return super._read(tap);
    const { itemsType } = this;
    const items = itemsType as unknown as Reads;
    const begin = tap.pos;
    const n = tap.readLong();
    const start = tap.pos;
    // in one block, as nearly every writer has it
    if (n > 0 && n <= tap.buf.length - start) {
      skipped.bits = 0;
      skipped.longest = 0;
      skipped.empty = false;
      try {
        for (let i = 0; i < n; i++) items._skip(tap);
        const end = tap.pos;
        if (end < tap.buf.length && tap.buf[end] === 0 && skipped.bits < 0x80) {
          tap.pos = end + 1;
          return new LazyRecords(itemsType, tap.buf, start, end, n, skipped.longest, skipped.empty);
        }
      } catch {
        // said properly by the reading below
      }
    }
    tap.pos = begin;
    return super._read(tap);
  }
}

/** Records of a list, in the bytes that they came in until they are asked for. All their texts are ASCII. */
export class LazyRecords<T = unknown> implements Iterable<T> {
  readonly length: number;
  /** Avro's bytes of the records, one behind the other, from `start` to `end` of `bytes` */
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
  readonly type: avsc.Type;
  /** bytes of the longest text among them */
  readonly longest: number;
  /** one of the texts is empty */
  readonly empty: boolean;
  #records: T[] | null = null;

  constructor(
    type: avsc.Type,
    bytes: Buffer,
    start: number,
    end: number,
    count: number,
    longest: number,
    empty: boolean,
  ) {
    this.type = type;
    this.bytes = bytes;
    this.start = start;
    this.end = end;
    this.length = count;
    this.longest = longest;
    this.empty = empty;
  }

  get records(): readonly T[] {
    if (this.#records !== null) return this.#records;
    const records: T[] = [];
    for (let at = this.start; at < this.end;) {
      const { value, offset } = this.type.decode(this.bytes, at) as { value: T; offset: number };
      records.push(value);
      at = offset;
    }
    return (this.#records = records);
  }

  [Symbol.iterator](): Iterator<T> {
    return this.records[Symbol.iterator]();
  }

  toJSON(): readonly T[] {
    return this.records;
  }
}

class StrictMap extends avsc.types.MapType {
  _read(tap: Tap): Record<string, unknown> {
    const values = this.valuesType as Reads;
    const map: Record<string, unknown> = {};
    for (let n = count(tap, 1); n > 0; n = count(tap, 1)) {
      while (n-- > 0) {
        const key = text._read(tap);
        const value = values._read(tap);
        if (key === '__proto__') Object.defineProperty(map, key, { value, enumerable: true, configurable: true });
        else map[key] = value;
      }
    }
    return map;
  }

  _skip(tap: Tap): void {
    const values = this.valuesType as Reads;
    for (let n = count(tap, 1); n > 0; n = count(tap, 1)) {
      while (n-- > 0) {
        text._skip(tap);
        values._skip(tap);
      }
    }
  }
}

interface ResolverOptions {
  /** a writer's enum may have symbols that are not known here: a value that is one is UNKNOWN_ENUM */
  unknownSymbols?: boolean;
}

interface EnumResolver {
  symbols: readonly string[];
  _read: ((tap: Tap) => string) | null;
}

const { _update: resolveEnum } = avsc.types.EnumType.prototype as unknown as {
  _update(this: avsc.Type, resolver: EnumResolver, writer: avsc.Type, options: ResolverOptions): void;
};

class StrictEnum extends avsc.types.EnumType {
  /** avsc resolves all of a writer's symbols or none: one that we do not know would cost every record of its schema. */
  _update(resolver: EnumResolver, writer: avsc.types.EnumType, options: ResolverOptions): void {
    resolveEnum.call(this, resolver, writer, options);
    if (resolver._read !== null || options.unknownSymbols !== true || writer.typeName !== 'enum') return;
    const { name, symbols: known } = this;
    const { symbols } = writer;
    // whether it is the same enum otherwise, by name and alias, avsc knows
    const shared = { value: symbols.filter((symbol) => known.includes(symbol)) };
    resolveEnum.call(this, resolver, Object.create(writer, { symbols: shared }) as avsc.Type, options);
    if (resolver._read === null) return;
    resolver.symbols = symbols;
    resolver._read = (tap) => {
      const symbol = symbols[tap.readLong()];
      if (symbol === undefined) throw malformed(`it has no ${name} that its schema names`);
      if (!known.includes(symbol)) throw new DecodeError('UNKNOWN_ENUM', `${symbol} is no ${name} that is known here`);
      return symbol;
    };
  }

  _write(tap: Tap, value: unknown): void {
    const index = this.symbols.indexOf(value as string);
    if (index < 0) throw new Error(`not one of ${this.symbols.join(', ')}: ${JSON.stringify(value)}`);
    tap.writeLong(index);
  }
}

class StrictInt extends avsc.types.IntType {
  _read(tap: Tap): number {
    const n = tap.readLong();
    if (n !== (n | 0)) throw malformed(`${n} is no 32-bit integer`);
    return n;
  }

  _skip(tap: Tap): void {
    this._read(tap);
  }
}

/** avsc computes with doubles: further out, an odd number would come back as its even neighbour. */
const EXACT = 2 ** 52;

class StrictLong extends avsc.types.LongType {
  _read(tap: Tap): number {
    const n = tap.readLong();
    if (n > EXACT || n < -EXACT) throw malformed('a number is too large');
    return n;
  }

  _skip(tap: Tap): void {
    this._read(tap);
  }

  _write(tap: Tap, value: unknown): void {
    if (!Number.isInteger(value) || (value as number) > EXACT || (value as number) < -EXACT) {
      throw new Error(`not an integer within 2^52: ${String(value)}`);
    }
    tap.writeLong(value as number);
  }
}

const text = new StrictString();
const long = new StrictLong();
const int = new StrictInt();

const hook =
  (lazy: boolean) =>
  (schema: unknown, options: unknown): avsc.Type | undefined => {
    if (schema === 'string') return text;
    if (schema === 'int') return int;
    if (schema === 'long') return long;
    if (typeof schema !== 'object' || schema === null || Array.isArray(schema)) return undefined;
    const { type } = schema as { type?: unknown };
    if (type === 'string') return text;
    if (type === 'int') return int;
    if (type === 'long') return long;
    if (type === 'array') return new (lazy ? LazyArray : StrictArray)(schema as avsc.Schema, options);
    if (type === 'map') return new StrictMap(schema as avsc.Schema, options);
    if (type === 'enum') return new StrictEnum(schema as avsc.Schema, options);
    return undefined;
  };

/**
 * A schema as a type: unions unwrapped, longs as numbers (within 2^52), records without methods. With `lazy`, lists of
 * plain records are read as LazyRecords.
 */
export const avroType = (schema: string | object, { lazy = false } = {}): avsc.Type =>
  avsc.Type.forSchema((typeof schema === 'string' ? JSON.parse(schema) : schema) as avsc.Schema, {
    wrapUnions: false,
    omitRecordMethods: true,
    typeHook: hook(lazy),
  });

/** What reads a writer's records as `reader`. Throws where that cannot be, whatever the record. */
export const resolverOf = (reader: avsc.Type, writer: avsc.Type): ReturnType<avsc.Type['createResolver']> =>
  reader.createResolver(writer, { unknownSymbols: true } satisfies ResolverOptions as object);
