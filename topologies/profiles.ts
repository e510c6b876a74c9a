import { askingCodec, cutOffOf } from '../src/profile/asking.ts';
import { PROFILES_DEFAULTS, type ProfilesOptions } from '../src/profile/options.ts';
import { poolCodec } from '../src/profile/pool.ts';
import { ProductReader, type Product } from '../src/profile/products.ts';
import { Profiler } from '../src/profile/profiler.ts';
import { recentCodec } from '../src/profile/recent.ts';
import { checkAnswer, type ProfileProposals } from '../src/profile/records.ts';
import { staticProfile } from '../src/profile/static-profile.ts';
import { budgetCodec, pieceCodec } from '../src/stream/waiting.ts';
import { checkEvent, type BehaviorEvent } from '../src/shop/behaviour.ts';
import type { CatalogItem } from '../src/shop/catalog.ts';
import { checkErasure, type ErasureRequest, type UserAttributes } from '../src/shop/users.ts';
import { Topology } from '../src/stream/topology.ts';

/**
 * Cognitive profiles (paper, Section 4.2): a user's tags, proposed by a model and approved by what the user did.
 *
 *   refresh   on a visit, 15 days after the last one, at the turn of the user's bucket, within the budget of a minute
 *   propose   a worker answers the request; it may be slow, wrong or lying, and nothing here waits for it
 *   approve   historical prior (the user's tag pool) and behavioural posterior (searches, clicks, purchases); the best K
 *   keep      the tags given last, their standing, and from them the long-term profile: frequent, regular, borne out
 *
 *   behavior.events ──┐           ┌──► profile.refresh-requests ──► (worker)
 *   profile.proposals ┼─► profile ┼──► profile.short-term                │
 *   erasure.requests ─┘           └──► profile.long-term                 │
 *          ▲     catalog.items, users ─ (tables)                         │
 *          └─────────────────────────────────────────────────────────────┘
 */
export function profilesTopology(options: ProfilesOptions = PROFILES_DEFAULTS): Topology {
  const reader = new ProductReader(options.embedder);
  return new Topology('profiles')
    .source<BehaviorEvent>({
      name: 'events',
      topic: 'behavior.events',
      schema: 'BehaviorEvent',
      lazy: true,
      time: (event) => event.event_time,
      check: (event, key, now) => checkEvent(event, key, now, options.futureTolerance),
    })
    .source<ProfileProposals>({
      name: 'proposals',
      topic: 'profile.proposals',
      schema: 'ProfileProposals',
      // of no time in the log of behaviour: it is taken as soon as it comes, and moves no timers
      time: () => 0,
      check: checkAnswer,
    })
    .source<ErasureRequest>({
      name: 'erasures',
      topic: 'erasure.requests',
      schema: 'ErasureRequest',
      time: () => 0,
      check: checkErasure,
    })
    .table<CatalogItem, Product>({
      name: 'catalog',
      topic: 'catalog.items',
      schema: 'CatalogItem',
      project: (item) => reader.read(item),
    })
    .table<UserAttributes, string>({
      name: 'users',
      topic: 'users',
      schema: 'UserAttributes',
      project: ({ attributes }) => staticProfile(options.staticProfile, attributes) ?? undefined,
    })
    .store({ name: 'asking', codec: askingCodec, owner: { erasure: cutOffOf } })
    .store({ name: 'recent', codec: recentCodec, ttlMs: 2 * options.window })
    .store({ name: 'pool', codec: poolCodec })
    .store({ name: 'budget', codec: budgetCodec, owner: { has: () => false } })
    .store({
      name: 'waiting',
      codec: pieceCodec,
      owner: { has: (user, _piece, users) => users()?.includes(user) === true },
    })
    .processor({
      name: 'profile',
      from: ['events', 'proposals', 'erasures'],
      stores: ['asking', 'recent', 'pool', 'budget', 'waiting'],
      tables: ['catalog', 'users'],
      create: (context) => new Profiler(context, options, reader),
    })
    .sink({ name: 'requests', from: ['profile'], topic: 'profile.refresh-requests', schema: 'ProfileRequest' })
    .sink({
      name: 'short-term',
      from: ['profile'],
      topic: 'profile.short-term',
      schema: 'ShortTermProfile',
      compact: true,
    })
    .sink({
      name: 'long-term',
      from: ['profile'],
      topic: 'profile.long-term',
      schema: 'LongTermProfile',
      compact: true,
    });
}
