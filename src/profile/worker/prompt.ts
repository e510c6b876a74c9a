/**
 * A request as the messages that a model is sent. What shoppers and sellers wrote is data: each text is cleaned, cut and
 * quoted as a JSON string on a line of its own, so that it can neither end its block nor open one, whatever it holds.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import Mustache from 'mustache';
import { InferenceError, messageOf } from '../../errors.ts';
import type { AnswerSchema, ChatMessage } from '../../inference/generator.ts';
import { GROUP_NAMES } from './groups.ts';
import { GROUPS, type ProfileRequest } from '../records.ts';

/** Of one title or query, in characters. */
const LONGEST_TEXT = 200;
/** Of one kind; the newest count. */
const MOST_BEHAVIOURS = 200;
const VERSION = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;
const DIVIDER = /^---[ \t]*$/m;

export const promptsFolder = join(import.meta.dirname, '../../../prompts');

/** Prompts by version, out of a folder: `<version>.md`, read once each. */
export class Prompts {
  readonly #folder: string;
  readonly #read = new Map<string, { system: string; user: string }>();

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

  /** Throws InferenceError UNKNOWN_PROMPT. */
  messagesOf(request: ProfileRequest): ChatMessage[] {
    const { system, user } = this.#template(request.prompt_version);
    const view = viewOf(request);
    return [
      { role: 'system', content: render(system, view) },
      { role: 'user', content: render(user, view) },
    ];
  }

  #template(version: string): { system: string; user: string } {
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
function templateOf(text: string, version: string): { system: string; user: string } {
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

function viewOf(request: ProfileRequest) {
  const searches = request.searches.slice(-MOST_BEHAVIOURS).map(({ query }) => quoted(query));
  const purchases = request.purchases.slice(-MOST_BEHAVIOURS).map(({ title, category, brand, times }) => {
    const of = category === null ? '' : ` in ${quoted(category)}`;
    const by = brand === null ? '' : ` by ${quoted(brand)}`;
    return `${quoted(title)}${of}${by}${times > 1 ? `, ${times} times` : ''}`;
  });
  return {
    ...GROUP_NAMES,
    numberOfTags: request.number_of_tags,
    tagLength: request.tag_length,
    staticProfile: request.static_profile === null ? null : quoted(request.static_profile),
    searches,
    purchases,
    hasSearches: searches.length > 0,
    hasPurchases: purchases.length > 0,
    both: searches.length > 0 && purchases.length > 0,
    onlySearches: searches.length > 0 && purchases.length === 0,
    onlyPurchases: searches.length === 0 && purchases.length > 0,
    candidates: request.candidates
      .slice(0, MOST_BEHAVIOURS)
      .map(
        ({ tag, group, frequency, regularity, effectiveness }) =>
          `${quoted(tag)}, ${group}, frequency ${frequency.toFixed(2)}, regularity ${regularity.toFixed(2)}, ` +
          `effectiveness ${effectiveness.toFixed(2)}`,
      ),
  };
}

/**
 * One text as a JSON string without control and invisible characters, cut. Brackets are written as escapes too, so that no
 * text spells a mark of a chat template (`<|im_end|>`, `[/INST]`), which some servers obey wherever it stands.
 */
export function quoted(text: string): string {
  const plain = text
    .toWellFormed()
    .normalize('NFC')
    .replace(/[\p{Cc}\p{Cf}\p{Co}\p{Zl}\p{Zp}\s]+/gu, ' ')
    .trim();
  const cut = [...plain.slice(0, LONGEST_TEXT * 2)].slice(0, LONGEST_TEXT).join('');
  return JSON.stringify(cut.toWellFormed()).replace(
    /[<>[\]]/g,
    (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

const entry = {
  type: 'object',
  properties: {
    behaviours: { type: 'array', items: { type: 'string' } },
    inference: { type: 'string' },
    tag: { type: 'string' },
  },
  required: ['behaviours', 'inference', 'tag'],
  additionalProperties: false,
};

/** What both prompts ask for. Lengths are not in it: some servers refuse a schema that has them, and none is believed. */
export const ANSWER_SCHEMA: AnswerSchema = {
  name: 'profile_tags',
  schema: {
    type: 'object',
    properties: Object.fromEntries(GROUPS.map((group) => [GROUP_NAMES[group], { type: 'array', items: entry }])),
    required: GROUPS.map((group) => GROUP_NAMES[group]),
    additionalProperties: false,
  },
};
