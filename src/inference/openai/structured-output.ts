import type { AnswerSchema } from '../generator.ts';

export const OUTPUT_MODES = ['json_schema', 'json_object', 'none'] as const;
export type OutputMode = (typeof OUTPUT_MODES)[number];

/** A server that refuses a format may be replaced by one that does not. */
const FORGET_AFTER_MS = 600_000;

/**
 * How a server is asked for JSON. `auto` begins with the schema and goes down where the server refuses it; the format that
 * then gave an answer is remembered. That a server takes a format does not mean that it keeps to it.
 */
export class StructuredOutput {
  readonly #mode: OutputMode | 'auto';
  readonly #elapsed: () => number;
  #known: { mode: OutputMode; at: number } | null = null;

  constructor(mode: OutputMode | 'auto', elapsed: () => number) {
    this.#mode = mode;
    this.#elapsed = elapsed;
  }

  /** To be tried in this order. */
  modes(): readonly OutputMode[] {
    if (this.#mode !== 'auto') return [this.#mode];
    if (this.#known !== null && this.#elapsed() - this.#known.at > FORGET_AFTER_MS) this.#known = null;
    return this.#known === null ? OUTPUT_MODES : OUTPUT_MODES.slice(OUTPUT_MODES.indexOf(this.#known.mode));
  }

  /** It answered in this format after it had refused a richer one. */
  remember(mode: OutputMode): void {
    this.#known = { mode, at: this.#elapsed() };
  }

  /** Whether a status may mean that the format is not known there. Some servers break on it: 500. */
  static mayBeRefused(status: number | null): boolean {
    return status === 400 || status === 415 || status === 422 || status === 500 || status === 501;
  }

  static field(mode: OutputMode, { name, schema }: AnswerSchema): object {
    if (mode === 'none') return {};
    if (mode === 'json_object') return { response_format: { type: 'json_object' } };
    return { response_format: { type: 'json_schema', json_schema: { name, schema, strict: true } } };
  }
}
