/** The topologies by name, built from the configuration. */
import { UsageError } from '../errors.ts';
import type { TopicSchema } from '../log/registry/confluent.ts';
import { namesOf } from '../stream/names.ts';
import type { Topology } from '../stream/topology.ts';
import { candidatesTopology } from '../../topologies/candidates.ts';
import { labelsTopology } from '../../topologies/labels.ts';
import { metricsTopology } from '../../topologies/metrics.ts';
import { profilesTopology } from '../../topologies/profiles.ts';
import { regenerationTopology } from '../../topologies/regeneration.ts';
import { closest } from './closest.ts';
import type { Config } from './config.ts';
import { profilesOptions } from './profiles-options.ts';
import { regenerationOptions } from './regeneration-options.ts';
import { workersOf } from './workers.ts';

const builders: Record<string, (config: Config) => Topology> = {
  labels: ({ labels }) => labelsTopology(labels),
  // a user's day can be revised as long as the labels job remembers the user
  metrics: ({ labels }) => metricsTopology({ userTtl: labels.userTtl, timeZone: labels.timeZone }),
  profiles: (config) => profilesTopology(profilesOptions(config)),
  regeneration: (config) => regenerationTopology(regenerationOptions(config)),
  // a window is the same to both
  candidates: ({ labels, candidates }) => candidatesTopology({ ...labels, ...candidates }),
};

export const topologyNames: readonly string[] = Object.keys(builders);

export function buildTopology(name: string, config: Config): Topology {
  if (!Object.hasOwn(builders, name)) {
    const near = closest(name, topologyNames);
    const hint = near === null ? `there are ${topologyNames.join(', ')}` : `did you mean ${near}?`;
    throw new UsageError(`there is no topology "${name}": ${hint}`);
  }
  return builders[name]!(config);
}

/** Each once; all of them where none is named. */
export function buildTopologies(names: readonly string[], config: Config): Topology[] {
  return (names.length === 0 ? topologyNames : [...new Set(names)]).map((name) => buildTopology(name, config));
}

/** The schema of each topic that the topologies, and the workers that answer them, read or write, each once. */
export function topicSchemas(topologies: readonly Topology[], config: Config): TopicSchema[] {
  const found = new Map<string, string>();
  for (const topology of topologies) {
    const names = namesOf(topology.name, { app: config.app });
    for (const table of topology.tables) found.set(table.topic, table.schema);
    for (const spec of [...topology.sources, ...topology.sinks]) found.set(names.subjectTopic(spec), spec.schema);
  }
  // what one worker asks another is in no topology
  for (const { requests, answers } of workersOf(topologies)) {
    for (const { topic, schema } of [requests, answers]) found.set(topic, schema);
  }
  return [...found].map(([topic, schema]) => ({ topic, schema }));
}
