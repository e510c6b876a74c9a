/**
 * A user's candidates as the server keeps them: as an expiry and Avro, so that millions of users fit on the disk and an
 * expired one need not be decoded; in memory the same bytes, beside them what was asked for last: those of the answer's JSON,
 * or the decoded list that a fusion reads. Not both where JSON will do: decoded lists are most of a heap, and a garbage
 * collection that walks through them stops every request.
 */
import { avroType } from '../../log/avro-types.ts';
import type { UserCandidates } from '../records.ts';

/** milliseconds since the epoch, a double, before the Avro */
const HEADER = 8;
/** What a row and its decoded list take in memory for each byte of the row, about: `bench/serve.ts` measures it. */
const MEMORY_PER_BYTE = 6;

export class Entry {
  /** in memory, estimated */
  readonly bytes: number;
  readonly askedAt: number;
  readonly expiresAt: number;
  readonly #row: Buffer;
  readonly #decode: (row: Buffer) => UserCandidates;
  /** null: the JSON was asked for since */
  #decoded: UserCandidates | null;
  #rest: Buffer | null = null;

  /** Throws where the row is broken. */
  constructor(row: Buffer, decode: (row: Buffer) => UserCandidates) {
    this.#decoded = decode(row);
    this.askedAt = this.#decoded.asked_at;
    this.expiresAt = this.#decoded.expires_at;
    this.#decode = decode;
    // a copy: what comes from the disk may be a part of something larger
    this.#row = Buffer.allocUnsafeSlow(row.length);
    row.copy(this.#row);
    this.bytes = row.length * MEMORY_PER_BYTE;
  }

  get user(): UserCandidates {
    return (this.#decoded ??= this.#decode(this.#row));
  }

  /** The answer to whoever asks for the candidates, `ageMs` after they were asked for: all but the age is made once. */
  json(ageMs: number): Buffer {
    if (this.#rest === null) {
      this.#rest = bytesOf(JSON.stringify(answerOf(this.user)).slice(1));
      this.#decoded = null;
    }
    return Buffer.concat([Buffer.from(`{"status":"ready","age_ms":${ageMs},`), this.#rest]);
  }
}

/** In no more memory than it needs: Buffer.from sets aside twice as much. */
function bytesOf(text: string): Buffer {
  const bytes = Buffer.allocUnsafeSlow(Buffer.byteLength(text));
  bytes.write(text);
  return bytes;
}

/** `left_out` is for those who look into the topic. */
function answerOf({ left_out: _leftOut, ...user }: UserCandidates): Omit<UserCandidates, 'left_out'> {
  return user;
}

/** Rows of the disk. `schema`: of the Avro, as JSON; another one's rows cannot be read. */
export class EntryCodec {
  readonly schema: string;
  readonly #type: ReturnType<typeof avroType>;

  constructor(schema: string) {
    this.schema = schema;
    this.#type = avroType(schema);
  }

  encode(user: UserCandidates): Buffer {
    const avro = this.#type.toBuffer(user);
    const row = Buffer.allocUnsafe(HEADER + avro.length);
    row.writeDoubleBE(user.expires_at, 0);
    avro.copy(row, HEADER);
    return row;
  }

  expiryOf(row: Buffer): number {
    return row.readDoubleBE(0);
  }

  /** Throws where the row is broken. */
  decode(row: Buffer): Entry {
    return new Entry(row, (given) => this.#type.fromBuffer(given.subarray(HEADER)) as UserCandidates);
  }
}
