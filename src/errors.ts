/**
 * Every error of the project. The program decides on `code` and the flags, never on message text.
 *   retriable: the same call may succeed later        fenced: another owner has taken over; stop quietly
 *   fatal: no retry and no rebuild will help; stop the task or the process and say why
 */
export interface ErrorFlags {
  retriable?: boolean;
  fenced?: boolean;
  fatal?: boolean;
}

export class SeralError extends Error {
  readonly code: string;
  readonly retriable: boolean;
  readonly fenced: boolean;
  readonly fatal: boolean;

  constructor(code: string, message: string, options: ErrorFlags & { cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.code = code;
    this.retriable = options.retriable ?? false;
    this.fenced = options.fenced ?? false;
    this.fatal = options.fatal ?? false;
  }
}

/**
 * The log refused or failed. Codes: FENCED, OFFSET_OUT_OF_RANGE, RECORD_TOO_LARGE, UNKNOWN_TOPIC, LOG_UNAVAILABLE,
 * LOG_CLOSED, LOG_REFUSED, LOG_UNSUPPORTED, TOPIC_EXISTS, TRANSACTION_FAILED.
 */
export class LogError extends SeralError {}

/** A record that cannot be read. It goes to the dead-letter topic under this code. */
export class DecodeError extends SeralError {}

/** A record that a processor refuses (or broke on). It goes to the dead-letter topic under this code. */
export class BadRecordError extends SeralError {}

/** The topology or its use is wrong: a bug in code, found as early as it can be. */
export class TopologyError extends SeralError {
  constructor(code: string, message: string) {
    super(code, message, { fatal: true });
  }
}

/** A task cannot go on from where it is; unless fatal, it is rebuilt from its last commit. */
export class TaskError extends SeralError {}

/** The local store cannot be opened, read or written. */
export class StoreError extends SeralError {}

/** The schema registry refused or failed. */
export class RegistryError extends SeralError {}

/**
 * A model could not be asked, or what it said cannot be used. Codes: MODEL_UNAVAILABLE (no connection, cut off, 5xx, or
 * no such response as was agreed on), MODEL_TIMEOUT, MODEL_OVERLOADED (429), MODEL_REFUSED (any other 4xx),
 * ANSWER_TOO_LARGE, BAD_ANSWER, NO_USABLE_TAG, NO_USABLE_TEXT, UNKNOWN_PROMPT, BAD_PROMPT. Of an embedded model: BAD_MODEL
 * (its files), NO_ENGINE (nothing runs it here), MODEL_FAILED, MODEL_CLOSED, BAD_INPUT. Of a pre-ranking model: BAD_SCORES,
 * UNKNOWN_FEATURE, OTHER_EMBEDDER. Of a search engine: RETRIEVER_UNAVAILABLE, RETRIEVER_TIMEOUT, RETRIEVER_REFUSED, INDEX_MISMATCH.
 */
export class InferenceError extends SeralError {}

/** The configuration is wrong; `problems` names every one. */
export class ConfigError extends SeralError {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(
      'CONFIG_INVALID',
      `the configuration has ${problems.length} problem(s):\n${problems.map((p) => `  - ${p}`).join('\n')}`,
      {
        fatal: true,
      },
    );
    this.problems = problems;
  }
}

/** A command was used wrongly (exit code 2). */
export class UsageError extends SeralError {
  constructor(message: string) {
    super('USAGE', message, { fatal: true });
  }
}

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
