import { Differences, seenCodec, Totals, totalsCodec } from '../src/serendipity/metrics.ts';
import { Topology } from '../src/stream/topology.ts';

/**
 * Serendipity metrics of each day and arm (paper, Section 5.1.3), from the absolute counts that the labels job gives of
 * each user, day and arm: the difference to the last revision seen goes to the partition of its day and arm, where the
 * differences are added up.
 *
 *   serendipity.user-days ──► differences ──► deltas (internal, by day and arm) ──► totals ──► metrics.daily
 */
export interface MetricsOptions {
  /** ms after which a user's day can no longer be revised and is forgotten: not less than the labels' userTtl */
  userTtl: number;
}

export function metricsTopology(options: MetricsOptions = { userTtl: 400 * 86_400_000 }): Topology {
  return new Topology('metrics')
    .source({ name: 'user-days', topic: 'serendipity.user-days', schema: 'UserDay' })
    .source({ name: 'deltas-in', topic: 'deltas', schema: 'MetricsDelta', internal: true })
    .store({ name: 'seen', codec: seenCodec, ttlMs: options.userTtl })
    .store({ name: 'totals', codec: totalsCodec })
    .processor({
      name: 'differences',
      from: ['user-days'],
      stores: ['seen'],
      create: (context) => new Differences(context),
    })
    .processor({ name: 'totals', from: ['deltas-in'], stores: ['totals'], create: (context) => new Totals(context) })
    .sink({ name: 'deltas', from: ['differences'], topic: 'deltas', schema: 'MetricsDelta', internal: true })
    .sink({ name: 'daily', from: ['totals'], topic: 'metrics.daily', schema: 'MetricsDay', compact: true });
}
