import type { VisitDays } from '../shop/visit-days.ts';
import { Reader, Writer } from '../stream/bytes.ts';
import type { Codec } from '../stream/topology.ts';
import type { Place } from '../stream/waiting.ts';
import type { RegenerationReason } from './records.ts';
import type { Freshness } from './staleness.ts';

const VERSION = 1;
const REASONS: readonly RegenerationReason[] = ['missing', 'expired', 'profile', 'triggered'];

/** The request of a user, wherever it is: it waits for the budget, is out, or waits to be tried again. One at a time. */
export interface Pending {
  round: number;
  /** event time of the visit: behaviour up to here counts */
  askedAt: number;
  /** event time */
  validUntil: number;
  reason: RegenerationReason;
  attempt: number;
  /** number of the profile that went out with it */
  profile: number;
  /** in the line for the budget */
  place: Place | null;
  /** wall clock: it is out, and no answer counts after this */
  expiresAt: number;
  /** wall clock: it is to be tried again then */
  retryAt: number;
}

/**
 * Where a user stands with being generated for.
 *
 *   idle ──a visit, nothing valid there──► pending (in line, out, to be tried again) ──answer──► idle
 *     └──spread > 0──► due (event timer, the bucket's turn) ──► pending ──the last attempt failed──► idle for `retryAfter`
 */
export interface Asking extends VisitDays {
  /** generations asked so far */
  round: number;
  /** event times of the last accepted generation: of its visit, and where it ends; 0: there is none */
  generatedAt: number;
  validUntil: number;
  /** number of the profile that the last accepted generation was made from, and that of the one there is now */
  generatedFrom: number;
  profile: number;
  /** whether there is a tag */
  hasTags: boolean;
  /** behaviours in the history */
  behaviours: number;
  /** event time: no visit asks before it */
  notBefore: number;
  /** event time of the due timer; 0: none */
  dueAt: number;
  /** event time of the newest visit that came when the pending request was too old already; 0: none */
  visitAt: number;
  pending: Pending | null;
  /** event time of the forget timer; 0: none */
  forgetAt: number;
  /** events up to here were erased and do not come back; 0: none were */
  erasedUntil: number;
}

export const newAsking = (): Asking => ({
  newest: 0,
  visits: 0,
  round: 0,
  generatedAt: 0,
  validUntil: 0,
  generatedFrom: 0,
  profile: 0,
  hasTags: false,
  behaviours: 0,
  notBefore: 0,
  dueAt: 0,
  visitAt: 0,
  pending: null,
  forgetAt: 0,
  erasedUntil: 0,
});

export const freshnessOf = ({ generatedAt, validUntil, generatedFrom, profile, notBefore }: Asking): Freshness => ({
  generatedAt,
  validUntil,
  profileChanged: profile !== generatedFrom,
  notBefore,
});

/** The idempotency key of a request, the same at each attempt: an answer to an earlier one is as good. */
export const idOf = (user: string, { round, askedAt }: Pick<Pending, 'round' | 'askedAt'>): string =>
  `${user}/${round}/${askedAt}`;

export const cutOffOf = ({ erasedUntil, newest }: Asking): { until: number; since: boolean } | null =>
  erasedUntil === 0 ? null : { until: erasedUntil, since: newest > 0 };

const writer = new Writer();

export const askingCodec: Codec<Asking> = {
  encode(asking) {
    writer.byte(VERSION);
    writer.uint(asking.newest);
    writer.uint(asking.visits);
    writer.uint(asking.round);
    writer.uint(asking.generatedAt);
    writer.uint(asking.validUntil);
    writer.uint(asking.generatedFrom);
    writer.uint(asking.profile);
    writer.byte(asking.hasTags ? 1 : 0);
    writer.uint(asking.behaviours);
    writer.uint(asking.notBefore);
    writer.uint(asking.dueAt);
    writer.uint(asking.visitAt);
    writer.uint(asking.forgetAt);
    writer.uint(asking.erasedUntil);
    const { pending } = asking;
    writer.byte(pending === null ? 0 : 1);
    if (pending === null) return writer.take();
    writer.uint(pending.round);
    writer.uint(pending.askedAt);
    writer.uint(pending.validUntil);
    writer.byte(REASONS.indexOf(pending.reason));
    writer.uint(pending.attempt);
    writer.uint(pending.profile);
    writer.uint(pending.expiresAt);
    writer.uint(pending.retryAt);
    writer.byte(pending.place === null ? 0 : 1);
    if (pending.place === null) return writer.take();
    writer.uint(pending.place.lane);
    writer.uint(pending.place.piece);
    return writer.take();
  },
  decode(bytes) {
    const reader = new Reader(bytes);
    reader.byte();
    const asking: Asking = {
      newest: reader.uint(),
      visits: reader.uint(),
      round: reader.uint(),
      generatedAt: reader.uint(),
      validUntil: reader.uint(),
      generatedFrom: reader.uint(),
      profile: reader.uint(),
      hasTags: reader.byte() === 1,
      behaviours: reader.uint(),
      notBefore: reader.uint(),
      dueAt: reader.uint(),
      visitAt: reader.uint(),
      forgetAt: reader.uint(),
      erasedUntil: reader.uint(),
      pending: null,
    };
    if (reader.byte() === 0) return asking;
    asking.pending = {
      round: reader.uint(),
      askedAt: reader.uint(),
      validUntil: reader.uint(),
      reason: REASONS[reader.byte()]!,
      attempt: reader.uint(),
      profile: reader.uint(),
      expiresAt: reader.uint(),
      retryAt: reader.uint(),
      place: reader.byte() === 0 ? null : { lane: reader.uint(), piece: reader.uint() },
    };
    return asking;
  },
  size: () => 400,
};
