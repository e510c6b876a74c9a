/** What the demo tells of the serendipity channel: its figures, and one household from behaviour to the fused list. */
import type { Log } from '../log/port.ts';
import type { Serdes } from '../log/serde.ts';
import { CANDIDATES, type Candidate, type UserCandidates } from '../nearline/records.ts';
import { GENERATIONS, RETRIEVED, type Generation, type RetrievedItems } from '../serengpt/records.ts';
import type { BehaviorEvent } from '../shop/behaviour.ts';
import { lastOfEach, readAll } from './read-all.ts';
import { recordsOf } from './records-of.ts';
import { table } from './table.ts';
import { humanCount } from './units.ts';
import { dayOf, plain } from './words.ts';

/** rows of the list that is fused, and of what the personalised channel would show without it */
const SIZE = 10;
const PERSONALISED = 30;
const TEXTS_SHOWN = 6;
const CANDIDATES_SHOWN = 5;

export interface ChannelView {
  log: Log;
  serdes: Serdes;
  titles: ReadonlyMap<string, string>;
  timeZone: string;
  /** of `seral serve` */
  server: string;
}

export async function channelOf(view: ChannelView): Promise<string> {
  const { log, serdes } = view;
  const generations = new Map<string, Generation[]>();
  const retrieved: RetrievedItems[] = [];
  await readAll<Generation>(log, serdes, GENERATIONS, (user, generation) => {
    generations.set(user, [...(generations.get(user) ?? []), generation!]);
  });
  await readAll<RetrievedItems>(log, serdes, RETRIEVED, (_user, answer) => void retrieved.push(answer!));
  const lists = await lastOfEach<UserCandidates>(log, serdes, CANDIDATES);
  const all = [...generations.values()].flat();
  if (all.length === 0) return 'The channel was not asked.\n';
  const mean = (values: readonly number[]): string =>
    (values.reduce((sum, value) => sum + value, 0) / Math.max(values.length, 1)).toFixed(1);
  const figures = table(
    ['the serendipity channel', ''],
    [
      ['generations, each of 30 samples', humanCount(all.length)],
      ['distinct titles of a generation', mean(all.map(({ texts }) => texts.length))],
      ['items found and pre-ranked', mean(retrieved.map(({ items }) => items.length))],
      [
        'candidates of a household, all new to it in category or brand',
        mean([...lists.values()].map(({ candidates }) => candidates.length)),
      ],
    ],
  );
  const shown = [...lists.values()]
    .filter(({ candidates }) => candidates.length > 0)
    .sort((a, b) => b.asked_at - a.asked_at || (a.user_id < b.user_id ? -1 : 1))[0];
  if (shown === undefined) return figures;
  const generation = generations.get(shown.user_id)!.find(({ round }) => round === shown.round)!;
  return [figures, ...(await household(view, shown, generation))].join('\n');
}

async function household(view: ChannelView, list: UserCandidates, generation: Generation): Promise<string[]> {
  const { timeZone, titles } = view;
  const { user_id: user, asked_at } = list;
  const long = generation.tags.filter(({ long_term }) => long_term);
  const short = generation.tags.filter(({ long_term }) => !long_term);
  const quote = (texts: readonly string[]): string => texts.map((text) => `'${plain(text)}'`).join(', ');
  const personalised = await mostBought(view, user, asked_at);
  const fused = await fuse(view, user, personalised);
  return [
    `\nOne household, ${user}, at its visit of ${dayOf(asked_at, timeZone)}, from what it did to what it would be shown:\n`,
    `  likes lately     ${quote(short.slice(0, TEXTS_SHOWN).map(({ tag }) => tag)) || '-'}`,
    `  likes for long   ${quote(long.slice(0, TEXTS_SHOWN).map(({ tag }) => tag)) || '-'}`,
    `  did last         ${quote(generation.history.slice(-TEXTS_SHOWN).map(({ text }) => text))}`,
    `  SerenGPT says    ${quote(generation.texts.slice(0, TEXTS_SHOWN).map(({ text }) => text))}, ...`,
    `                   (${generation.model}, ${generation.texts.length} distinct of ${samplesOf(generation)} samples)`,
    `  candidates       ${list.candidates.length}, such as`,
    ...bestOfCategories(list.candidates, CANDIDATES_SHOWN).map(
      (one) => `    ${title(one, titles)}: ${noveltyOf(one)}, found for '${one.led_by}'`,
    ),
    '\nIts list, fused of what it buys most (the personalised channel here) and of its candidates, by POST /v1/fuse:\n',
    table(
      ['', 'item', 'from', 'score'],
      fused.map((row, i) => [
        String(i + 1),
        plain(titles.get(row.item_id) ?? row.item_id),
        row.source === 'serendipity' ? 'serendipity' : 'personalised',
        row.score.toFixed(2),
      ]),
    ),
  ];
}

const bestOfCategories = (candidates: readonly Candidate[], count: number): Candidate[] =>
  candidates
    .filter(({ category_id: own }, i) => candidates.findIndex(({ category_id }) => category_id === own) === i)
    .slice(0, count);

const title = ({ item_id, title: own }: Candidate, titles: ReadonlyMap<string, string>): string =>
  plain(own ?? titles.get(item_id) ?? item_id);

function noveltyOf({ novel_category, novel_brand, category_id }: Candidate): string {
  if (novel_category) return `new in category '${plain(category_id ?? '')}'`;
  return novel_brand ? 'new in brand' : 'new in seller';
}

const samplesOf = ({ texts, dropped }: Generation): number =>
  [...texts.map(({ times }) => times), ...dropped.map(({ count }) => count)].reduce((sum, n) => sum + n, 0);

/** What a plain recommender has for a household: what it bought most until then. */
async function mostBought(
  { log, serdes }: ChannelView,
  user: string,
  until: number,
): Promise<{ item_id: string; score: number }[]> {
  const counts = new Map<string, number>();
  const { values } = await recordsOf<BehaviorEvent>(log, serdes, 'behavior.events', 'BehaviorEvent', user);
  for (const event of values) {
    if (event?.event_type !== 'purchase' || event.event_time > until) continue;
    for (const { item_id } of event.items) counts.set(item_id, (counts.get(item_id) ?? 0) + 1);
  }
  const most = [...counts].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1)).slice(0, PERSONALISED);
  return most.map(([item_id, count]) => ({ item_id, score: count / (most[0]?.[1] ?? 1) }));
}

interface Row {
  item_id: string;
  source: string;
  score: number;
}

async function fuse(
  { server }: ChannelView,
  user: string,
  candidates: readonly { item_id: string; score: number }[],
): Promise<Row[]> {
  const response = await fetch(`${server}/v1/fuse`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ user_id: user, size: SIZE, candidates }),
  });
  if (!response.ok) throw new Error(`POST /v1/fuse: ${response.status} ${await response.text()}`);
  return ((await response.json()) as { items: Row[] }).items;
}
