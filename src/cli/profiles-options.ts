import type { ProfilesOptions } from '../profile/options.ts';
import type { Config } from './config-schema.ts';

/** The profiles' options: what a user is, and how many partitions there are, is said once for all topologies. */
export function profilesOptions({ profiles, labels, topics }: Config): ProfilesOptions {
  const { requestsPerMinute, ...rest } = profiles;
  return {
    ...rest,
    requestsPerMinute: requestsPerMinute === 0 ? null : requestsPerMinute,
    partitions: topics.partitions,
    userTtl: labels.userTtl,
    futureTolerance: labels.futureTolerance,
  };
}
