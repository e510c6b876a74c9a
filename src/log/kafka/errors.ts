/** Kafka's and kafkajs's errors as the port's: codes and flags by Kafka's error names, never by message. */
import { LogError, type ErrorFlags } from '../../errors.ts';
import { errorName } from './kafkajs.ts';

type Known = [code: string, flags: ErrorFlags];

const fenced: Known = ['FENCED', { fenced: true }];
const forbidden: Known = ['LOG_REFUSED', { fatal: true }];
const unavailable: Known = ['LOG_UNAVAILABLE', { retriable: true }];
const transactionFailed: Known = ['TRANSACTION_FAILED', { retriable: true }];

const known: Record<string, Known> = {
  // with an older epoch than the id's newest, and what an older transaction's end looks like to its producer
  INVALID_PRODUCER_EPOCH: fenced,
  PRODUCER_FENCED: fenced,
  INVALID_TXN_STATE: fenced,
  OFFSET_OUT_OF_RANGE: ['OFFSET_OUT_OF_RANGE', {}],
  MESSAGE_TOO_LARGE: ['RECORD_TOO_LARGE', {}],
  RECORD_LIST_TOO_LARGE: ['RECORD_TOO_LARGE', {}],
  UNKNOWN_TOPIC_OR_PARTITION: ['UNKNOWN_TOPIC', {}],
  INVALID_TOPIC_EXCEPTION: ['UNKNOWN_TOPIC', {}],
  TOPIC_ALREADY_EXISTS: ['TOPIC_EXISTS', {}],
  // the id was not used for a week, its state at the broker is lost or out of step: a new producer starts over
  INVALID_PRODUCER_ID_MAPPING: transactionFailed,
  UNKNOWN_PRODUCER_ID: transactionFailed,
  OUT_OF_ORDER_SEQUENCE_NUMBER: transactionFailed,
  DUPLICATE_SEQUENCE_NUMBER: transactionFailed,
  TRANSACTION_ABORTABLE: transactionFailed,
  CONCURRENT_TRANSACTIONS: transactionFailed,
};

/** What passes by itself: an election, a restart, a coordinator that loads its state. */
const passing = new Set([
  'LEADER_NOT_AVAILABLE',
  'NOT_LEADER_FOR_PARTITION',
  'REQUEST_TIMED_OUT',
  'BROKER_NOT_AVAILABLE',
  'REPLICA_NOT_AVAILABLE',
  'NETWORK_EXCEPTION',
  'GROUP_LOAD_IN_PROGRESS',
  'GROUP_COORDINATOR_NOT_AVAILABLE',
  'NOT_COORDINATOR_FOR_GROUP',
  'NOT_ENOUGH_REPLICAS',
  'NOT_ENOUGH_REPLICAS_AFTER_APPEND',
  'NOT_CONTROLLER',
  'KAFKA_STORAGE_ERROR',
  'FENCED_LEADER_EPOCH',
  'UNKNOWN_LEADER_EPOCH',
  'OFFSET_NOT_AVAILABLE',
  'LISTENER_NOT_FOUND',
  'THROTTLING_QUOTA_EXCEEDED',
  'UNSTABLE_OFFSET_COMMIT',
  'CONCURRENT_TRANSACTIONS',
]);

/** A coordinator that moved or is not ready: ask again, perhaps another broker. */
const coordinatorPassing = new Set([
  'GROUP_LOAD_IN_PROGRESS',
  'GROUP_COORDINATOR_NOT_AVAILABLE',
  'NOT_COORDINATOR_FOR_GROUP',
  'CONCURRENT_TRANSACTIONS',
]);

const nameOf = (error: unknown): string => (error as { type?: string } | null)?.type ?? '';

export const isPassing = (nameOrError: unknown): boolean =>
  passing.has(typeof nameOrError === 'string' ? nameOrError : nameOf(nameOrError));
export const isCoordinatorPassing = (error: unknown): boolean => coordinatorPassing.has(nameOf(error));

/** A connection that could not be made, was lost, or did not answer: the request may or may not have arrived. */
export const isConnectionError = (error: unknown): boolean =>
  [
    'KafkaJSConnectionError',
    'KafkaJSConnectionClosedError',
    'KafkaJSRequestTimeoutError',
    'KafkaJSLockTimeout',
  ].includes((error as Error | null)?.name ?? '') ||
  (error instanceof LogError && error.code === 'LOG_UNAVAILABLE');

export const hasName = (error: unknown, ...names: string[]): boolean => names.includes(nameOf(error));

/** An error code in an answer, by its name, as kafkajs's own protocol errors have it. */
export class KafkaError extends Error {
  readonly type: string;

  constructor(code: number) {
    super(errorName(code));
    this.type = errorName(code);
  }
}

/** A LogError for a Kafka error by its name. */
export function refused(name: string, doing: string, cause?: unknown): LogError {
  const [code, flags] =
    known[name] ??
    (passing.has(name) ? unavailable : /AUTH|SASL|SECURITY/.test(name) ? forbidden : ['LOG_REFUSED', { fatal: false }]);
  return new LogError(code, `${doing}: ${name}`, { ...flags, cause });
}

export const refusedByCode = (code: number, doing: string): LogError => refused(errorName(code), doing);

export const closedError = (what: string): LogError => new LogError('LOG_CLOSED', `${what} is closed`);

/** Any error as a LogError. */
export function asLogError(error: unknown, doing: string): LogError {
  if (error instanceof LogError) return error;
  const name = nameOf(error);
  if (name !== '') return refused(name, doing, error);
  const message = error instanceof Error ? error.message : String(error);
  if (isConnectionError(error)) {
    return new LogError('LOG_UNAVAILABLE', `${doing}: ${message}`, { retriable: true, cause: error });
  }
  if (/SASL/.test((error as Error | null)?.name ?? '')) {
    return new LogError('LOG_REFUSED', `${doing}: ${message}`, { fatal: true, cause: error });
  }
  return new LogError('LOG_REFUSED', `${doing}: ${message}`, { cause: error });
}
