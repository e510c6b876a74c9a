import { staticProfile } from '../src/profile/static-profile.ts';
import { askingCodec, cutOffOf } from '../src/serengpt/asking.ts';
import { historyCodec } from '../src/serengpt/history.ts';
import { checkProfile, checkTrigger, timeOfProfile, type GoneProfile } from '../src/serengpt/incoming.ts';
import { REGENERATION_DEFAULTS, type RegenerationOptions } from '../src/serengpt/options.ts';
import {
  checkAsked,
  REGENERATION_REQUESTS,
  RETRIEVED,
  TRIGGERS,
  type ChannelTrigger,
  type RetrievedItems,
} from '../src/serengpt/records.ts';
import { Regenerator, type Named } from '../src/serengpt/regenerator.ts';
import { userTagsCodec } from '../src/serengpt/user-tags.ts';
import type { LongTermProfile, ShortTermProfile } from '../src/profile/records.ts';
import { checkEvent, type BehaviorEvent } from '../src/shop/behaviour.ts';
import type { CatalogItem } from '../src/shop/catalog.ts';
import { checkErasure, type ErasureRequest, type UserAttributes } from '../src/shop/users.ts';
import { Topology } from '../src/stream/topology.ts';
import { budgetCodec, pieceCodec } from '../src/stream/waiting.ts';

/**
 * When SerenGPT is asked about a user (paper, 4.4): at a visit that finds no valid candidates, within the budget of a second,
 * one request of a user at a time; and again where no answer comes.
 *
 *   behavior.events ─────────────┐
 *   profile.short-term, long-term┤
 *   serengpt.triggers ───────────┼─► regenerate ──► serengpt.regeneration-requests ──► (SerenGPT, then retrieval)
 *   serengpt.retrieved ──────────┤        ▲                                                        │
 *   erasure.requests ────────────┘  catalog.items, users ─ (tables)                                │
 *          ▲────────────────────────────────────────────────────────────────────────────────────────┘
 */
export function regenerationTopology(options: RegenerationOptions = REGENERATION_DEFAULTS): Topology {
  const { futureTolerance } = options;
  return new Topology('regeneration')
    .source<BehaviorEvent>({
      name: 'events',
      topic: 'behavior.events',
      schema: 'BehaviorEvent',
      lazy: true,
      time: (event) => event.event_time,
      check: (event, key, now) => checkEvent(event, key, now, futureTolerance),
    })
    .source<ShortTermProfile | GoneProfile>({
      name: 'short-term',
      topic: 'profile.short-term',
      schema: 'ShortTermProfile',
      time: timeOfProfile,
      check: (profile, key, now) => checkProfile(profile, key, now, futureTolerance),
      tombstone: (key) => ({ user_id: key, gone: 'short_term' }),
    })
    .source<LongTermProfile | GoneProfile>({
      name: 'long-term',
      topic: 'profile.long-term',
      schema: 'LongTermProfile',
      time: timeOfProfile,
      check: (profile, key, now) => checkProfile(profile, key, now, futureTolerance),
      tombstone: (key) => ({ user_id: key, gone: 'long_term' }),
    })
    .source<ChannelTrigger>({
      name: 'triggers',
      ...TRIGGERS,
      time: (trigger) => trigger.requested_at,
      check: (trigger, key, now) => checkTrigger(trigger, key, now, futureTolerance),
    })
    .source<RetrievedItems>({
      name: 'retrieved',
      ...RETRIEVED,
      // of no time in the log of behaviour: it is taken as soon as it comes, and moves no timers
      time: () => 0,
      check: checkAsked,
    })
    .source<ErasureRequest>({
      name: 'erasures',
      topic: 'erasure.requests',
      schema: 'ErasureRequest',
      time: () => 0,
      check: checkErasure,
    })
    .table<CatalogItem, Named>({
      name: 'catalog',
      topic: 'catalog.items',
      schema: 'CatalogItem',
      project: ({ title, category_id, brand_id }) =>
        title === null || title.trim() === ''
          ? undefined
          : { title, category: category_id || null, brand: brand_id || null },
    })
    .table<UserAttributes, string>({
      name: 'users',
      topic: 'users',
      schema: 'UserAttributes',
      project: ({ attributes }) => staticProfile(options.staticProfile, attributes) ?? undefined,
    })
    .store({ name: 'asking', codec: askingCodec, owner: { erasure: cutOffOf } })
    .store({ name: 'history', codec: historyCodec })
    .store({ name: 'tags', codec: userTagsCodec })
    .store({ name: 'budget', codec: budgetCodec, owner: { has: () => false } })
    .store({
      name: 'waiting',
      codec: pieceCodec,
      owner: { has: (user, _piece, users) => users()?.includes(user) === true },
    })
    .processor({
      name: 'regenerate',
      from: ['events', 'short-term', 'long-term', 'triggers', 'retrieved', 'erasures'],
      stores: ['asking', 'history', 'tags', 'budget', 'waiting'],
      tables: ['catalog', 'users'],
      create: (context) => new Regenerator(context, options),
    })
    .sink({ name: 'requests', from: ['regenerate'], ...REGENERATION_REQUESTS });
}
