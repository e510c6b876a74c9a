import type avsc from 'avsc';
import { BadRecordError, DecodeError, RegistryError, messageOf } from '../errors.ts';
import { avroType, resolverOf } from './avro-types.ts';
import type { Serde, SerdeOptions } from './serde.ts';

const MAGIC = 0;
/** the magic byte and the schema's id, 4 bytes big-endian: Confluent's wire format */
const HEADER = 5;
/** An unknown id is asked for again after so long: its writer may have been registered since. */
const UNKNOWN_FOR_MS = 60_000;

type Resolver = ReturnType<avsc.Type['createResolver']>;

/** Asks a registry for a writer's schema: null where the id is unknown. Throws RegistryError. */
export type FindSchema = (id: number, subject: string) => Promise<string | null>;

/** The writers' schemas that were met, shared by all serdes of a registry. An id never changes its meaning. */
export class WriterSchemas {
  readonly #find: FindSchema;
  readonly #now: () => number;
  readonly #known = new Map<number, string>();
  readonly #unknownUntil = new Map<number, number>();
  /** of these the registry has not said that it does not know them */
  readonly #unanswered = new Set<number>();
  #gaveUp = false;
  readonly #asked = new Map<number, Promise<void>>();

  constructor(find: FindSchema, now: () => number = Date.now) {
    this.#find = find;
    this.#now = now;
  }

  get(id: number): string | undefined {
    return this.#known.get(id);
  }

  set(id: number, schema: string): void {
    this.#known.set(id, schema);
  }

  /** Known, or known (for a while) to be unknown. */
  settled(id: number): boolean {
    if (this.#known.has(id)) return true;
    const until = this.#unknownUntil.get(id);
    return until !== undefined && this.#now() < until;
  }

  giveUp(): void {
    this.#gaveUp = true;
  }

  /** Why a record of a settled id cannot be read. */
  refusal(id: number): DecodeError {
    return this.#unanswered.has(id)
      ? new DecodeError('SCHEMA_UNAVAILABLE', `the registry did not answer when it was asked for schema ${id}`)
      : new DecodeError('UNKNOWN_SCHEMA_ID', `the registry has no schema ${id}`);
  }

  ask(id: number, subject: string): Promise<void> {
    let asked = this.#asked.get(id);
    if (asked === undefined) {
      asked = this.#ask(id, subject).finally(() => this.#asked.delete(id));
      this.#asked.set(id, asked);
    }
    return asked;
  }

  async #ask(id: number, subject: string): Promise<void> {
    let schema: string | null;
    try {
      schema = await this.#find(id, subject);
    } catch (error) {
      if (!this.#gaveUp || !(error instanceof RegistryError) || !error.retriable) throw error;
      this.#remember(id);
      this.#unanswered.add(id);
      return;
    }
    this.#gaveUp = false;
    this.#unanswered.delete(id);
    if (schema !== null) {
      this.#known.set(id, schema);
      this.#unknownUntil.delete(id);
      return;
    }
    this.#remember(id);
  }

  #remember(id: number): void {
    // garbage may carry any id: what is remembered of it stays small
    if (this.#unknownUntil.size >= 10_000) {
      this.#unknownUntil.clear();
      this.#unanswered.clear();
    }
    this.#unknownUntil.set(id, this.#now() + UNKNOWN_FOR_MS);
  }
}

/** How records of one writer are read: as they are, through a resolver, or not at all. */
interface Reader {
  resolver: Resolver | undefined;
  refusal: string | null;
}

/** Where records are encoded before they are copied out: encoding is synchronous, so one serves all. */
let scratch = Buffer.allocUnsafeSlow(64 * 1024);
const LARGEST_SCRATCH = 4 * 1024 * 1024;

export class AvroSerde<T> implements Serde<T> {
  readonly #type: avsc.Type;
  readonly #id: number;
  readonly #subject: string;
  readonly #writers: WriterSchemas;
  readonly #readers = new Map<number, Reader>();
  #lastId: number;
  #last: Reader = { resolver: undefined, refusal: null };

  /** `id` is that of `schema`, which records are written with and read as. */
  constructor(schema: string, id: number, subject: string, writers: WriterSchemas, options: SerdeOptions = {}) {
    this.#type = avroType(schema, options);
    this.#id = id;
    this.#subject = subject;
    this.#writers = writers;
    writers.set(id, schema);
    this.#lastId = id;
    this.#readers.set(id, this.#last);
  }

  decode(bytes: Buffer | null): T {
    if (bytes === null) throw new DecodeError('NULL_VALUE', 'the record has no value');
    if (bytes.length === 0 || bytes[0] !== MAGIC) {
      throw new DecodeError('MAGIC_BYTE', "the record does not begin with the registry's magic byte 0");
    }
    if (bytes.length < HEADER) throw new DecodeError('MALFORMED', 'the record ends before its schema id');
    const id = bytes.readInt32BE(1);
    const reader = id === this.#lastId ? this.#last : this.#reader(id);
    if (reader.refusal !== null) throw new DecodeError('MALFORMED', reader.refusal);
    let read: { value: T; offset: number };
    try {
      read = this.#type.decode(bytes, HEADER, reader.resolver);
    } catch (error) {
      if (error instanceof DecodeError) throw error;
      throw new DecodeError('MALFORMED', `the record cannot be read: ${messageOf(error)}`, { cause: error });
    }
    if (read.offset !== bytes.length) {
      const why = read.offset < 0 ? 'it is cut short' : `${bytes.length - read.offset} bytes follow it`;
      throw new DecodeError('MALFORMED', `the record cannot be read: ${why}`);
    }
    return read.value;
  }

  encode(value: T): Buffer {
    let end: number;
    try {
      end = this.#type.encode(value, scratch, HEADER);
      if (end < 0) {
        // avsc says how many bytes are missing
        scratch = Buffer.allocUnsafeSlow(Math.max(scratch.length * 2, scratch.length - end));
        end = this.#type.encode(value, scratch, HEADER);
      }
    } catch (error) {
      throw new BadRecordError('NOT_ENCODABLE', `not a ${this.#type.name}: ${messageOf(error)}`, { cause: error });
    }
    scratch[0] = MAGIC;
    scratch.writeInt32BE(this.#id, 1);
    const bytes = Buffer.allocUnsafe(end);
    scratch.copy(bytes, 0, 0, end);
    if (scratch.length > LARGEST_SCRATCH) scratch = Buffer.allocUnsafeSlow(64 * 1024);
    return bytes;
  }

  prepare(values: readonly (Buffer | null)[]): Promise<void> | undefined {
    let last = this.#id;
    let unsettled: Set<number> | undefined;
    for (const value of values) {
      if (value === null || value.length < HEADER || value[0] !== MAGIC) continue;
      const id = value.readInt32BE(1);
      if (id === last) continue;
      last = id;
      if (!this.#writers.settled(id)) (unsettled ??= new Set()).add(id);
    }
    if (unsettled === undefined) return undefined;
    return Promise.all(Array.from(unsettled, (id) => this.#writers.ask(id, this.#subject))).then(() => {});
  }

  giveUp(): void {
    this.#writers.giveUp();
  }

  #reader(id: number): Reader {
    let reader = this.#readers.get(id);
    if (reader === undefined) {
      const writer = this.#writers.get(id);
      if (writer === undefined) throw this.#writers.refusal(id);
      reader = this.#resolve(id, writer);
      this.#readers.set(id, reader);
    }
    this.#lastId = id;
    this.#last = reader;
    return reader;
  }

  #resolve(id: number, schema: string): Reader {
    try {
      const writer = avroType(schema);
      // equal on the wire: documentation and defaults apart
      const resolver = this.#type.equals(writer) ? undefined : resolverOf(this.#type, writer);
      return { resolver, refusal: null };
    } catch (error) {
      return {
        resolver: undefined,
        refusal: `schema ${id} of its writer cannot be read as ${this.#type.name}: ${messageOf(error)}`,
      };
    }
  }
}
