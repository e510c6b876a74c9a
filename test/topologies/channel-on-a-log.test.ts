import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'vitest';
import { embeddedLog } from '../../src/log/embedded/index.ts';
import { embeddedSerdes } from '../../src/log/registry/embedded.ts';
import { regenerateOnALog } from './channel-on-a-log.ts';

test('every user is generated for once a round, whoever comes, goes or is cut off meanwhile', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'seral-channel-'));
  const log = await embeddedLog({ path: join(folder, 'log') });
  const serdes = await embeddedSerdes();
  try {
    await regenerateOnALog(log, serdes, null);
  } finally {
    await serdes.close();
    await log.close();
    await rm(folder, { recursive: true });
  }
});
