/**
 * Outputs on their way into the open transaction. One send is under way at a time and what comes meanwhile makes up the
 * next one, so processing goes on while the log writes, within a bound of bytes.
 */
import type { OutRecord, TransactionalProducer } from '../log/port.ts';

const RECORD_BYTES = 70;

export class Sender {
  readonly #producer: TransactionalProducer;
  readonly #maxUnsentBytes: number;
  #waiting: OutRecord[] = [];
  #unsentBytes = 0;
  #sending: Promise<void> | null = null;
  #failure: { error: unknown } | null = null;
  /** of the open transaction */
  records = 0;

  constructor(producer: TransactionalProducer, maxUnsentBytes: number) {
    this.#producer = producer;
    this.#maxUnsentBytes = maxUnsentBytes;
  }

  push(record: OutRecord): void {
    this.#waiting.push(record);
    this.#unsentBytes += RECORD_BYTES + (record.key?.length ?? 0) + (record.value?.length ?? 0);
    this.records++;
  }

  /** Lets what was pushed go; a promise where processing should wait. Throws what an earlier send failed with. */
  go(): Promise<void> | undefined {
    this.#begin();
    return this.#unsentBytes > this.#maxUnsentBytes ? this.drain() : undefined;
  }

  /** The log has everything that was pushed. */
  async drain(): Promise<void> {
    this.#begin();
    while (this.#sending !== null) await this.#sending;
    this.#check();
  }

  #begin(): void {
    this.#check();
    if (this.#sending === null && this.#waiting.length > 0) this.#sending = this.#run();
  }

  #check(): void {
    if (this.#failure !== null) throw this.#failure.error;
  }

  async #run(): Promise<void> {
    try {
      while (this.#waiting.length > 0) {
        const records = this.#waiting;
        const bytes = this.#unsentBytes;
        this.#waiting = [];
        await this.#producer.send(records);
        this.#unsentBytes -= bytes;
      }
    } catch (error) {
      this.#failure = { error };
    } finally {
      this.#sending = null;
    }
  }
}
