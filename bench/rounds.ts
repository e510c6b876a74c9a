import type { RegenerationRequest } from '../src/serengpt/records.ts';

/**
 * Throws where requests are not what they are to be when every one is answered at once and no profile is there: a user's
 * rounds count up from 1, at one attempt each; the next is asked no sooner than the last one's candidates are over; and the
 * topology has taken an answer to each, and refused none.
 */
export function checkRounds(requests: readonly RegenerationRequest[], counts: ReadonlyMap<string, number>): void {
  const last = new Map<string, RegenerationRequest>();
  for (const request of requests) {
    const { user_id: user, round, attempt, asked_at, history } = request;
    const before = last.get(user);
    if (round !== (before?.round ?? 0) + 1 || attempt !== 1)
      throw new Error(`${user}: attempt ${attempt} at round ${round} follows round ${before?.round ?? 0}`);
    if (before !== undefined && asked_at < before.valid_until)
      throw new Error(`${user}: round ${round} is asked while the candidates of the one before are valid`);
    if (history.length === 0) throw new Error(`${user}: round ${round} knows nothing of the user`);
    last.set(user, request);
  }
  const taken = counts.get('regeneration_answers{"outcome":"retrieved"}') ?? 0;
  const dropped = counts.get('regeneration_answers_dropped') ?? 0;
  if (taken !== requests.length || dropped !== 0)
    throw new Error(`of ${requests.length} answers ${taken} were taken and ${dropped} dropped`);
}
