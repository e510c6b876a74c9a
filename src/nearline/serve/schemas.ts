/** The API's requests and answers as JSON Schema: what is checked, what answers are written by, and the OpenAPI document. */

const LONGEST_ID = 4096;
export const LONGEST_ARM = 256;
export const MOST_ITEMS = 1000;
export const MOST_ROWS = 200;

const time = (description: string) => ({
  type: 'integer',
  description: `${description}; milliseconds since the epoch`,
});
const nullable = (type: string, description?: string) => ({
  type: [type, 'null'],
  ...(description && { description }),
});
const id = (description: string) => ({ type: 'string', minLength: 1, maxLength: LONGEST_ID, description });
const arm = { type: 'string', maxLength: LONGEST_ARM, description: "the user's arm of an experiment" };

const LED_BY = {
  led_by: { type: 'string', description: 'the generated text that led to it best' },
  led_by_kind: { type: 'string', enum: ['title', 'query'] },
  channels: { type: 'array', items: { type: 'string' }, description: 'that found it: keyword, vector' },
  novel_category: { type: 'boolean', description: 'its category was not shown to the user in the last visit days' },
  novel_brand: { type: 'boolean' },
  novel_seller: { type: 'boolean' },
};

export const ERROR = {
  $id: 'Error',
  type: 'object',
  required: ['error'],
  properties: {
    error: {
      type: 'object',
      required: ['code', 'message'],
      properties: {
        code: {
          type: 'string',
          description:
            'BAD_REQUEST, UNAUTHENTICATED, NOT_FOUND, BODY_TOO_LARGE, UNSUPPORTED_MEDIA_TYPE, RATE_LIMITED, STOPPING, INTERNAL; ' +
            'further ones may come',
        },
        message: { type: 'string', description: 'for people; it may change' },
      },
    },
  },
};

export const CANDIDATES_ANSWER = {
  $id: 'Candidates',
  type: 'object',
  required: [
    ...['status', 'age_ms', 'user_id', 'request_id', 'round', 'revision', 'asked_at', 'generated_at', 'expires_at'],
    ...['model', 'prompt_version', 'retriever', 'ranker', 'candidates'],
  ],
  properties: {
    status: { type: 'string', const: 'ready' },
    age_ms: { type: 'integer', description: 'since asked_at' },
    user_id: { type: 'string' },
    request_id: { type: 'string' },
    round: { type: 'integer' },
    revision: { type: 'integer', description: '0: as generated; more where candidates have left the list since' },
    asked_at: time('the visit that asked'),
    generated_at: time('when the model had answered'),
    expires_at: time('the list is not used from here on'),
    model: { type: 'string' },
    prompt_version: { type: 'string' },
    retriever: { type: 'string' },
    ranker: { type: 'string' },
    candidates: {
      type: 'array',
      description: 'best first; may be empty',
      items: {
        type: 'object',
        required: ['item_id', 'score', 'led_by'],
        properties: {
          item_id: { type: 'string' },
          title: nullable('string'),
          category_id: nullable('string'),
          brand_id: nullable('string'),
          seller_id: nullable('string'),
          price: nullable('number'),
          score: { type: 'number', description: 'of the pre-ranking, 0 to 1' },
          ...LED_BY,
          category_last_seen: nullable('integer'),
        },
      },
    },
  },
};

const ASKED = {
  triggered: 'new candidates were asked for',
  pending: 'they were asked for a moment ago, or the server still reads what there is',
  budget: 'they cannot be asked for now',
};
const askedText = Object.entries(ASKED)
  .map(([status, meaning]) => `${status}: ${meaning}`)
  .join('; ');

export const TRIGGERED_ANSWER = {
  $id: 'Triggered',
  type: 'object',
  required: ['status', 'user_id', 'retry_after_ms'],
  properties: {
    status: { type: 'string', enum: Object.keys(ASKED), description: askedText },
    user_id: { type: 'string' },
    retry_after_ms: { type: 'integer', description: 'asking earlier gives no more' },
  },
};

export const FUSE_REQUEST = {
  $id: 'FuseRequest',
  type: 'object',
  required: ['user_id', 'size', 'candidates'],
  properties: {
    user_id: id('opaque'),
    request_id: { type: 'string', maxLength: LONGEST_ID, description: 'given back' },
    arm,
    size: { type: 'integer', minimum: 1, maximum: MOST_ROWS, description: 'rows wanted' },
    candidates: {
      type: 'array',
      maxItems: MOST_ITEMS,
      description: 'of the personalised channel, in the order of its ranking',
      items: {
        type: 'object',
        required: ['item_id', 'score'],
        properties: {
          item_id: id('opaque'),
          score: { type: 'number', description: 'on any scale' },
          category_id: { type: ['string', 'null'], maxLength: LONGEST_ID },
        },
      },
    },
  },
};

export const FUSE_ANSWER = {
  $id: 'FusedList',
  type: 'object',
  required: ['user_id', 'arm', 'weight', 'serendipity', 'items'],
  properties: {
    user_id: { type: 'string' },
    request_id: { type: 'string' },
    arm: { type: 'string', description: 'whose rule was used; `default` where the one asked for has none' },
    weight: { type: 'number' },
    serendipity: {
      type: 'object',
      required: ['status', 'available', 'inserted'],
      properties: {
        status: {
          type: 'string',
          enum: ['ready', 'off', ...Object.keys(ASKED)],
          description: `ready: there were valid candidates; off: the weight is 0; ${askedText}`,
        },
        available: { type: 'integer', description: 'valid candidates' },
        inserted: { type: 'integer' },
        request_id: { type: 'string', description: 'of the generation that they come from' },
        asked_at: time('the visit that asked'),
        expires_at: time('they are not used from here on'),
        age_ms: { type: 'integer' },
      },
    },
    items: {
      type: 'array',
      items: {
        type: 'object',
        required: ['item_id', 'position', 'source', 'score', 'calibrated_score', 'why'],
        properties: {
          item_id: { type: 'string' },
          position: { type: 'integer', description: 'from 1' },
          source: { type: 'string', enum: ['personalised', 'serendipity'] },
          score: { type: 'number', description: "of its own channel's ranking" },
          calibrated_score: { type: 'number', description: 'on the scale of the personalised scores' },
          why: {
            type: 'string',
            enum: ['personalised', 'score', 'guaranteed'],
            description: 'guaranteed: brought forward, so that enough candidates are seen',
          },
          category_id: nullable('string'),
          ...LED_BY,
        },
      },
    },
  },
};

const json = (schema: { $id: string }, description: string) => ({
  description,
  content: { 'application/json': { schema: { $ref: `${schema.$id}#` } } },
});
const errors = {
  '4xx': json(ERROR, 'the request cannot be answered'),
  '5xx': json(ERROR, 'the server cannot answer'),
};

export const GET_CANDIDATES = {
  summary: "A user's serendipity candidates",
  description: 'Answers at once. Whether a user exists is not to be learned from it.',
  operationId: 'getCandidates',
  params: { type: 'object', required: ['id'], properties: { id: id("the user's id, percent-encoded") } },
  querystring: { type: 'object', properties: { arm } },
  response: {
    200: json(CANDIDATES_ANSWER, 'valid candidates'),
    202: json(TRIGGERED_ANSWER, 'there are none that are valid'),
    ...errors,
  },
};

export const POST_FUSE = {
  summary: "One ranked list of personalised items and the user's serendipity candidates",
  description: 'Without valid candidates it is the personalised list. Unknown fields are ignored.',
  operationId: 'fuse',
  body: { $ref: 'FuseRequest#' },
  response: { 200: json(FUSE_ANSWER, 'the list'), ...errors },
};

export const SHARED = [ERROR, CANDIDATES_ANSWER, TRIGGERED_ANSWER, FUSE_REQUEST, FUSE_ANSWER];
