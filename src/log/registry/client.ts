// the package's own entry loads every cloud's key service with it: seven times the start-up time, 50 MB more
import { type ClientConfig } from '@confluentinc/schemaregistry/dist/rest-service.js';
import { SchemaRegistryClient } from '@confluentinc/schemaregistry/dist/schemaregistry-client.js';
import { RegistryError, messageOf } from '../../errors.ts';

export interface RegistryOptions {
  url: string;
  auth?: { username: string; password: string } | { token: string };
  /** put before each subject's name */
  subjectPrefix?: string;
  /** where the .avsc files are, if not in this project's schemas/ */
  schemasFolder?: string;
  /** How often a request that may succeed later is made again (with exponential backoff and full jitter). */
  retries?: number;
  /** of a request, its retries included */
  timeoutMs?: number;
}

export function registryClient(options: RegistryOptions): SchemaRegistryClient {
  const { auth } = options;
  const config: ClientConfig = {
    baseURLs: [options.url.replace(/\/+$/, '')],
    maxRetries: options.retries ?? 4,
    retriesWaitMs: 100,
    retriesMaxWaitMs: 2_000,
    createAxiosDefaults: {
      // without one, a registry that hangs would hang us
      timeout: options.timeoutMs ?? 5_000,
      ...(auth !== undefined && 'token' in auth ? { headers: { Authorization: `Bearer ${auth.token}` } } : {}),
    },
  };
  if (auth !== undefined && 'username' in auth) {
    config.basicAuthCredentials = {
      credentialsSource: 'USER_INFO',
      userInfo: `${auth.username}:${auth.password}`,
    };
  }
  return new SchemaRegistryClient(config);
}

const statusOf = (error: unknown): number | undefined => {
  const status = (error as { status?: unknown } | null)?.status;
  return typeof status === 'number' ? status : undefined;
};

/** `call`'s answer, or null where the registry has no such thing; every other failure as a RegistryError. */
export async function ask<R>(what: string, call: () => Promise<R>): Promise<R | null> {
  try {
    return await call();
  } catch (error) {
    const status = statusOf(error);
    if (status === 404) return null;
    throw registryError(what, status, error);
  }
}

function registryError(what: string, status: number | undefined, cause: unknown): RegistryError {
  if (status === 401 || status === 403) {
    return new RegistryError('REGISTRY_DENIED', `the schema registry does not let us ${what} (HTTP ${status})`, {
      cause,
      fatal: true,
    });
  }
  if (status === 409 || status === 422) {
    return new RegistryError('SCHEMA_REFUSED', `the schema registry refused to ${what}: ${messageOf(cause)}`, {
      cause,
      fatal: true,
    });
  }
  const detail = messageOf(cause) || String((cause as { code?: unknown }).code ?? '');
  return new RegistryError('REGISTRY_UNAVAILABLE', `the schema registry could not ${what}: ${detail}`, {
    cause,
    retriable: true,
  });
}
