import type { Table } from '../stream/topology.ts';
import { idOf, type Pending } from './asking.ts';
import type { Mined } from './long-term.ts';
import type { ProfilesOptions } from './options.ts';
import type { Product } from './products.ts';
import type { Recent } from './recent.ts';
import type { ProfileRequest } from './records.ts';

/** All that a worker needs to answer: it has no state of its own. */
export function requestOf(
  user: string,
  pending: Pending,
  profile: string | null,
  { recent, candidates }: { recent: Recent; candidates: readonly Mined[] },
  catalog: Table<Product>,
  options: ProfilesOptions,
): ProfileRequest {
  const { kind, askedAt, attempt, expiresAt } = pending;
  const counts = (time: number) => time > askedAt - options.window && time <= askedAt;
  const shortTerm = kind === 'short_term';
  const { searches, products } = recent.within(askedAt - options.window, askedAt, options);
  return {
    request_id: idOf(user, pending),
    user_id: user,
    kind,
    asked_at: askedAt,
    attempt,
    expires_at: expiresAt,
    prompt_version: shortTerm ? options.promptVersion : options.longTermPromptVersion,
    number_of_tags: options.numberOfTags,
    tag_length: options.tagLength,
    static_profile: profile,
    searches: searches.map(({ time, query }) => ({ time, query })),
    purchases: products.flatMap(({ item, title, category, brand, purchases }) => {
      const times = purchases.filter(counts);
      const product = catalog.get(item);
      const known = product?.title ?? title;
      if (times.length === 0 || known === null) return [];
      return [
        {
          time: times.at(-1)!,
          title: known,
          category: product?.category.label ?? category,
          brand: product?.brand ?? brand,
          times: times.length,
        },
      ];
    }),
    candidates: candidates.map(({ tag, frequency, regularity, effectiveness }) => ({
      tag: tag.tag,
      group: tag.group,
      frequency,
      regularity,
      effectiveness,
    })),
  };
}
