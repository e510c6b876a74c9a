/** What the demo tells: outcomes, months, labels in words, and three households' profiles. */
import type { Log } from '../log/port.ts';
import type { Serdes } from '../log/serde.ts';
import type { LongTermProfile, ShortTermProfile } from '../profile/records.ts';
import type { MetricsDay } from '../serendipity/metrics.ts';
import type { SerendipityLabel } from '../serendipity/records.ts';
import { lastOfEach, readAll } from './read-all.ts';
import { table } from './table.ts';
import { humanCount, humanDuration } from './units.ts';
import { explainLabel } from './words.ts';

export async function summaryOf(
  log: Log,
  serdes: Serdes,
  titles: Map<string, string>,
  timeZone: string,
  ms: number,
): Promise<string> {
  const labels = new Map<string, SerendipityLabel>();
  const from = { topic: 'serendipity.labels', schema: 'SerendipityLabel' };
  await readAll<SerendipityLabel>(log, serdes, from, (_key, label) => void labels.set(label!.label_id, label!));
  const days = await lastOfEach<MetricsDay>(log, serdes, { topic: 'metrics.daily', schema: 'MetricsDay' });
  const held = [...labels.values()].filter(({ withdrawn }) => !withdrawn);
  const users = new Set(held.map(({ user_id }) => user_id)).size;
  return [
    `\n${humanCount(held.length)} clicks of ${users} households labelled, each by what the household had been shown, in ${humanDuration(ms)}.\n`,
    outcomes(held),
    'By month, of what was shown (S-PVR) and of what was clicked, the share that was new in category, brand or seller:\n',
    months([...days.values()]),
    'Some labels, in words:\n',
    examples(held, titles, timeZone)
      .map((text) => `  - ${text}`)
      .join('\n'),
    `\n${await profiles(log, serdes)}`,
  ].join('\n');
}

const share = (part: number, whole: number): string => (whole === 0 ? '-' : `${((100 * part) / whole).toFixed(1)} %`);

function outcomes(labels: readonly SerendipityLabel[]): string {
  const count = (of: (label: SerendipityLabel) => boolean) => labels.filter(of).length;
  const rows: [string, number][] = [
    [
      'serendipitous: a category not shown in the last 10 visit days',
      count((l) => l.serendipitous && l.visit_days >= 10),
    ],
    ['serendipitous, of a household with fewer visit days', count((l) => l.serendipitous && l.visit_days < 10)],
    ['not serendipitous: the category had been shown', count((l) => !l.serendipitous && l.unlabelled === null)],
    ['not labelled: no category is known', count((l) => l.unlabelled !== null)],
  ];
  return table(
    ['outcome', 'clicks', 'share'],
    rows.map(([name, n]) => [name, humanCount(n), share(n, labels.length)]),
  );
}

function months(days: readonly MetricsDay[]): string {
  const sums = new Map<string, { exposures: number; sExposures: number; clicks: number; sClicks: number }>();
  for (const row of days) {
    const month = row.day.slice(0, 7);
    const sum = sums.get(month) ?? { exposures: 0, sExposures: 0, clicks: 0, sClicks: 0 };
    sum.exposures += row.exposures;
    sum.sExposures += row.s_exposures;
    sum.clicks += row.clicks;
    sum.sClicks += row.s_clicks;
    sums.set(month, sum);
  }
  const rows = [...sums]
    .sort()
    .map(([month, sum]) => [
      month,
      humanCount(sum.exposures),
      share(sum.sExposures, sum.exposures),
      humanCount(sum.clicks),
      share(sum.sClicks, sum.clicks),
    ]);
  return table(['month', 'exposures', 'S-PVR', 'clicks', 'of them serendipity-related'], rows);
}

/** One household each: the longest gaps, categories never seen, and one that had been shown a moment before. */
function examples(labels: readonly SerendipityLabel[], titles: Map<string, string>, timeZone: string): string[] {
  const taken = new Set<string>();
  const told: string[] = [];
  const tell = (candidates: SerendipityLabel[], n: number) => {
    for (const label of candidates) {
      if (n === 0) return;
      if (taken.has(label.user_id) || !titles.has(label.item_id)) continue;
      taken.add(label.user_id);
      told.push(explainLabel(label, { title: titles.get(label.item_id), timeZone }));
      n--;
    }
  };
  const gap = (label: SerendipityLabel) => label.click_time - (label.category_last_seen ?? label.click_time);
  const known = labels
    .filter(({ visit_days }) => visit_days >= 10)
    .sort((a, b) => a.click_time - b.click_time || (a.label_id < b.label_id ? -1 : 1));
  const seen = known.filter(({ serendipitous, unlabelled }) => !serendipitous && unlabelled === null);
  tell(
    known.filter(({ serendipitous, user_id }) => serendipitous && user_id === 'h993'),
    1,
  );
  tell(
    known.filter(({ serendipitous }) => serendipitous).filter((_, i) => i % 211 === 0),
    2,
  );
  tell(
    [...seen].sort((a, b) => gap(b) - gap(a)),
    2,
  );
  tell(
    seen.filter(({ novel_brand }) => novel_brand).filter((_, i) => i % 101 === 0),
    1,
  );
  tell(
    labels.filter(({ visit_days, serendipitous }) => serendipitous && visit_days === 1),
    1,
  );
  return told;
}

/** Households that a reader has met among the labels, else the first ones. */
const SHOWN = ['h993', 'h1017', 'h1180'];

async function profiles(log: Log, serdes: Serdes): Promise<string> {
  const shortTerms = await lastOfEach<ShortTermProfile>(log, serdes, {
    topic: 'profile.short-term',
    schema: 'ShortTermProfile',
  });
  const longTerms = await lastOfEach<LongTermProfile>(log, serdes, {
    topic: 'profile.long-term',
    schema: 'LongTermProfile',
  });
  const users = [...new Set([...SHOWN, ...[...shortTerms.keys()].sort()])].filter((user) => shortTerms.has(user));
  const rows = users.slice(0, 3).map((user) => {
    const { refresh, tags, refused } = shortTerms.get(user)!;
    const longTerm = longTerms.get(user)?.tags ?? [];
    return [
      user,
      String(refresh),
      list(tags.map(({ tag }) => tag)),
      list(longTerm.map(({ tag }) => tag)),
      list(refused.map(({ tag, code }) => `${tag} (${code})`)),
    ];
  });
  const by = [...new Set([...shortTerms.values()].map(({ profiler }) => profiler))].join(', ');
  return [
    `Profiles of ${shortTerms.size} households, ${longTerms.size} of them with a long-term one. The tags were proposed by the`,
    `profiler "${by}" (without a model: words of what they bought) and approved by what each household did:\n`,
    table(['household', 'refreshes', 'short-term', 'long-term', 'refused last'], rows),
  ].join('\n');
}

/** As many as a line has room for. */
function list(texts: readonly string[]): string {
  if (texts.length === 0) return '-';
  const more = texts.length > 4 ? `, ${texts.length - 4} more` : '';
  return `${texts.slice(0, 4).join(', ')}${more}`;
}
