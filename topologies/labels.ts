import { itemFacts, type ItemFacts } from '../src/serendipity/records.ts';
import { checkEvent, type BehaviorEvent } from '../src/shop/behaviour.ts';
import type { CatalogItem } from '../src/shop/catalog.ts';
import { checkErasure, type ErasureRequest } from '../src/shop/users.ts';
import { Labeller, type LabellerOptions } from '../src/serendipity/labeller.ts';
import { cutOffOf } from '../src/serendipity/user.ts';
import { windowCodecs } from '../src/serendipity/window-codecs.ts';
import { isDayOf } from '../src/serendipity/windows.ts';
import { Topology } from '../src/stream/topology.ts';

/**
 * Definition 1: a clicked item is serendipitous when its leaf category was not among what the user was validly shown over
 * the last N days with visits, up to and including the day of the exposure.
 *
 *   a visit day    a calendar day (business time zone) on which the user has any event
 *   what counts    viewable exposures that are earlier, of another request, on one of the window's days
 *   which exposure the click's own request's latest within the attribution window, else any request's, else none
 *   the label      one for the first click on an exposure; said again, a revision higher, when a late event changes it
 *
 * `decide` and `attribute` of src/serendipity/definition-1.ts are these lines as code; the labeller keeps a user's recent
 * log in order of time and calls them for whatever an event may have changed.
 *
 *   behavior.events ───► label ──┬──► serendipity.labels
 *   erasure.requests ─┘    │     └──► serendipity.user-days
 *   catalog.items ─ (table)┘
 */
export interface LabelsOptions extends LabellerOptions {
  /** ms that an event may be ahead of the clock */
  futureTolerance: number;
}

export const LABELS_DEFAULTS: LabelsOptions = {
  visitDays: 10,
  today: 'included',
  timeZone: 'UTC',
  attributionWindow: 24 * 3_600_000,
  grace: 10 * 60_000,
  userTtl: 400 * 86_400_000,
  futureTolerance: 5 * 60_000,
};

export function labelsTopology(options: LabelsOptions = LABELS_DEFAULTS): Topology {
  const { dictionary, recentLog, closedDay } = windowCodecs();
  return new Topology('labels')
    .source<BehaviorEvent>({
      name: 'events',
      topic: 'behavior.events',
      schema: 'BehaviorEvent',
      lazy: true,
      time: (event) => event.event_time,
      check: (event, key, now) => checkEvent(event, key, now, options.futureTolerance),
    })
    .source<ErasureRequest>({
      name: 'erasures',
      topic: 'erasure.requests',
      schema: 'ErasureRequest',
      // of no time in the log of behaviour: it is taken as soon as it comes, and moves no timers
      time: () => 0,
      check: checkErasure,
    })
    .table<CatalogItem, ItemFacts>({
      name: 'catalog',
      topic: 'catalog.items',
      schema: 'CatalogItem',
      project: itemFacts,
    })
    .store({ name: 'today', codec: recentLog, owner: { erasure: cutOffOf } })
    .store({ name: 'past', codec: closedDay, owner: { has: isDayOf } })
    .processor({
      name: 'label',
      from: ['events', 'erasures'],
      stores: ['today', 'past'],
      tables: ['catalog'],
      create: (context) => new Labeller(context, options, dictionary),
    })
    .sink({ name: 'labels', from: ['label'], topic: 'serendipity.labels', schema: 'SerendipityLabel' })
    .sink({ name: 'user-days', from: ['label'], topic: 'serendipity.user-days', schema: 'UserDay' });
}
