/**
 * Hands the `broker` project's tests a Kafka and a schema registry: KAFKA_BROKERS and SCHEMA_REGISTRY_URL where they
 * are set, else ones of our own from jars (Java and Maven) or images (Docker). Where there is none, the tests show as
 * skipped and one line says so; under CI=true that is a failure.
 */
import { globSync } from 'node:fs';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { messageOf } from '../../src/errors.ts';
import { startKafka, startRegistry } from './kafka-harness.ts';

declare module 'vitest' {
  interface ProvidedContext {
    kafkaBrokers: string | null;
    registryUrl: string | null;
  }
}

type Stop = () => Promise<void>;

export default async function setup(project: TestProject): Promise<Stop> {
  const stops: Stop[] = [];
  const problems: string[] = [];
  const given = (name: string): string | null => process.env[name]?.trim() || null;

  /** What a variable names, else what `start` starts. */
  const find = async (variable: string, start: () => Promise<{ at: string; stop: Stop }>): Promise<string | null> => {
    const named = given(variable);
    if (named !== null) return named;
    try {
      const { at, stop } = await start();
      stops.push(stop);
      return at;
    } catch (error) {
      problems.push(`${messageOf(error)} (or set ${variable})`);
      return null;
    }
  };

  const [kafkaBrokers, registryUrl] = await Promise.all([
    find('KAFKA_BROKERS', async () => {
      const kafka = await startKafka();
      return { at: kafka.brokers, stop: () => kafka.stop() };
    }),
    find('SCHEMA_REGISTRY_URL', async () => {
      const registry = await startRegistry();
      return { at: registry.url, stop: () => registry.stop() };
    }),
  ]);
  const stopAll = async (): Promise<void> => {
    await Promise.all(stops.map((stop) => stop()));
  };
  if (problems.length > 0) {
    const suites = globSync('**/*.broker.test.ts', { cwd: join(project.config.root, 'test') }).length;
    const line = `BROKER TESTS DID NOT RUN, all or in part (${suites} suites): ${problems.join('; ')}`;
    if (process.env.CI === 'true') {
      await stopAll();
      throw new Error(line);
    }
    console.error(`\n!!! ${line}\n`);
  }
  project.provide('kafkaBrokers', kafkaBrokers);
  project.provide('registryUrl', registryUrl);
  return stopAll;
}
