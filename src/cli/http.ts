/**
 * What an orchestrator and Prometheus ask a running job:
 *   /live     503 where a restart would help: a worker has died, or a task stands still though there is work
 *   /ready    503 until everything assigned is being processed; the body says what each task does, its lag, how far a
 *             restore is and how long it takes still, and how current the standbys are
 *   /metrics  docs/metrics.md
 */
import fastify, { type FastifyReply } from 'fastify';
import type { Registry } from 'prom-client';
import type { WorkerStatus } from '../stream/worker.ts';

export interface OpsServerOptions {
  host: string;
  /** 0: any free one */
  port: number;
  registry: Registry;
  status: () => readonly WorkerStatus[];
}

export interface OpsServer {
  /** where it listens */
  url: string;
  close(): Promise<void>;
}

export async function opsServer({ host, port, registry, status }: OpsServerOptions): Promise<OpsServer> {
  // a probe's kept-alive connection must not hold up the end
  const server = fastify({ logger: false, forceCloseConnections: true });
  const answer = (reply: FastifyReply, good: boolean, body: object) => reply.code(good ? 200 : 503).send(body);

  server.get('/live', (_request, reply) => {
    const workers = status();
    const live = workers.every((worker) => worker.live);
    return answer(reply, live, {
      live,
      topologies: workers.map(({ topology, live, error }) => ({ topology, live, error })),
    });
  });
  server.get('/ready', (_request, reply) => {
    const workers = status();
    const ready = workers.length > 0 && workers.every((worker) => worker.ready);
    return answer(reply, ready, { ready, topologies: workers });
  });
  server.get('/metrics', async (_request, reply) => {
    return reply.header('content-type', registry.contentType).send(await registry.metrics());
  });

  await server.listen({ host, port });
  const address = server.server.address() as { port: number };
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${address.port}`,
    async close() {
      await server.close();
    },
  };
}
