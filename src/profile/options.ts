const DAY = 86_400_000;

/** What makes a tag credible, and how credible tags are ranked (paper, 4.2.2). All without a unit lie from 0 to 1. */
export interface ApprovalOptions {
  /** K: the best so many credible tags are the profile */
  profileTags: number;
  /** a search or product bears a tag out from this relevance on: below, the two only share a word */
  relevant: number;
  /** cosine from which on vectors count as relevance at all; spelling alone makes unlike things alike up to here */
  similar: number;
  /** cosine from which on two tags are one */
  same: number;
  /** what one purchase, search or click says, where it bears a tag out wholly; several add up as chances do */
  purchaseWeight: number;
  searchWeight: number;
  clickWeight: number;
  /** how much of that is left where only the seller says it (title, tags), who may write anything */
  titleWeight: number;
  /** words of a title from which on each says less: the more there are, the likelier one fits by accident or on purpose */
  titleWords: number;
  /** how many sellers have to say a word that nobody else says */
  sellers: number;
  /** the embedder whose vectors in answers are believed where no word says the tag; null: vectors add to words, no more */
  believedEmbedder: string | null;
  /** behavioural posterior that makes a tag credible whatever its past */
  credible: number;
  /** historical prior that makes a tag credible when its posterior is at least `weak` */
  trusted: number;
  weak: number;
  /** a tag that fits more than this share of the categories a user touched (of at least eight) says nothing about the user */
  tooGeneral: number;
  /** shares of the score; their sum counts, not their size */
  priorShare: number;
  posteriorShare: number;
  supportShare: number;
  recencyShare: number;
  /** searches and products from which on the support is full */
  fullSupport: number;
  /** ms in which the recency of a tag's newest evidence halves */
  recencyHalfLife: number;
  /** ms in which a tag's strength in the pool halves */
  strengthHalfLife: number;
  /** how far one approval takes a tag's strength towards its posterior */
  gain: number;
  /** what is left of a tag's strength when it is proposed and refused */
  afterRefusal: number;
  /** tags of a user's pool; the weakest leave it */
  poolTags: number;
  /** a tag whose strength has decayed below this leaves the pool */
  forgotten: number;
}

export interface LongTermOptions {
  /** refreshes that are looked at, newest first */
  refreshes: number;
  /** fewer than this say nothing of the long term */
  fewestRefreshes: number;
  /** ms between two long-term profiles of a user */
  every: number;
  /** admission: least share of those refreshes that gave the tag */
  frequency: number;
  /** admission: least evenness of the gaps between them */
  regularity: number;
  /** admission: least share of the times between refreshes in which a click or purchase bore the tag out after it was given */
  effectiveness: number;
}

export interface ProfilesOptions {
  /** partitions of the user-keyed topics: the budget is divided by them */
  partitions: number;
  /** ms of event time that a search or purchase counts */
  window: number;
  /** of one user, at most; the oldest leave first */
  searches: number;
  products: number;
  /** ms of event time after which a visit asks for a new short-term profile */
  refreshAfter: number;
  /** searches and purchases in the window without which nothing is asked */
  fewestBehaviours: number;
  /** ms over which the users that come due together are spread, by their bucket */
  spread: number;
  buckets: number;
  /** requests a minute, of all partitions together; null: no limit */
  requestsPerMinute: number | null;
  /** a user with visits on so many of the last 28 days is active: asked for before others */
  activeDays: number;
  /** ms of the clock after which a request is given up */
  deadline: number;
  /** of one request, before the user waits for `retryAfter` */
  attempts: number;
  /** ms of the clock before the second attempt; doubles with each */
  retryPause: number;
  /** ms of event time after the last attempt has failed */
  retryAfter: number;
  /** ms of event time after which a user without events is forgotten */
  userTtl: number;
  /** ms that an event may be ahead of the clock */
  futureTolerance: number;
  promptVersion: string;
  longTermPromptVersion: string;
  numberOfTags: number;
  tagLength: number;
  /** clauses of the static profile; one whose {attribute} is not known is left out */
  staticProfile: string[];
  /** makes vectors of products that the catalog brings without; none: only those that it brings */
  embedder: 'ngram' | 'none';
  approval: ApprovalOptions;
  longTerm: LongTermOptions;
}

export const PROFILES_DEFAULTS: ProfilesOptions = {
  partitions: 12,
  window: 28 * DAY,
  searches: 100,
  products: 200,
  refreshAfter: 15 * DAY,
  fewestBehaviours: 3,
  spread: DAY,
  buckets: 100,
  requestsPerMinute: 600,
  activeDays: 4,
  deadline: 10 * 60_000,
  attempts: 3,
  retryPause: 60_000,
  retryAfter: DAY,
  userTtl: 400 * DAY,
  futureTolerance: 5 * 60_000,
  promptVersion: 'short-term-1',
  longTermPromptVersion: 'long-term-1',
  numberOfTags: 20,
  tagLength: 16,
  staticProfile: [
    'age {age}',
    'income {income}',
    '{marital_status}',
    '{home_ownership}',
    'household of {household_size}',
    '{household_comp}',
    'children: {kids_count}',
  ],
  embedder: 'ngram',
  approval: {
    profileTags: 10,
    relevant: 0.6,
    similar: 0.7,
    same: 0.9,
    purchaseWeight: 0.6,
    searchWeight: 0.6,
    clickWeight: 0.35,
    titleWeight: 0.7,
    titleWords: 12,
    sellers: 2,
    believedEmbedder: null,
    credible: 0.5,
    trusted: 0.1,
    weak: 0,
    tooGeneral: 0.5,
    priorShare: 0.3,
    posteriorShare: 0.4,
    supportShare: 0.15,
    recencyShare: 0.15,
    fullSupport: 8,
    recencyHalfLife: 14 * DAY,
    strengthHalfLife: 45 * DAY,
    gain: 0.4,
    afterRefusal: 0.7,
    poolTags: 100,
    forgotten: 0.02,
  },
  longTerm: {
    refreshes: 8,
    fewestRefreshes: 4,
    every: 30 * DAY,
    frequency: 0.5,
    regularity: 0.5,
    effectiveness: 0.5,
  },
};
