import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InferenceError } from '../../../src/errors.ts';
import { NgramEmbedder } from '../../../src/inference/ngram-embedder.ts';
import { lengthOf, meaningOf } from '../../../src/inference/words.ts';
import { parseAnswer, readAnswer, settle } from '../../../src/profile/worker/parse-answer.ts';

const bounds = { numberOfTags: 5, tagLength: 16 };
const entry = (tag: unknown, more: object = {}) => ({ behaviours: ['b'], inference: 'because', tag, ...more });
const answer = (groups: Record<string, unknown>) => JSON.stringify(groups);
const good = answer({ 'Product categories': [entry('dog food')], 'Usage scenarios': [entry('camping')] });
const tagsOf = (text: string) => parseAnswer(text, bounds).proposals.map(({ tag }) => tag);
const droppedOf = (text: string) => parseAnswer(text, bounds).dropped;

describe('an answer in good order', () => {
  it('gives its tags with group, reason and behaviours', () => {
    expect(parseAnswer(good, bounds)).toEqual({
      outcome: 'proposed',
      proposals: [
        { tag: 'dog food', group: 'category', reason: 'because', behaviours: ['b'] },
        { tag: 'camping', group: 'scenario', reason: 'because', behaviours: ['b'] },
      ],
      dropped: {},
    });
  });

  it.each([
    ['Product categories', 'category'],
    ['product_categories', 'category'],
    ['CATEGORY', 'category'],
    ['Preferred Product Categories', 'category'],
    ['brand', 'brand'],
    ['Preferred Brands or IPs', 'brand'],
    ['attributes', 'attribute'],
    ['Inferred Interests or Hobbies', 'interest'],
    ['scenario', 'scenario'],
    [' Usage  Scenarios ', 'scenario'],
  ])('knows the group %j', (name, group) => {
    expect(parseAnswer(answer({ [name]: [entry('camping')] }), bounds).proposals).toMatchObject([{ group }]);
  });
});

describe('an answer that is not quite JSON', () => {
  it.each([
    ['fences', '```json\n' + good + '\n```', { code_fence: 1 }],
    ['fences without a name', '```\n' + good + '\n```', { code_fence: 1 }],
    ['an introduction', `Here you are:\n${good}`, { text_around: 1 }],
    ['an explanation', `${good}\nI hope this {helps}!`, { text_around: 1 }],
    ['both and fences', 'Sure!\n```json\n' + good + '\n```\nDone.', { code_fence: 1, text_around: 1 }],
    ['thoughts', `<think>maybe {"brand": [{"tag": "acme"}]}</think>${good}`, { text_around: 1 }],
    ['braces before it', `The {set} of tags {"a": 1} is ${good}`, { text_around: 1 }],
    ['fences that never end', '```json\n' + good, { code_fence: 1 }],
  ])('is read through %s', (_, text, dropped) => {
    expect(tagsOf(text)).toEqual(['dog food', 'camping']);
    expect(droppedOf(text)).toEqual(dropped);
  });

  it('keeps the tags that were whole before a cut, wherever it is cut', () => {
    const whole = answer({
      category: [entry('dog food'), entry('cat "food"')],
      interest: [entry('a } in [ it'), entry('camping')],
    });
    const all = ['dog food', 'cat "food"', 'a } in [ it', 'camping'];
    for (let end = 1; end < whole.length; end++) {
      let tags: string[] = [];
      try {
        tags = tagsOf(whole.slice(0, end));
        expect(droppedOf(whole.slice(0, end))).toEqual({ cut_off: 1 });
      } catch (error) {
        expect(error).toMatchObject({ code: 'BAD_ANSWER' });
      }
      expect(all.slice(0, tags.length)).toEqual(tags);
      if (end > whole.indexOf('"cat ')) expect(tags.length).toBeGreaterThan(0);
    }
  });
});

describe('an answer that says nothing', () => {
  it.each(['NA', 'NA.', 'na', '"NA"', "'n/a'", '```\nNA\n```', ' NA \n', '**NA**', 'NA. There is too little.', 'N/A'])(
    'is not enough: %j',
    (text) => expect(parseAnswer(text, bounds)).toMatchObject({ outcome: 'not_enough', proposals: [] }),
  );

  it('is not enough when every group is empty or NA', () => {
    expect(parseAnswer(answer({ category: [], brand: 'NA', interest: [] }), bounds)).toEqual({
      outcome: 'not_enough',
      proposals: [],
      dropped: {},
    });
  });

  it.each([
    '',
    'I cannot do that.',
    'Nature lovers: tents',
    '[]',
    '{}',
    '{"tags": ["a"]}',
    '{"category": [',
    'null',
    '{{{{',
  ])('is bad where it is neither JSON of tags nor NA: %j', (text) =>
    expect(() => parseAnswer(text, bounds)).toThrow(expect.objectContaining({ code: 'BAD_ANSWER' })),
  );
});

describe('what an answer holds that is no tag', () => {
  it.each([
    ['unknown_group', { category: [entry('ok')], Colours: [entry('red')] }, ['ok']],
    ['no_list', { category: [entry('ok')], brand: { tag: 'acme' } }, ['ok']],
    ['no_tag', { category: ['words', entry('ok')] }, ['ok']],
    ['no_tag', { category: [entry(7), entry('ok')] }, ['ok']],
    ['no_tag', { category: [{ inference: 'x' }, entry('ok')] }, ['ok']],
    ['no_tag', { category: [null, entry('ok')] }, ['ok']],
    ['empty_tag', { category: [entry('  '), entry('ok')] }, ['ok']],
    ['empty_tag', { category: [entry('—!'), entry('ok')] }, ['ok']],
    ['empty_tag', { category: [entry('NA'), entry('ok')] }, ['ok']],
    ['long_tag', { category: [entry('seventeen letters'), entry('sixteen letters.')] }, ['sixteen letters.']],
    ['duplicate', { category: [entry('Snack Crackers')], interest: [entry('snack cracker')] }, ['Snack Crackers']],
    ['duplicate', { category: [entry('電腦')], interest: [entry('电脑')] }, ['電腦']],
  ])('is dropped as %s: %j', (rule, groups, tags) => {
    expect(tagsOf(answer(groups))).toEqual(tags);
    expect(droppedOf(answer(groups))).toEqual({ [rule]: 1 });
  });

  it('is cut at the number of tags', () => {
    const text = answer({ category: Array.from({ length: 9 }, (_, i) => entry(`tag ${i}`)) });
    expect(tagsOf(text)).toHaveLength(5);
    expect(droppedOf(text)).toEqual({ too_many: 4 });
  });

  it('counts a character of two code units as one', () => {
    expect(tagsOf(answer({ category: [entry('🏕'.repeat(8) + ' tents')] }))).toHaveLength(1);
  });

  it('is told by its vector too, where there is an embedder', async () => {
    const { proposals, dropped } = readAnswer(
      answer({ category: [entry('frozen veggies'), entry('frozen veggiez'), entry('tents')] }),
      16,
    );
    const vectors = await new NgramEmbedder().embed(proposals.map(({ tag }) => tag));
    const kept = settle(proposals, vectors, bounds, 0.5, dropped);
    expect(kept.map(({ proposal }) => proposal.tag)).toEqual(['frozen veggies', 'tents']);
    expect(kept[1]!.vector).toBe(vectors[2]);
    expect(dropped).toEqual({ duplicate: 1 });
  });
});

describe('an answer made to harm', () => {
  it('is not fooled by __proto__', () => {
    const text = `{"__proto__": {"category": []}, "category": [{"__proto__": {"tag": "evil"}}, {"tag": "ok"}]}`;
    expect(tagsOf(text)).toEqual(['ok']);
    expect(({} as any).tag).toBeUndefined();
  });

  it('may be nested deeply, and is refused at once', () => {
    const deep = '{"category":'.repeat(20_000) + '['.repeat(20_000);
    const begun = performance.now();
    expect(() => parseAnswer(deep, bounds)).toThrow(expect.objectContaining({ code: 'BAD_ANSWER' }));
    expect(performance.now() - begun).toBeLessThan(1000);
  });

  it('may be a huge list', () => {
    const text = answer({ category: Array.from({ length: 100_000 }, (_, i) => entry(`t${i}`)) });
    expect(tagsOf(text)).toHaveLength(5);
    expect(droppedOf(text).too_many).toBe(99_995);
  });
});

it('never throws anything but BAD_ANSWER, and never gives a tag beyond the bounds', () => {
  const groupNames = fc.constantFrom('category', 'Brands and characters', 'scenario', 'other', '__proto__');
  const entries = fc.oneof(
    fc.record({ tag: fc.oneof(fc.string({ unit: 'binary' }), fc.string(), fc.jsonValue()), inference: fc.jsonValue() }),
    fc.jsonValue(),
  );
  const shaped = fc
    .array(fc.tuple(groupNames, fc.oneof(fc.array(entries, { maxLength: 12 }), fc.jsonValue())))
    .map((pairs) => JSON.stringify(Object.fromEntries(pairs)));
  const mangled = fc
    .tuple(
      fc.string({ maxLength: 10 }),
      fc.oneof(shaped, fc.json(), fc.string()),
      fc.nat(400),
      fc.constantFrom('', '```', '}'),
    )
    .map(([before, text, keep, after]) => before + text.slice(0, keep) + after);
  fc.assert(
    fc.property(
      fc.oneof(shaped, mangled),
      fc.integer({ min: 1, max: 8 }),
      fc.integer({ min: 1, max: 20 }),
      (text, n, length) => {
        try {
          const { outcome, proposals } = parseAnswer(text, { numberOfTags: n, tagLength: length });
          expect(proposals.length).toBeLessThanOrEqual(n);
          for (const { tag } of proposals) {
            expect(lengthOf(tag)).toBeLessThanOrEqual(length);
            expect(meaningOf(tag)).not.toBe('');
            expect(tag).toBe(tag.trim());
          }
          expect(new Set(proposals.map(({ tag }) => meaningOf(tag))).size).toBe(proposals.length);
          if (outcome === 'not_enough') expect(proposals).toEqual([]);
        } catch (error) {
          if (!(error instanceof InferenceError) || error.code !== 'BAD_ANSWER') throw error;
        }
      },
    ),
    { numRuns: 2000 },
  );
});
