/** A request as the messages that a model is sent: each text that shoppers and sellers wrote quoted, on a line of its own. */
import type { AnswerSchema, ChatMessage } from '../../inference/generator.ts';
import { quoted, type Prompts } from '../../inference/prompts.ts';
import { GROUP_NAMES } from './groups.ts';
import { GROUPS, type ProfileRequest } from '../records.ts';

/** Of one kind; the newest count. */
const MOST_BEHAVIOURS = 200;

/** Throws InferenceError UNKNOWN_PROMPT, BAD_PROMPT. */
export function messagesOf(prompts: Prompts, request: ProfileRequest): ChatMessage[] {
  const { system, user } = prompts.render(request.prompt_version, viewOf(request));
  return [
    { role: 'system', content: system },
    { role: 'user', content: user },
  ];
}

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
