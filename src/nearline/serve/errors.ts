/** Every refusal of the API in one shape: {"error": {"code", "message"}}. What it says never repeats what was sent. */
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyError } from 'fastify';
import { SeralError } from '../../errors.ts';

export interface Refusal {
  status: number;
  body: { error: { code: string; message: string } };
}

const CODES: Record<number, string> = {
  401: 'UNAUTHENTICATED',
  404: 'NOT_FOUND',
  413: 'BODY_TOO_LARGE',
  415: 'UNSUPPORTED_MEDIA_TYPE',
  429: 'RATE_LIMITED',
  503: 'STOPPING',
};

export const refusal = (status: number, message: string, code?: string): Refusal => ({
  status,
  body: { error: { code: code ?? CODES[status] ?? (status < 500 ? 'BAD_REQUEST' : 'INTERNAL'), message } },
});

/** An error with a status, for hooks to throw. */
export class RefusedError extends SeralError {
  readonly statusCode: number;

  constructor(statusCode: number, message: string) {
    super(CODES[statusCode] ?? 'BAD_REQUEST', message);
    this.statusCode = statusCode;
  }
}

/** Of whatever was thrown: an error that has no status is ours, and what it says stays here. */
export function refusalOf(error: FastifyError | RefusedError): Refusal {
  const status = error.statusCode ?? 500;
  if (status >= 500) return refusal(status, status === 503 ? 'the server is stopping' : 'the request failed');
  if (error instanceof RefusedError) return refusal(status, error.message, error.code);
  if (status === 400 && !('validation' in error && error.validation)) {
    return refusal(400, 'the request cannot be read: its URL or its body is malformed');
  }
  return refusal(status, error.message);
}

/** What is no HTTP at all, or has headers that are too large. */
export function refuseSocket(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return;
  const timedOut = error.code === 'ERR_HTTP_REQUEST_TIMEOUT';
  const status = timedOut ? 408 : error.code === 'HPE_HEADER_OVERFLOW' ? 431 : 400;
  if (!socket.writable) return void socket.destroy(error);
  const body = JSON.stringify(refusal(status, timedOut ? 'the request took too long' : 'this is no HTTP request').body);
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: application/json; charset=utf-8\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}
