import autocannon from 'autocannon';
import type { Asked } from './serve-load.ts';

const CONNECTIONS = 64;

export interface Fired {
  result: autocannon.Result;
  /** answers without candidates, though there are some */
  pending: number;
}

/**
 * As many requests to this machine as it takes, for so long or so many of them. Throws where one fails or its status is no
 * good one. `onAnswer` is told how many ms each took.
 */
export async function cannon(
  port: number,
  of: () => Asked,
  limit: { duration: number } | { amount: number },
  onAnswer: (ms: number) => void = () => {},
): Promise<Fired> {
  const running = autocannon({
    url: `http://127.0.0.1:${port}`,
    connections: CONNECTIONS,
    ...limit,
    requests: [{ setupRequest: (given) => ({ ...given, ...of() }) }],
  });
  (running as any).on?.('response', (_client: unknown, _status: number, _bytes: number, ms: number) => onAnswer(ms));
  const result = await running;
  if (result.non2xx + result.errors > 0) throw new Error(`${result.non2xx} refused, ${result.errors} failed`);
  const { statusCodeStats } = result as unknown as { statusCodeStats: Record<string, { count: number }> };
  return { result, pending: statusCodeStats['202']?.count ?? 0 };
}
