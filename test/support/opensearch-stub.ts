/**
 * The part of OpenSearch's documented REST API that we use, answered out of memory: for tests where there is no OpenSearch.
 * Strict: what the API does not know is refused, so that a wrong request fails here too.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

interface Stored {
  version: number;
  source: any;
}
interface StubIndex {
  body: any;
  documents: Map<string, Stored>;
  /** versions of what was deleted */
  deleted: Map<string, number>;
  /** what searches see: documents as of the last refresh */
  visible: Map<string, Stored>;
}
export interface StubRequest {
  method: string;
  path: string;
  body: string;
  authorization: string | undefined;
}
/** Instead of an answer, for a request that it is about. */
export type StubFault = (request: StubRequest) => { status: number; body?: object } | 'hang' | 'cut' | null;

export class OpenSearchStub {
  readonly asked: StubRequest[] = [];
  readonly indexes = new Map<string, StubIndex>();
  fault: StubFault = () => null;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(): Promise<OpenSearchStub> {
    const server = createServer();
    const stub = new OpenSearchStub(server);
    server.on('request', (request, response) => void stub.#serve(request, response));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return stub;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const { method = '', url = '', headers } = incoming;
    const request = {
      method,
      path: url.split('?')[0]!,
      body: Buffer.concat(chunks).toString('utf8'),
      authorization: headers.authorization,
    };
    this.asked.push(request);
    const fault = this.fault(request);
    if (fault === 'hang') return;
    if (fault === 'cut') return void response.destroy();
    const { status, body } = fault ?? this.#answer(request, headers['content-type']);
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body ?? {}));
  }

  #answer({ method, path, body }: StubRequest, type: string | undefined): { status: number; body: object } {
    const [, name = '', action = '', id = ''] = path.split('/').map(decodeURIComponent);
    const index = this.indexes.get(name);
    const missing = { status: 404, body: { error: { type: 'index_not_found_exception' }, status: 404 } };
    if (method === 'PUT' && action === '') return this.#create(name, JSON.parse(body));
    if (index === undefined) return missing;
    const lines = body === '' ? [] : body.split('\n');
    if (action === '_bulk' || action === '_msearch') {
      if (type !== 'application/x-ndjson') return refused(406, 'content-type');
      if (lines.pop() !== '') return refused(400, 'the last line has no newline');
    }
    const parsed = lines.map((line) => JSON.parse(line));
    switch (`${method} ${action}`) {
      case 'GET _mapping':
        return { status: 200, body: { [name]: { mappings: index.body.mappings } } };
      case 'POST _refresh':
        index.visible = new Map(index.documents);
        return { status: 200, body: { _shards: { total: 1, successful: 1, failed: 0 } } };
      case 'POST _bulk':
        return { status: 200, body: bulk(index, parsed) };
      case 'POST _msearch':
        return { status: 200, body: { took: 1, responses: searches(index, parsed) } };
      case 'POST _mget':
        return {
          status: 200,
          body: {
            docs: JSON.parse(body).ids.map((one: string) => {
              const found = index.documents.get(one);
              return found === undefined
                ? { _id: one, found: false }
                : { _id: one, found: true, _source: found.source };
            }),
          },
        };
      case 'GET _doc': {
        const found = index.documents.get(id);
        if (found === undefined) return { status: 404, body: { _id: id, found: false } };
        return { status: 200, body: { _id: id, found: true, _version: found.version, _source: found.source } };
      }
      default:
        return refused(405, `${method} ${path}`);
    }
  }

  #create(name: string, body: any): { status: number; body: object } {
    if (this.indexes.has(name)) return refused(400, 'resource_already_exists_exception');
    const { embedding } = body.mappings.properties;
    if (embedding.type !== 'knn_vector' || body.settings.index.knn !== true) return refused(400, 'knn');
    this.indexes.set(name, { body, documents: new Map(), deleted: new Map(), visible: new Map() });
    return { status: 200, body: { acknowledged: true, index: name } };
  }
}

const refused = (status: number, type: string) => ({ status, body: { error: { type }, status } });

function bulk(index: StubIndex, lines: any[]): object {
  const items: object[] = [];
  let errors = false;
  for (let i = 0; i < lines.length; i++) {
    const [action, { _id, version, version_type }] = Object.entries<any>(lines[i])[0]!;
    if (version_type !== 'external_gte' || !['index', 'delete'].includes(action)) throw new Error('not as agreed');
    const source = action === 'index' ? lines[++i] : null;
    const before = index.documents.get(_id)?.version ?? index.deleted.get(_id) ?? -1;
    let result: object = { _id, status: 200 };
    const vector = source?.embedding;
    const { dimension } = index.body.mappings.properties.embedding;
    const wrong = vector !== undefined && (vector.length !== dimension || vector.every((part: number) => part === 0));
    if (version < before) result = { _id, status: 409, error: { type: 'version_conflict_engine_exception' } };
    else if (wrong) result = { _id, status: 400, error: { type: 'mapper_parsing_exception' } };
    else if (source !== null) index.documents.set(_id, { version, source });
    else {
      if (!index.documents.delete(_id)) result = { _id, status: 404, result: 'not_found' };
      index.deleted.set(_id, version);
    }
    errors ||= 'error' in result;
    items.push({ [action]: result });
  }
  return { took: 1, errors, items };
}

function searches(index: StubIndex, lines: any[]): object[] {
  const answers: object[] = [];
  for (let i = 1; i < lines.length; i += 2) {
    const { size, query, _source } = lines[i];
    const inStock = [...index.visible].filter(([, { source }]) => source.available === true);
    const scored = query.knn === undefined ? keyword(inStock, query.bool) : nearest(inStock, query.knn.embedding);
    const hits = scored
      .sort((a, b) => b._score - a._score)
      .slice(0, size)
      .map((hit) => ({ ...hit, _source: Object.fromEntries(_source.map((key: string) => [key, hit._source[key]])) }));
    answers.push({ took: 1, status: 200, hits: { hits } });
  }
  return answers;
}

function keyword(documents: [string, Stored][], { must, filter }: any) {
  if (filter.term.available !== true) throw new Error('only what is in stock is to be found');
  const words = [...new Set<string>(must.match.words.split(' '))];
  const all = documents.map(([id, { source }]) => ({ id, source, words: source.words.split(' ') as string[] }));
  const mean = all.reduce((sum, one) => sum + one.words.length, 0) / all.length;
  return all.flatMap(({ id, source, words: own }) => {
    let score = 0;
    for (const word of words) {
      const having = all.filter((one) => one.words.includes(word)).length;
      const times = own.filter((one) => one === word).length;
      const idf = Math.log(1 + (all.length - having + 0.5) / (having + 0.5));
      score += (idf * times) / (times + 1.2 * (0.25 + (0.75 * own.length) / mean));
    }
    return score > 0 ? [{ _id: id, _score: score, _source: source }] : [];
  });
}

function nearest(documents: [string, Stored][], { vector, k, filter }: any) {
  if (filter.term.available !== true) throw new Error('only what is in stock is to be found');
  const length = (one: number[]) => Math.hypot(...one);
  const all = documents.flatMap(([id, { source }]) => {
    const other = source.embedding as number[] | undefined;
    if (other === undefined) return [];
    const dot = other.reduce((sum, part, i) => sum + part * vector[i], 0);
    return [{ _id: id, _score: (1 + dot / (length(other) * length(vector))) / 2, _source: source }];
  });
  return all.sort((a, b) => b._score - a._score).slice(0, k);
}
