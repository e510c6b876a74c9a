/** The shop that a generated log is about: leaf categories of very different size, and the items in them. */

/** A generator of numbers in [0, 1): the same sequence for the same words (sfc32, seeded by FNV-1a). */
export function randomOf(...words: (string | number)[]): () => number {
  const text = words.join('\u0000');
  const hash = (basis: number): number => {
    let mixed = basis;
    for (let n = 0; n < text.length; n++) mixed = Math.imul(mixed ^ text.charCodeAt(n), 0x01000193);
    return mixed | 0;
  };
  let a = hash(0x811c9dc5);
  let b = hash(0x2f0b4a27);
  let c = hash(0x6c62272e);
  let counter = 1;
  const next = (): number => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return (sum >>> 0) / 0x1_0000_0000;
  };
  for (let n = 0; n < 16; n++) next();
  return next;
}

/** A whole number in [0, n), small ones more often: skew 1 is uniform, 3 is steep. */
export const skewed = (random: () => number, n: number, skew: number): number => Math.floor(n * random() ** skew);

export interface World {
  /** by item: strings are shared, so that an item is a few pointers */
  itemIds: string[];
  categoryOf: Int32Array;
  categoryIds: string[];
  brandIds: (string | null)[];
  sellerIds: string[];
  prices: Float64Array;
  /** items by category: those of category c are `shelf[shelfStart[c]]` up to `shelf[shelfStart[c + 1]]` */
  shelf: Int32Array;
  shelfStart: Int32Array;
  /** all items, the popular ones first */
  popular: Int32Array;
  /** the log does not know the category of these items; the catalog knows that of some */
  noCategory: Uint8Array;
}

const brandless = 0.15;
const ownBrands = 12;
const sharedBrands = 5_000;
const sellers = 20_000;
const unknownCategory = 0.004;

/** In `noCategory`: neither log nor catalog, or only the log, lacks it. */
const nowhere = 1;
const onlyInCatalog = 2;

function shuffled(random: () => number, length: number): Int32Array {
  const order = Int32Array.from({ length }, (_, n) => n);
  for (let n = length - 1; n > 0; n--) {
    const other = Math.floor(random() * (n + 1));
    [order[n], order[other]] = [order[other]!, order[n]!];
  }
  return order;
}

export function makeWorld(seed: string, categories: number, items: number): World {
  const random = randomOf(seed, 'world');
  // which of them are the big ones has nothing to do with their names
  const bySize = shuffled(random, categories);
  const shared = Array.from({ length: sharedBrands }, (_, n) => `b${n}`);
  const own = new Map<number, string>();
  const sellerNames = Array.from({ length: sellers }, (_, n) => `s${n}`);
  const world: World = {
    itemIds: Array.from({ length: items }, (_, n) => `i${n}`),
    categoryOf: new Int32Array(items),
    categoryIds: Array.from({ length: categories }, (_, n) => `c${n}`),
    brandIds: [],
    sellerIds: [],
    prices: new Float64Array(items),
    shelf: new Int32Array(items),
    shelfStart: new Int32Array(categories + 1),
    popular: shuffled(random, items),
    noCategory: new Uint8Array(items),
  };
  for (let item = 0; item < items; item++) {
    // no shelf is empty
    const category = item < categories ? item : bySize[skewed(random, categories, 2.2)]!;
    world.categoryOf[item] = category;
    world.shelfStart[category + 1]!++;
    const chance = random();
    if (chance < brandless) world.brandIds.push(null);
    else if (chance < 0.75) {
      const key = category * ownBrands + skewed(random, ownBrands, 2);
      let brand = own.get(key);
      if (brand === undefined) own.set(key, (brand = `b${category}-${key % ownBrands}`));
      world.brandIds.push(brand);
    } else world.brandIds.push(shared[skewed(random, sharedBrands, 2)]!);
    world.sellerIds.push(sellerNames[skewed(random, sellers, 1.7)]!);
    world.prices[item] = Math.round(400 + 30_000 * random() ** 4) / 100;
    if (random() < unknownCategory) world.noCategory[item] = random() < 0.5 ? nowhere : onlyInCatalog;
  }
  for (let category = 0; category < categories; category++)
    world.shelfStart[category + 1]! += world.shelfStart[category]!;
  const filled = world.shelfStart.slice();
  for (let item = 0; item < items; item++) world.shelf[filled[world.categoryOf[item]!]!++] = item;
  return world;
}

export interface CatalogItem {
  item_id: string;
  title: string;
  category_id: string | null;
  category_path: string[];
  brand_id: string | null;
  brand_name: string | null;
  seller_id: string | null;
  tags: string[];
  price: number;
}

const things = ['lamp', 'kettle', 'jacket', 'puzzle', 'tent', 'notebook', 'speaker', 'blanket', 'drill', 'teapot'];
const kinds = ['small', 'folding', 'wool', 'walnut', 'travel', 'quiet', 'bright', 'vintage', 'light', 'double'];
const rooms = ['home', 'garden', 'wardrobe', 'play', 'outdoor', 'office', 'sound', 'bath', 'workshop', 'kitchen'];

/** Words that name a category, for titles and queries. */
export const nameOf = (category: number): string =>
  `${kinds[Math.floor(category / 10) % 10]} ${things[category % 10]} ${Math.floor(category / 100)}`;

/** The catalog's record of each item, in order. */
export function* catalogItems(world: World): Generator<CatalogItem> {
  for (const [item, item_id] of world.itemIds.entries()) {
    const category = world.categoryOf[item]!;
    const brand = world.brandIds[item]!;
    yield {
      item_id,
      title: `${nameOf(category)}, model ${item}`,
      category_id: world.noCategory[item] === nowhere ? null : world.categoryIds[category]!,
      category_path: [rooms[category % 10]!, things[category % 10]!, nameOf(category)],
      brand_id: brand,
      brand_name: brand === null ? null : `brand ${brand.slice(1)}`,
      seller_id: world.sellerIds[item]!,
      tags: [rooms[category % 10]!, kinds[Math.floor(category / 10) % 10]!],
      price: world.prices[item]!,
    };
  }
}
