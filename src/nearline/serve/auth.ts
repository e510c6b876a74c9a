/** Who asks: by a bearer token of several (so that one can be replaced by another without a gap), or by a client certificate. */
import { hash, timingSafeEqual } from 'node:crypto';

export type Auth =
  /** of at least SHORTEST_TOKEN characters each */
  | { kind: 'token'; tokens: readonly string[] }
  /** the TLS layer lets nobody in without a certificate that the CA signed */
  | { kind: 'mtls' }
  | { kind: 'none' };

export const SHORTEST_TOKEN = 16;

const BEARER = /^bearer +(\S+)$/i;

const digest = (token: string): Buffer => hash('sha256', token, 'buffer');

/** Says of an Authorization header which caller it is, by a name for limits and never for logs; null: nobody who is known. */
export function callers(auth: Auth): (authorization: string | undefined) => string | null {
  if (auth.kind !== 'token') return () => '';
  const known = auth.tokens.map(digest);
  return (authorization) => {
    const token = authorization === undefined ? undefined : BEARER.exec(authorization)?.[1];
    if (token === undefined) return null;
    const given = digest(token);
    let found: string | null = null;
    // all are compared, and digests are of one length: the time taken says nothing of the tokens
    for (const [i, one] of known.entries()) if (timingSafeEqual(one, given)) found = `token ${i}`;
    return found;
  };
}
