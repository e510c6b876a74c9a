/** The five groups as a model is told them, and as it may write them. */
import { GROUPS, type TagGroup } from '../records.ts';

/** The keys of the JSON that the prompts ask for. */
export const GROUP_NAMES: Readonly<Record<TagGroup, string>> = {
  category: 'Product categories',
  brand: 'Brands and characters',
  attribute: 'Product attributes',
  interest: 'Interests and hobbies',
  scenario: 'Usage scenarios',
};

/** What else a model calls them: by their short names, or by the paper's. */
const OTHER_NAMES: Readonly<Record<TagGroup, readonly string[]>> = {
  category: ['category', 'categories', 'preferred product categories', 'preferred categories'],
  brand: ['brand', 'brands', 'brands or IPs', 'brands and IPs', 'brands or characters', 'preferred brands or IPs'],
  attribute: ['attribute', 'attributes', 'preferred product attributes', 'preferred attributes'],
  interest: ['interest', 'interests', 'hobbies', 'interests or hobbies', 'inferred interests or hobbies'],
  scenario: ['scenario', 'scenarios', 'usage scenario', 'inferred usage scenarios'],
};

const lettersOf = (name: string): string => name.toLowerCase().replace(/[^a-z]/g, '');

const byLetters = new Map(
  GROUPS.flatMap((group) => [GROUP_NAMES[group], ...OTHER_NAMES[group]].map((name) => [lettersOf(name), group])),
);

/** Case, spaces, underscores and the like make no difference. */
export const groupOf = (name: string): TagGroup | undefined =>
  name.length > 100 ? undefined : byLetters.get(lettersOf(name));
