/**
 * A user's candidates as the server keeps them: on the disk as an expiry and Avro, so that millions of users fit and an
 * expired one need not be decoded; in memory decoded, with the JSON of the answer once somebody has asked for it.
 */
import { avroType } from '../../log/avro-types.ts';
import type { UserCandidates } from '../records.ts';

/** milliseconds since the epoch, a double, before the Avro */
const HEADER = 8;
/** What a decoded record and its JSON take in memory for each byte of its Avro, about: `bench/serve.ts` measures it. */
const MEMORY_PER_BYTE = 6;

export class Entry {
  readonly user: UserCandidates;
  /** in memory, estimated */
  readonly bytes: number;
  #rest: Buffer | null = null;

  constructor(user: UserCandidates, encodedBytes: number) {
    this.user = user;
    this.bytes = encodedBytes * MEMORY_PER_BYTE;
  }

  /** The answer to whoever asks for the candidates, `ageMs` after they were asked for: all but the age is made once. */
  json(ageMs: number): Buffer {
    this.#rest ??= bytesOf(JSON.stringify(answerOf(this.user)).slice(1));
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
    return new Entry(this.#type.fromBuffer(row.subarray(HEADER)) as UserCandidates, row.length);
  }
}
