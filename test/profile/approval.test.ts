import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { meaningOf } from '../../src/inference/words.ts';
import { approve, remember, type ApprovalInput } from '../../src/profile/approval.ts';
import { Pool, poolCodec, strengthOf } from '../../src/profile/pool.ts';
import type { TagProposal } from '../../src/profile/records.ts';
import { behaviourOf, DAY, embedder, options, proposal, type Did } from './given.ts';

const AT = 28 * DAY;
const CAMPER: Did[] = [
  { search: 'head lamp', at: 20 * DAY },
  { buy: 'tent', at: 21 * DAY },
  { click: 'stove', at: 22 * DAY },
  { buy: 'kibble', at: 27 * DAY },
];

const input = (tags: (string | TagProposal)[], more: Partial<ApprovalInput> = {}): ApprovalInput => ({
  proposals: tags.map((tag) => (typeof tag === 'string' ? proposal(tag) : tag)),
  embedder: embedder.name,
  pool: new Pool(),
  behaviour: behaviourOf(CAMPER),
  at: AT,
  tagLength: 16,
  options,
  ...more,
});
const codes = (made: ReturnType<typeof approve>) =>
  Object.fromEntries(made.refused.map(({ tag, code }) => [tag, code]));

describe('approval', () => {
  test('takes what the user did, and refuses what the user did not, with the reason', () => {
    const made = approve(input(['Tents', 'cat food', 'head lamps', 'golf clubs', 'stoves']));
    expect(made.tags.map(({ tag }) => tag).sort()).toEqual(['Tents', 'cat food', 'head lamps']);
    expect(codes(made)).toEqual({ 'golf clubs': 'NO_EVIDENCE', stoves: 'WEAK_EVIDENCE' });
    expect(made.refused.find(({ tag }) => tag === 'stoves')!.why).toBe('what bears it out says 35 %, of 50 % needed');
  });

  test('puts the better borne out and the more recent first', () => {
    const made = approve(input(['tents', 'cat food', 'camping']));
    // camping: the tent and the stove; cat food: newer than the tent
    expect(made.tags.map(({ tag }) => tag)).toEqual(['camping', 'cat food', 'tents']);
    const scores = made.tags.map(({ score }) => score);
    expect([...scores].sort((a, b) => b - a)).toEqual(scores);
  });

  test('gives the best K, and says of the others that they were credible', () => {
    const made = approve(input(['tents', 'cat food', 'camping'], { options: { ...options, profileTags: 1 } }));
    expect(made.tags.map(({ tag }) => tag)).toEqual(['camping']);
    expect(made.belowTop.map(({ tag }) => tag)).toEqual(['cat food', 'tents']);
  });

  test('folds what means the same', () => {
    const made = approve(input(['tents', 'TENT', 'Ｔent', '  tents ']));
    expect(made.tags).toHaveLength(1);
    expect(made.refused.map(({ code }) => code)).toEqual(['DUPLICATE', 'DUPLICATE', 'DUPLICATE']);
  });

  test.each([
    ['', 'an empty one'],
    ['a tag of far too many characters', 'one that is too long'],
    ['tent<script>', 'markup'],
    ['http://tent.co', 'an address'],
    ['tent\u202etnet', 'a change of direction'],
    ['te\u200bnt', 'a character that is not seen'],
    ['{{tents}}', 'a template'],
    ['---', 'no words'],
    ['12', 'a number'],
    ['tents 🎰', 'a picture'],
    ['tents $$', 'currency'],
    ['tents!!', 'punctuation for show'],
    ['tent.co', 'a host name'],
    ['&#116;ent', 'an entity'],
    ['t\u0435nt', 'letters of two scripts that look alike'],
    ['tent\u0300\u0301\u0302', 'marks piled up'],
    ['tent\u3164', 'a filler'],
  ])('takes %j for no tag: %s', (tag) => {
    expect(Object.values(codes(approve(input([tag]))))).toEqual(['NOT_A_TAG']);
  });

  test('refuses a name that fits nearly all that the user touches', () => {
    const many = Array.from({ length: 9 }, (_, n) => `i${n}`);
    const items = many.map((id, n) => ({
      item_id: id,
      title: id,
      category_id: `c${n}`,
      category_path: ['grocery', `leaf${n}`],
      brand_id: null,
      brand_name: null,
      seller_id: null,
      tags: [],
      price: null,
    }));
    const behaviour = behaviourOf(
      many.map((buy, n) => ({ buy, at: n + 1 })),
      { items },
    );
    expect(codes(approve(input(['grocery', 'leaf3'], { behaviour })))).toEqual({ grocery: 'TOO_GENERAL' });
  });
});

describe("an answer's vectors", () => {
  const forged = (tag: string, as: string): TagProposal => ({ ...proposal(as), tag });
  const others = { embedder: 'trained-1', behaviour: behaviourOf(CAMPER, { embedder: 'trained-1' }) };

  test('are not believed where the topology makes its own', () => {
    expect(approve(input(['tents', 'cat food']))).toEqual(
      approve(input([forged('tents', 'golf'), forged('cat food', 'camping')])),
    );
    expect(codes(approve(input([forged('golf clubs', 'tents')])))).toEqual({ 'golf clubs': 'NO_EVIDENCE' });
  });

  test('let no refused tag take the place of a true one', () => {
    const made = approve(input([forged('golf clubs', 'tents'), 'tents'], others));
    expect(made.tags.map(({ tag }) => tag)).toEqual(['tents']);
  });

  test('do not lend a tag that has a standing to another text: what is shown is what is judged', () => {
    const pool = new Pool();
    const first = input(['tents'], { pool, ...others });
    remember(first, approve(first));
    const made = approve(input([forged('cat food', 'tents')], { pool, ...others }));
    expect(made.tags.map(({ tag, evidence }) => [tag, evidence[0]!.text])).toEqual([['tents', 'Alpine 2 person tent']]);
  });
});

describe('the tag pool', () => {
  const given = (pool: Pool, at: number, tags: string[], behaviour = behaviourOf(CAMPER)) => {
    const one = input(tags, { pool, at, behaviour });
    const made = approve(one);
    remember(one, made);
    return made;
  };
  const nothing = behaviourOf([]);

  test('makes a tag of the past credible when nothing recent bears it out, until its standing has decayed', () => {
    const pool = new Pool();
    given(pool, AT, ['tents']);
    const soon = given(pool, AT + 30 * DAY, ['tent'], nothing);
    expect(soon.tags[0]).toMatchObject({ tag: 'tents', posterior: 0, support: 0 });
    expect(soon.tags[0]!.prior).toBeCloseTo(0.24 * 2 ** (-30 / 45));
    const late = given(pool, AT + 90 * DAY, ['tents'], nothing);
    expect(codes(late)).toEqual({ tents: 'NO_EVIDENCE' });
    expect(late.refused[0]!.why).toMatch(/a standing of \d+ % in the pool does not make up for it$/);
  });

  test('is built by approvals and worn down by refusals and by time', () => {
    const pool = new Pool();
    given(pool, AT, ['tents']);
    given(pool, AT, ['tents']);
    const tag = pool.tags.get('tent')!;
    const strong = strengthOf(tag, AT, options);
    expect(strong).toBeCloseTo(0.24 + 0.76 * 0.24);
    expect(strengthOf(tag, AT + options.strengthHalfLife, options)).toBeCloseTo(strong / 2);
    given(pool, AT + 200 * DAY, ['tents'], nothing);
    expect(pool.tags.size).toBe(0);
  });

  test('holds no more than its bound: the weakest leave, and are counted', () => {
    const pool = new Pool();
    const one = input(['tents', 'camping'], { pool, options: { ...options, poolTags: 1 } });
    expect(remember(one, approve(one))).toMatchObject({ crowded: 1 });
    expect([...pool.tags.keys()]).toEqual(['camping']);
  });

  test('forgets the vectors, not the tags, when the embedder is another one', () => {
    const pool = new Pool();
    given(pool, AT, ['tents']);
    const one = input(['tents'], { pool, embedder: 'other-2' });
    expect(remember(one, approve(one))).toMatchObject({ vectors: 1 });
    expect(pool.embedder).toBe('other-2');
    expect(pool.tags.get('tent')!.timesProposed).toBe(2);
  });

  test('knows when a tag was given', () => {
    const pool = new Pool();
    given(pool, AT, ['tents']);
    given(pool, AT + 15 * DAY, ['tents'], behaviourOf(CAMPER, { until: 43 * DAY }));
    expect(pool.tags.get('tent')).toMatchObject({ timesGiven: 2, firstGiven: AT, givenAt: [AT, AT + 15 * DAY] });
  });
});

/** Anything that a model could say. */
const anyTag = fc.oneof(
  fc.constantFrom(
    'tents',
    'Tent',
    'camping',
    'cat food',
    'stoves',
    'golf',
    'enamel',
    'buy gold',
    '',
    '{}',
    'x'.repeat(30),
  ),
  fc.string({ maxLength: 20, unit: 'grapheme' }),
);
const anyDid = fc.record({
  kind: fc.constantFrom('search', 'click', 'buy'),
  what: fc.constantFrom('tent', 'stove', 'kibble', 'novel', 'mug', 'mug2'),
  at: fc.integer({ min: 1, max: AT }),
});

describe('whatever a model says', () => {
  test('each proposal comes back once, and an approved tag is borne out or has a standing', () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(anyTag, { maxLength: 12 }), { minLength: 1, maxLength: 4 }),
        fc.array(anyDid, { maxLength: 10 }),
        (rounds, did) => {
          const dids: Did[] = did.map(({ kind, what, at }) => ({ [kind]: what, at }));
          const pool = new Pool();
          for (const [n, tags] of rounds.entries()) {
            const at = AT + n * 15 * DAY;
            const behaviour = behaviourOf(dids, { from: at - 28 * DAY, until: at });
            const one = input(tags, { pool, at, behaviour });
            const made = approve(one);
            expect(made.tags.length + made.belowTop.length + made.refused.length).toBe(tags.length);
            expect(made.tags.length).toBeLessThanOrEqual(options.profileTags);
            const meanings = made.tags.map(({ meaning }) => meaning);
            expect(new Set(meanings).size).toBe(meanings.length);
            for (const { tag, posterior, prior, score, evidence } of made.tags) {
              expect(posterior >= options.credible || prior >= options.trusted).toBe(true);
              expect(score).toBeGreaterThanOrEqual(0);
              expect(score).toBeLessThanOrEqual(1);
              if (prior === 0) {
                // an oracle of its own: some word of the tag stands in what the user did
                expect(evidence.length).toBeGreaterThan(0);
                expect(meaningOf(tag)).not.toBe('');
              }
            }
            remember(one, made);
            expect(pool.tags.size).toBeLessThanOrEqual(options.poolTags);
            expect(poolCodec.decode(poolCodec.encode(pool))).toEqual(pool);
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  test('the order of equal scores does not hang on the order in which they were said', () => {
    const all = ['tents', 'cat food', 'camping', 'hilla', 'outdoor'];
    fc.assert(
      fc.property(fc.shuffledSubarray(all, { minLength: 5 }), (tags) => {
        const ranked = approve(input(tags)).tags.map(({ tag }) => tag);
        expect(ranked).toEqual(approve(input(all)).tags.map(({ tag }) => tag));
      }),
    );
  });
});
