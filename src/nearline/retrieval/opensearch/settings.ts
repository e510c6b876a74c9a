/** What is said to OpenSearch, and how long it is waited for. */
export interface OpenSearchSettings {
  index: string;
  /** of an index that is made */
  shards: number;
  replicas: number;
  /** ms for one request, all its attempts and pauses */
  requestTimeoutMs: number;
  /** ms for one attempt */
  attemptTimeoutMs: number;
  attempts: number;
  /** second attempts of all requests, as a share of the requests */
  retryShare: number;
}

export const OPENSEARCH_DEFAULTS: OpenSearchSettings = {
  index: 'seral-items',
  shards: 1,
  replicas: 1,
  requestTimeoutMs: 5000,
  attemptTimeoutMs: 2000,
  attempts: 3,
  retryShare: 0.2,
};
