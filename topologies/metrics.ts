import {
  cutOffCodec,
  Differences,
  daysCodec,
  REFRESH,
  seenCodec,
  isIndexOf,
  isRowOf,
  cutOffOf,
  type DifferencesOptions,
} from '../src/serendipity/differences.ts';
import { Totals, totalsCodec } from '../src/serendipity/metrics.ts';
import { checkErasure, type ErasureRequest } from '../src/shop/users.ts';
import { Topology } from '../src/stream/topology.ts';

/**
 * Serendipity metrics of each day and arm (paper, Section 5.1.3), from the absolute counts that the labels job gives of
 * each user, day and arm: the difference to the last revision seen goes to the partition of its day and arm, where the
 * differences are added up. Of an erased user the sums stay, in which nobody is, and all that is kept by user goes.
 *
 *   serendipity.user-days ─┬─► differences ──► deltas (internal, by day and arm) ──► totals ──► metrics.daily
 *   erasure.requests ──────┘
 */
export interface MetricsOptions extends DifferencesOptions {
  /** ms after which a user's day can no longer be revised and is forgotten: not less than the labels' userTtl */
  userTtl: number;
}

export const METRICS_DEFAULTS: MetricsOptions = { userTtl: 400 * 86_400_000, timeZone: 'UTC' };

export function metricsTopology(options: MetricsOptions = METRICS_DEFAULTS): Topology {
  return new Topology('metrics')
    .source({ name: 'user-days', topic: 'serendipity.user-days', schema: 'UserDay' })
    .source<ErasureRequest>({
      name: 'erasures',
      topic: 'erasure.requests',
      schema: 'ErasureRequest',
      time: () => 0,
      check: checkErasure,
    })
    .source({ name: 'deltas-in', topic: 'deltas', schema: 'MetricsDelta', internal: true })
    .store({ name: 'seen', codec: seenCodec, ttlMs: options.userTtl, owner: { has: isRowOf } })
    .store({ name: 'days', codec: daysCodec, ttlMs: options.userTtl + REFRESH, owner: { has: isIndexOf } })
    .store({ name: 'erased', codec: cutOffCodec, owner: { erasure: cutOffOf } })
    .store({ name: 'totals', codec: totalsCodec, owner: { has: () => false } })
    .processor({
      name: 'differences',
      from: ['user-days', 'erasures'],
      stores: ['seen', 'days', 'erased'],
      create: (context) => new Differences(context, options),
    })
    .processor({ name: 'totals', from: ['deltas-in'], stores: ['totals'], create: (context) => new Totals(context) })
    .sink({ name: 'deltas', from: ['differences'], topic: 'deltas', schema: 'MetricsDelta', internal: true })
    .sink({ name: 'daily', from: ['totals'], topic: 'metrics.daily', schema: 'MetricsDay', compact: true });
}
