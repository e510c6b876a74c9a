import { idOf, type Pending } from './asking.ts';
import type { History } from './history.ts';
import type { RegenerationOptions } from './options.ts';
import type { RegenerationRequest } from './records.ts';
import { channelTags, type UserTags } from './user-tags.ts';

/** All that a worker needs to answer: it has no state of its own. */
export function requestOf(
  user: string,
  pending: Pending,
  { profile, tags, history }: { profile: string | null; tags: UserTags; history: History },
  options: Pick<RegenerationOptions, 'history' | 'samples' | 'queries' | 'promptVersion'>,
): RegenerationRequest {
  const { round, attempt, askedAt, expiresAt, validUntil, reason } = pending;
  return {
    request_id: idOf(user, pending),
    user_id: user,
    round,
    attempt,
    asked_at: askedAt,
    expires_at: expiresAt,
    valid_until: validUntil,
    reason,
    prompt_version: options.promptVersion,
    samples: options.samples,
    queries: options.queries,
    static_profile: profile,
    tags: channelTags(tags),
    history: history.upTo(askedAt, options.history),
  };
}
