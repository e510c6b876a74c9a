import type { RegenerationOptions } from '../serengpt/options.ts';
import type { EventType } from '../shop/behaviour.ts';
import type { Config } from './config-schema.ts';

/** The regeneration's options: what a user is, and how many partitions there are, is said once for all topologies. */
export function regenerationOptions({ regeneration, profiles, labels, topics }: Config): RegenerationOptions {
  const { requestsPerSecond, visits, ...rest } = regeneration;
  return {
    ...rest,
    visits: visits as EventType[],
    requestsPerSecond: requestsPerSecond === 0 ? null : requestsPerSecond,
    partitions: topics.partitions,
    userTtl: labels.userTtl,
    futureTolerance: labels.futureTolerance,
    staticProfile: profiles.staticProfile,
  };
}
