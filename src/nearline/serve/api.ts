/**
 * The HTTP API over the nearline cache (paper, 4.4.2): a user's candidates, and the fusion. Both answer at once, whatever is
 * down: neither waits for the log or for a model. docs/serve.md describes it for those who call it.
 */
import rateLimit from '@fastify/rate-limit';
import swagger from '@fastify/swagger';
import fastify, { type FastifyError, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { messageOf } from '../../errors.ts';
import type { Logger } from '../../stream/logger.ts';
import { fuse, type FusionRule, type PersonalisedItem } from '../fuse.ts';
import type { Candidate } from '../records.ts';
import { callers, type Auth } from './auth.ts';
import type { CandidateCache, Lookup } from './cache.ts';
import type { Entry } from './entry.ts';
import { RefusedError, refusal, refusalOf, refuseSocket } from './errors.ts';
import type { ServeMetrics } from './metrics.ts';
import { GET_CANDIDATES, POST_FUSE, SHARED } from './schemas.ts';
import type { Asked, TriggerSender } from './triggers.ts';

/** The rule of those whose arm has none. */
export const DEFAULT_ARM = 'default';

export interface ApiOptions {
  cache: Pick<CandidateCache, 'get'>;
  triggers: Pick<TriggerSender, 'ask'>;
  /** by arm; one is of DEFAULT_ARM */
  arms: ReadonlyMap<string, FusionRule>;
  auth: Auth;
  /** PEM; `ca` of client certificates, for mtls */
  tls: { cert: string; key: string; ca: string | null } | null;
  /** requests of a token (or an address, without tokens) in so long; and of an address without a valid token */
  limits: { requests: number; refused: number; windowMs: number };
  /** a user is asked for once in so long */
  triggerEveryMs: number;
  /** the clock of the events */
  now: () => number;
  logger: Logger;
  metrics: ServeMetrics;
  version: string;
}

interface FuseBody {
  user_id: string;
  request_id?: string;
  arm?: string;
  size: number;
  candidates: PersonalisedItem[];
}

declare module 'fastify' {
  interface FastifyRequest {
    /** null: nobody who may ask */
    caller: string | null;
  }
  interface FastifyContextConfig {
    /** for everybody */
    open?: boolean;
  }
}

const BODY_LIMIT = 1024 * 1024;
/** Of a percent-encoded id. Node takes 16 KB of headers in all. */
const LONGEST_PARAM = 16 * 1024;
/** For a request to come in whole: longer is no shop's server. */
const REQUEST_MS = 10_000;
const JSON_TYPE = 'application/json; charset=utf-8';
/** Nothing of a user is kept on the way, and a browser that is led here shows nothing and runs nothing. */
const HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
};

/** Not listening yet. */
export async function serveApi(options: ApiOptions): Promise<FastifyInstance> {
  const { tls, auth, logger, metrics, limits, version } = options;
  const server = fastify({
    logger: false,
    bodyLimit: BODY_LIMIT,
    requestTimeout: REQUEST_MS,
    routerOptions: { maxParamLength: LONGEST_PARAM },
    exposeHeadRoutes: false,
    // bodies are read by the names of their fields and merged into nothing, so whatever else they name does no harm
    onProtoPoisoning: 'ignore',
    onConstructorPoisoning: 'ignore',
    forceCloseConnections: 'idle',
    // what is not as described is refused, not bent; what is not described is ignored
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false, useDefaults: false } },
    clientErrorHandler: refuseSocket,
    frameworkErrors: (error: FastifyError, _request: FastifyRequest, reply: FastifyReply) => {
      const { status, body } = refusalOf(error);
      metrics.answered('other', status, 0);
      void reply.code(status).headers(HEADERS).send(body);
    },
    ...(tls !== null && {
      https: {
        cert: tls.cert,
        key: tls.key,
        minVersion: 'TLSv1.2',
        ...(auth.kind === 'mtls' && { ca: tls.ca!, requestCert: true, rejectUnauthorized: true }),
      },
    }),
  } as object) as FastifyInstance;

  server.setErrorHandler((error: Parameters<typeof refusalOf>[0], _request, reply) => {
    const { status, body } = refusalOf(error);
    if (status >= 500 && status !== 503)
      logger.error({ error: messageOf(error), stack: error.stack }, 'a request failed');
    return reply.code(status).send(body);
  });
  admit(server, callers(auth), options.tls !== null);
  server.addHook('onResponse', (request, reply, done) => {
    metrics.answered(request.routeOptions.url ?? 'other', reply.statusCode, reply.elapsedTime / 1000);
    done();
  });
  await server.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Seral', description: 'Serendipity candidates of users, and their fusion', version },
      ...(auth.kind === 'token' && {
        components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
        security: [{ token: [] }],
      }),
    },
    refResolver: { buildLocalReference: (json) => String(json['$id']) },
  });
  await server.register(rateLimit, {
    timeWindow: limits.windowMs,
    max: (request: FastifyRequest) => (request.caller === null ? limits.refused : limits.requests),
    keyGenerator: (request: FastifyRequest) => request.caller || `${request.caller === null ? '-' : ''}${request.ip}`,
    addHeaders: { 'x-ratelimit-limit': false, 'x-ratelimit-remaining': false, 'x-ratelimit-reset': false },
    addHeadersOnExceeding: {
      'x-ratelimit-limit': false,
      'x-ratelimit-remaining': false,
      'x-ratelimit-reset': false,
    },
    errorResponseBuilder: () => new RefusedError(429, 'too many requests'),
  });
  server.setNotFoundHandler({ preHandler: server.rateLimit() }, (_request, reply) => {
    const { status, body } = refusal(404, 'there is nothing here');
    return reply.code(status).send(body);
  });
  for (const schema of SHARED) server.addSchema(schema);
  await server.register(async (routes) => addRoutes(routes, options));
  await server.ready();
  return server;
}

/** Who asks is known before limits are held against them; who may not is refused before the body is read. */
function admit(server: FastifyInstance, callerOf: ReturnType<typeof callers>, secure: boolean): void {
  const headers = { ...HEADERS, ...(secure && { 'strict-transport-security': 'max-age=31536000' }) };
  server.decorateRequest('caller', null);
  server.addHook('onRequest', (request, reply, done) => {
    request.caller = callerOf(request.headers.authorization);
    reply.headers(headers);
    done();
  });
  server.addHook('preParsing', (request, reply, payload, done) => {
    if (request.caller !== null || request.routeOptions.config.open === true) return done(null, payload);
    reply.header('www-authenticate', 'Bearer');
    done(new RefusedError(401, 'a valid bearer token is needed'));
  });
}

function addRoutes(routes: FastifyInstance, options: ApiOptions): void {
  routes.get('/v1/openapi.json', { schema: { hide: true }, config: { open: true } }, () => routes.swagger());

  routes.get<{ Params: { id: string }; Querystring: { arm?: string } }>(
    '/v1/users/:id/candidates',
    { schema: GET_CANDIDATES },
    (request, reply) => {
      const user = wellFormed(request.params.id);
      const answer = (lookup: Lookup) => sendCandidates(reply, user, request.query.arm ?? null, lookup, options);
      const lookup = options.cache.get(user);
      return lookup instanceof Promise ? lookup.then(answer) : answer(lookup);
    },
  );

  const rules = (arm: string | undefined): [string, FusionRule] => {
    const rule = arm === undefined ? undefined : options.arms.get(arm);
    return rule === undefined ? [DEFAULT_ARM, options.arms.get(DEFAULT_ARM)!] : [arm!, rule];
  };
  routes.post<{ Body: FuseBody }>('/v1/fuse', { schema: POST_FUSE }, async ({ body }) => {
    const [arm, rule] = rules(body.arm);
    wellFormed(body.user_id);
    if (rule.weight === 0) return fused(body, arm, rule, { entry: null, status: 'off' }, options);
    const lookup = options.cache.get(body.user_id);
    const found = lookup instanceof Promise ? await lookup : lookup;
    return fused(body, arm, rule, judged(body.user_id, body.arm ?? null, found, options), options);
  });
}

/** Half a surrogate pair would be written as another user's id. */
function wellFormed(id: string): string {
  if (id.isWellFormed()) return id;
  throw new RefusedError(400, 'a user id is no text');
}

type Judged = { entry: Entry; status: 'ready' } | { entry: null; status: Asked | 'off' };

/** What is not there, or no longer valid, is asked for: but not before all was read, or half the shop would be. */
function judged(
  user: string,
  arm: string | null,
  lookup: Lookup,
  { metrics, now, triggers }: Pick<ApiOptions, 'metrics' | 'now' | 'triggers'>,
): Judged {
  if (lookup.entry !== null) {
    metrics.found('hit');
    metrics.served(ageOf(lookup.entry, now()));
    return { entry: lookup.entry, status: 'ready' };
  }
  metrics.found(lookup.why);
  if (lookup.why === 'loading' || lookup.why === 'unavailable') return { entry: null, status: 'pending' };
  return { entry: null, status: triggers.ask(user, arm) };
}

const ageOf = ({ askedAt }: Entry, now: number): number => Math.max(0, Math.round(now - askedAt));

function sendCandidates(
  reply: FastifyReply,
  user: string,
  arm: string | null,
  lookup: Lookup,
  options: ApiOptions,
): FastifyReply {
  const { entry, status } = judged(user, arm, lookup, options);
  if (entry === null) {
    return reply.code(202).send({ status, user_id: user, retry_after_ms: options.triggerEveryMs });
  }
  return reply.header('content-type', JSON_TYPE).send(entry.json(ageOf(entry, options.now())));
}

function fused(
  { user_id, request_id, size, candidates: personalised }: FuseBody,
  arm: string,
  rule: FusionRule,
  { entry, status }: Judged,
  { metrics, now }: ApiOptions,
): object {
  const list = entry === null ? null : entry.user;
  const candidates = list?.candidates ?? [];
  const rows = fuse<PersonalisedItem, Candidate>(personalised, candidates, rule, size);
  const inserted = rows.reduce((count, { source }) => count + (source === 'serendipity' ? 1 : 0), 0);
  metrics.fused(arm, status, rows.length - inserted, inserted);
  return {
    user_id,
    request_id,
    arm,
    weight: rule.weight,
    serendipity: {
      status,
      available: candidates.length,
      inserted,
      ...(entry !== null && {
        request_id: list!.request_id,
        asked_at: entry.askedAt,
        expires_at: entry.expiresAt,
        age_ms: ageOf(entry, now()),
      }),
    },
    items: rows.map(({ item, source, position, calibrated, why }) => ({
      item_id: item.item_id,
      position,
      source,
      score: item.score,
      calibrated_score: calibrated,
      why,
      category_id: item.category_id,
      ...(source === 'serendipity' && ledBy(item as Candidate)),
    })),
  };
}

const ledBy = ({ led_by, led_by_kind, channels, novel_category, novel_brand, novel_seller }: Candidate) => ({
  led_by,
  led_by_kind,
  channels,
  novel_category,
  novel_brand,
  novel_seller,
});
