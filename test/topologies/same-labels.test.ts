/** The topologies on the embedded log and over a file: the oracle's labels and metrics, both times. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { embeddedLog } from '../../src/log/embedded/index.ts';
import { embeddedSerdes } from '../../src/log/registry/embedded.ts';
import { oracle } from '../oracle/oracle.ts';
import { newPlace } from '../support/apart.ts';
import { arrivalsOf } from './arrivals.ts';
import { onALog } from './on-a-log.ts';
import { overAFile } from './over-a-file.ts';

test('the labels and metrics of real baskets are the same on the embedded log, over a file and by the oracle', async () => {
  const place = newPlace('same', 3);
  const { expected, ...input } = await arrivalsOf(2000, 1, place.partitions);
  expect(expected.labels.length).toBeGreaterThan(1000);
  // what the catalog fills in decides labels
  expect(oracle(input.arrivals).labels).not.toEqual(expected.labels);

  expect(await overAFile(input)).toEqual(expected);

  const path = await mkdtemp(join(tmpdir(), 'seral-same-labels-'));
  const log = await embeddedLog({ path });
  const serdes = await embeddedSerdes();
  try {
    expect(await onALog(log, serdes, place, input)).toEqual(expected);
  } finally {
    await serdes.close();
    await log.close();
    await rm(path, { recursive: true, force: true });
  }
});
