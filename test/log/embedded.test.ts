import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { embeddedLog } from '../../src/log/embedded/index.ts';
import { logContract } from './contract.ts';

logContract('the embedded log', async () => {
  const path = await mkdtemp(join(tmpdir(), 'seral-log-'));
  const log = await embeddedLog({ path });
  return {
    log,
    trim: (partition, before) => log.trim(partition, before),
    close: () => rm(path, { recursive: true, force: true }),
  };
});
