/** Labels and profiles of a folder of data, by the very topologies, and what they were made of. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { replayLabels } from '../src/cli/replay-labels.ts';
import { replayProfiles, type ProfileOutput } from '../src/cli/replay-profiles.ts';
import { NgramEmbedder } from '../src/inference/ngram-embedder.ts';
import { readLines } from '../src/log/ndjson.ts';
import { PROFILES_DEFAULTS } from '../src/profile/options.ts';
import { staticProfile } from '../src/profile/static-profile.ts';
import { answerExtractively } from '../src/profile/worker/answering.ts';
import { CatalogWords } from '../src/profile/worker/catalog-words.ts';
import type { SerendipityLabel } from '../src/serendipity/records.ts';
import { eventFromJson, type BehaviorEvent } from '../src/shop/behaviour.ts';
import { catalogFromJson, type CatalogItem } from '../src/shop/catalog.ts';
import { attributesFromJson } from '../src/shop/users.ts';
import { LABELS_DEFAULTS } from '../topologies/labels.ts';
import type { Profiled } from './examples.ts';

export interface Sources {
  events: string;
  catalog: string;
  users: string;
}

export const sourcesIn = (folder: string): Sources => ({
  events: join(folder, 'events.ndjson.gz'),
  catalog: join(folder, 'catalog.ndjson.gz'),
  users: join(folder, 'users.ndjson'),
});

export interface Replayed {
  items: CatalogItem[];
  catalog: ReadonlyMap<string, CatalogItem>;
  /** clause by user */
  statics: ReadonlyMap<string, string | null>;
  labels: SerendipityLabel[];
  /** of all users, each as it was published */
  profiles: Profiled[];
  events: BehaviorEvent[];
}

const CACHE = 128 << 20;

export async function replayed({ events: input, catalog: catalogFile, users: usersFile }: Sources): Promise<Replayed> {
  const folder = await mkdtemp(join(tmpdir(), 'seral-replayed-'));
  try {
    const labelsFile = join(folder, 'labels.ndjson');
    const none = { metrics: null, refused: null, cacheBytes: CACHE };
    await replayLabels({ input, output: labelsFile, catalog: catalogFile, rules: LABELS_DEFAULTS, ...none });
    const words = new CatalogWords();
    const embedder = new NgramEmbedder();
    const { same } = PROFILES_DEFAULTS.approval;
    const profilesFile = join(folder, 'profiles.ndjson');
    await replayProfiles({
      input,
      output: profilesFile,
      catalog: catalogFile,
      users: usersFile,
      history: true,
      record: null,
      options: PROFILES_DEFAULTS,
      answer: (request) => answerExtractively(request, words, { embedder, same, at: request.asked_at }),
      onItem: (item) => words.add(CatalogWords.row(item)),
      cacheBytes: CACHE,
    });
    const items = await rows(catalogFile, catalogFromJson);
    const users = await rows(usersFile, attributesFromJson);
    return {
      items,
      catalog: new Map(items.map((item) => [item.item_id, item])),
      statics: new Map(
        users.map(({ user_id, attributes }) => [user_id, staticProfile(PROFILES_DEFAULTS.staticProfile, attributes)]),
      ),
      labels: await rows(labelsFile, (json) => json as SerendipityLabel),
      profiles: await rows(profilesFile, (json): Profiled => {
        const { topic, profile } = json as ProfileOutput;
        return { ...profile, long_term: topic === 'profile.long-term' };
      }),
      events: await rows(input, eventFromJson),
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function rows<T>(path: string, read: (json: unknown) => T): Promise<T[]> {
  const all: T[] = [];
  for await (const lines of readLines(path)) all.push(...lines.map(({ value }) => read(value)));
  return all;
}
