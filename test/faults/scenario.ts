import type { World } from './world.ts';

/** One way for things to go wrong, as a round that can be gone through again and again. */
export interface Scenario {
  name: string;
  /** what a round does, for the table */
  title: string;
  brokers: 1 | 3;
  /** faults in a round, each of which is verified before the next one; 1 where absent */
  faults?: number;
  /** one round; throws when something is lost, doubled or reordered; returns in a phrase what was seen */
  round(world: World, seed: number): Promise<string>;
}
