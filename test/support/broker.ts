/** For tests of the `broker` project: where the broker and the registry are, and suites that are skipped without them. */
import { describe, inject } from 'vitest';

export const kafkaBrokers: string = inject('kafkaBrokers') ?? '';
export const registryUrl: string = inject('registryUrl') ?? '';

export const describeWithKafka = describe.skipIf(kafkaBrokers === '');
export const describeWithRegistry = describe.skipIf(registryUrl === '');
export const describeWithKafkaAndRegistry = describe.skipIf(kafkaBrokers === '' || registryUrl === '');
