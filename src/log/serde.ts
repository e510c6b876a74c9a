/**
 * Bytes to values and back, synchronously: the hot path holds no promise. What a decode needs from the network
 * (a writer's schema that was not met before) is fetched ahead by `prepare`.
 */
export interface Serde<T> {
  /** Throws DecodeError: MAGIC_BYTE, UNKNOWN_SCHEMA_ID, SCHEMA_UNAVAILABLE, MALFORMED, UNKNOWN_ENUM, NULL_VALUE, INVALID_UTF8. */
  decode(bytes: Buffer | null): T;
  encode(value: T): Buffer;
  /**
   * Makes every schema id in `values` known, or known to be unknown. Throws a retriable RegistryError while the
   * registry cannot be asked. Resolves at once (returns undefined) where nothing new is met.
   */
  prepare(values: readonly (Buffer | null)[]): Promise<void> | undefined;
  /** The registry was waited for long enough: until it answers, records that it is needed for are SCHEMA_UNAVAILABLE. */
  giveUp?(): void;
}

export interface SerdeOptions {
  /** lists of plain records are decoded as LazyRecords, where they can be */
  lazy?: boolean;
}

/** Serdes by topic and schema: a registry, real or embedded, stands behind it. `schema` names a file of schemas/. */
export interface Serdes {
  serde<T>(topic: string, schema: string, options?: SerdeOptions): Promise<Serde<T>>;
  close(): Promise<void>;
}
