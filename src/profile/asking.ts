import { Reader, Writer } from '../stream/bytes.ts';
import type { Codec } from '../stream/topology.ts';
import type { VisitDays } from '../shop/visit-days.ts';
import type { ProfileKind } from './records.ts';
import type { Place } from '../stream/waiting.ts';

const VERSION = 1;

/** A request of a user, wherever it is: it waits for the budget, is out, or waits to be tried again. One at a time. */
export interface Pending {
  kind: ProfileKind;
  /** event time up to which the user's behaviour counts */
  askedAt: number;
  attempt: number;
  /** in the line for the budget */
  place: Place | null;
  /** wall clock: it is out, and no answer counts after this */
  expiresAt: number;
  /** wall clock: it is to be tried again then */
  retryAt: number;
}

/**
 * Where a user stands with being asked about.
 *
 *   idle ──visit, 15 days after the last──► due (event timer, the bucket's turn) ──► pending ──answer──► idle
 *                                                                                      │ ▲
 *                                                              deadline, failed answer └─┘ again, then idle for a day
 */
export interface Asking extends VisitDays {
  /** event time up to which the last short-term profile goes; 0: none yet */
  refreshedAt: number;
  /** event time: no visit asks before it */
  notBefore: number;
  /** event time of the due timer; 0: none */
  dueAt: number;
  pending: Pending | null;
  /** event time of the forget timer; 0: none */
  forgetAt: number;
  /** events up to here were erased and do not come back; 0: none were */
  erasedUntil: number;
}

export const newAsking = (): Asking => ({
  newest: 0,
  visits: 0,
  refreshedAt: 0,
  notBefore: 0,
  dueAt: 0,
  pending: null,
  forgetAt: 0,
  erasedUntil: 0,
});

export const newPending = (kind: ProfileKind, askedAt: number): Pending => ({
  kind,
  askedAt,
  attempt: 1,
  place: null,
  expiresAt: 0,
  retryAt: 0,
});

/** The idempotency key of a request, the same at each attempt: an answer to an earlier one is as good. */
export const idOf = (user: string, { kind, askedAt }: Pick<Pending, 'kind' | 'askedAt'>): string =>
  `${user}/${kind}/${askedAt}`;

export const cutOffOf = ({ erasedUntil, newest }: Asking): { until: number; since: boolean } | null =>
  erasedUntil === 0 ? null : { until: erasedUntil, since: newest > 0 };

const writer = new Writer();

export const askingCodec: Codec<Asking> = {
  encode(asking) {
    writer.byte(VERSION);
    writer.uint(asking.newest);
    writer.uint(asking.visits);
    writer.uint(asking.refreshedAt);
    writer.uint(asking.notBefore);
    writer.uint(asking.dueAt);
    writer.uint(asking.forgetAt);
    writer.uint(asking.erasedUntil);
    const { pending } = asking;
    writer.byte(pending === null ? 0 : pending.kind === 'short_term' ? 1 : 2);
    if (pending === null) return writer.take();
    writer.uint(pending.askedAt);
    writer.uint(pending.attempt);
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
      refreshedAt: reader.uint(),
      notBefore: reader.uint(),
      dueAt: reader.uint(),
      forgetAt: reader.uint(),
      erasedUntil: reader.uint(),
      pending: null,
    };
    const kind = reader.byte();
    if (kind === 0) return asking;
    asking.pending = {
      kind: kind === 1 ? 'short_term' : 'long_term',
      askedAt: reader.uint(),
      attempt: reader.uint(),
      expiresAt: reader.uint(),
      retryAt: reader.uint(),
      place: reader.byte() === 0 ? null : { lane: reader.uint(), piece: reader.uint() },
    };
    return asking;
  },
  size: () => 300,
};
