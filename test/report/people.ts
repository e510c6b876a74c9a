/** Made-up users who differ as real ones do: few have most of the exposures, and tastes are the user's own. */
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { Population } from '../../src/report/population.ts';
import type { UserDay } from '../../src/serendipity/records.ts';

export type Random = () => number;

export function randomOf(seed: number): Random {
  const generator = xoroshiro128plus(seed);
  return () => (generator.next() >>> 0) / 2 ** 32;
}

const normal = (random: Random): number => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());

const draws = (n: number, p: number, random: Random): number => {
  let hits = 0;
  for (let i = 0; i < n; i++) if (random() < p) hits++;
  return hits;
};

export const day = (user: string, more: Partial<UserDay> = {}): UserDay => ({
  user_id: user,
  day: '2026-01-01',
  arm: null,
  revision: 0,
  events: 1,
  exposures: 0,
  s_exposures: 0,
  clicks: 0,
  s_clicks: 0,
  purchases: 0,
  s_purchases: 0,
  ...more,
});

/** Days of one user: `more` clicks on serendipitous items for each, as a treatment that works would have it. */
export function person(user: string, random: Random, more = 0): UserDay[] {
  const liking = 1 / (1 + Math.exp(-(normal(random) - 1.5)));
  const novelty = 1 / (1 + Math.exp(-normal(random)));
  const days = 1 + Math.floor(random() * 4);
  return Array.from({ length: days }, (_, i) => {
    const exposures = Math.ceil(Math.exp(3.5 + 0.8 * normal(random)));
    const s_exposures = draws(exposures, novelty, random);
    const s_clicks = draws(s_exposures, Math.min(liking * (1 + more), 1), random);
    const clicks = s_clicks + draws(exposures - s_exposures, liking, random);
    const s_purchases = draws(s_clicks, 0.2, random);
    const purchases = s_purchases + draws(clicks - s_clicks, 0.2, random);
    return day(user, {
      day: `2026-01-0${i + 1}`,
      events: 1 + clicks,
      exposures,
      s_exposures,
      clicks,
      s_clicks,
      purchases,
      s_purchases,
    });
  });
}

export const inArm = (rows: readonly UserDay[], arm: string | null): UserDay[] => rows.map((row) => ({ ...row, arm }));

export function populationOf(
  users: Iterable<readonly UserDay[]>,
  bootstrap?: ConstructorParameters<typeof Population>[2],
) {
  const population = new Population('2026-01-01', '2026-12-31', bootstrap);
  for (const rows of users) population.add(rows);
  return population;
}
