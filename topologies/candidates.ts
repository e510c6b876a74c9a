import { boughtCodec } from '../src/nearline/candidates/bought.ts';
import { CandidateFilter } from '../src/nearline/candidates/filter.ts';
import { keptCodec } from '../src/nearline/candidates/kept.ts';
import { LIST_DEFAULTS, type CandidatesOptions } from '../src/nearline/candidates/options.ts';
import { soldItem, type SoldItem } from '../src/nearline/candidates/rules.ts';
import { CANDIDATES } from '../src/nearline/records.ts';
import { cutOffOf } from '../src/serendipity/user.ts';
import { windowCodecs } from '../src/serendipity/window-codecs.ts';
import { isDayOf } from '../src/serendipity/windows.ts';
import { checkRetrieved, RETRIEVED, type RetrievedItems } from '../src/serengpt/records.ts';
import { checkEvent, type BehaviorEvent } from '../src/shop/behaviour.ts';
import type { CatalogItem } from '../src/shop/catalog.ts';
import { checkErasure, type ErasureRequest } from '../src/shop/users.ts';
import { Topology } from '../src/stream/topology.ts';
import { LABELS_DEFAULTS } from './labels.ts';

/**
 * The serendipity channel's lists (paper, 4.4.1): what was retrieved for a user, less all that the user cannot be surprised
 * with. Each candidate is serendipity-related (5.1.3) by the user's own window, which this topology keeps for itself.
 *
 *   accept   one answer a round: a later round than the last accepted, asked after any erasure, not yet past its time
 *   filter   not bought, not shown, sold, and of a category, brand or seller that is new to the user
 *   follow   what the user sees and buys takes candidates out
 *   expire   at `valid_until`, by event time: a tombstone
 *
 *   behavior.events ───┐
 *   serengpt.retrieved ┼─► filter ──► serengpt.candidates (compacted)
 *   erasure.requests ──┘      ▲
 *   catalog.items ────────────┘ (table)
 */
export const CANDIDATES_DEFAULTS: CandidatesOptions = { ...LABELS_DEFAULTS, ...LIST_DEFAULTS };

export function candidatesTopology(options: CandidatesOptions = CANDIDATES_DEFAULTS): Topology {
  const { dictionary, recentLog, closedDay } = windowCodecs();
  return new Topology('candidates')
    .source<BehaviorEvent>({
      name: 'events',
      topic: 'behavior.events',
      schema: 'BehaviorEvent',
      lazy: true,
      time: (event) => event.event_time,
      check: (event, key, now) => checkEvent(event, key, now, options.futureTolerance),
    })
    .source<RetrievedItems>({
      name: 'retrieved',
      ...RETRIEVED,
      // of no time in the log of behaviour: it is taken as soon as it comes, and moves no timers
      time: () => 0,
      check: checkRetrieved,
    })
    .source<ErasureRequest>({
      name: 'erasures',
      topic: 'erasure.requests',
      schema: 'ErasureRequest',
      time: () => 0,
      check: checkErasure,
    })
    .table<CatalogItem, SoldItem>({
      name: 'catalog',
      topic: 'catalog.items',
      schema: 'CatalogItem',
      project: soldItem,
    })
    .store({ name: 'today', codec: recentLog, owner: { erasure: cutOffOf } })
    .store({ name: 'past', codec: closedDay, owner: { has: isDayOf } })
    .store({ name: 'lists', codec: keptCodec })
    .store({ name: 'bought', codec: boughtCodec, ttlMs: 2 * options.boughtFor })
    .processor({
      name: 'filter',
      from: ['events', 'retrieved', 'erasures'],
      stores: ['today', 'past', 'lists', 'bought'],
      tables: ['catalog'],
      create: (context) => new CandidateFilter(context, options, dictionary),
    })
    .sink({ name: 'candidates', from: ['filter'], ...CANDIDATES, compact: true });
}
