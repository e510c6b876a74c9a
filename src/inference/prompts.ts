/**
 * Prompts by version, out of a folder: `<version>.md`, a Mustache template in two parts, what the model is and what it is
 * asked, with a line of dashes between. What shoppers and sellers wrote is data: see `quoted`.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import Mustache from 'mustache';
import { InferenceError, messageOf } from '../errors.ts';

/** Of one title or query, in characters. */
const LONGEST_TEXT = 200;
const VERSION = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;
const DIVIDER = /^---[ \t]*$/m;

export const promptsFolder = join(import.meta.dirname, '../../prompts');

export interface Prompt {
  system: string;
  user: string;
}

/** Prompts of a folder, read once each. */
export class Prompts {
  readonly #folder: string;
  readonly #read = new Map<string, Prompt>();

  constructor(folder: string = promptsFolder) {
    this.#folder = folder;
  }

  /** All that there are. Throws InferenceError UNKNOWN_PROMPT where the folder cannot be read. */
  versions(): string[] {
    let files: string[];
    try {
      files = readdirSync(this.#folder);
    } catch (error) {
      throw new InferenceError('UNKNOWN_PROMPT', `the folder of the prompts cannot be read: ${messageOf(error)}`);
    }
    return files
      .filter((file) => file.endsWith('.md'))
      .map((file) => file.slice(0, -3))
      .filter((version) => VERSION.test(version))
      .sort();
  }

  /** Both parts, filled from `view`, whose values go in as they are. Throws InferenceError UNKNOWN_PROMPT, BAD_PROMPT. */
  render(version: string, view: object): Prompt {
    const { system, user } = this.#template(version);
    return { system: render(system, view), user: render(user, view) };
  }

  #template(version: string): Prompt {
    let template = this.#read.get(version);
    if (template !== undefined) return template;
    const there = this.versions();
    // a version comes with the request: it names a file of the folder, and never one elsewhere
    if (!there.includes(version)) {
      const known = there.length === 0 ? 'none at all' : there.join(', ');
      throw new InferenceError(
        'UNKNOWN_PROMPT',
        `there is no prompt ${JSON.stringify(version.slice(0, 100))} in ${this.#folder}; there are ${known}`,
      );
    }
    const text = readFileSync(join(this.#folder, `${version}.md`), 'utf8');
    template = templateOf(text, version);
    this.#read.set(version, template);
    return template;
  }
}

/** A prompt's two parts. Throws InferenceError BAD_PROMPT. */
function templateOf(text: string, version: string): Prompt {
  const [system, user, ...more] = text.split(DIVIDER);
  if (user === undefined || more.length > 0) {
    throw new InferenceError('BAD_PROMPT', `prompt ${version} is not two parts with a line of --- between`);
  }
  for (const part of [system!, user]) {
    try {
      Mustache.parse(part);
    } catch (error) {
      throw new InferenceError('BAD_PROMPT', `prompt ${version}: ${messageOf(error)}`);
    }
  }
  return { system: system!, user };
}

// values go in as they are: they were quoted, and are no HTML
const render = (template: string, view: object): string =>
  Mustache.render(template, view, {}, { escape: String }).trim();

/** One text on one line, cut, without control and invisible characters. */
export function cleaned(text: string): string {
  const plain = text
    .toWellFormed()
    .normalize('NFC')
    .replace(/[\p{Cc}\p{Cf}\p{Co}\p{Zl}\p{Zp}\s]+/gu, ' ')
    .trim();
  return [...plain.slice(0, LONGEST_TEXT * 2)].slice(0, LONGEST_TEXT).join('').toWellFormed();
}

/**
 * One text as a JSON string: it can neither end its block nor open one, whatever it holds. Brackets are written as escapes
 * too, so that no text spells a mark of a chat template (`<|im_end|>`, `[/INST]`), which some servers obey wherever it
 * stands.
 */
export const quoted = (text: string): string =>
  JSON.stringify(cleaned(text)).replace(/[<>[\]]/g, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`);
