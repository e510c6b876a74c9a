import { readLines } from '../src/log/ndjson.ts';
import { REGENERATION_DEFAULTS } from '../src/serengpt/options.ts';
import type { RegenerationRequest } from '../src/serengpt/records.ts';
import { eventFromJson } from '../src/shop/behaviour.ts';
import type { LocalRecord } from '../src/stream/local-task.ts';
import { runLocal, type LocalRunStats } from '../src/stream/local.ts';
import { regenerationTopology } from '../topologies/regeneration.ts';
import { answerTo } from './asked.ts';
import { itemsOf } from './generate.ts';
import { checkRounds } from './rounds.ts';

/** About what a live job commits at a time. */
const PIECE = 1000;

export interface Regenerated {
  stats: LocalRunStats;
  requests: RegenerationRequest[];
}

/** The topology `regeneration` over a generated log: each round is answered before the next events come. */
export async function regenerateFile(
  input: string,
  { folder, cacheBytes, seed }: { folder: string; cacheBytes: number; seed: string },
  onTables: () => void,
): Promise<Regenerated> {
  const topology = regenerationTopology({ ...REGENERATION_DEFAULTS, partitions: 1 });
  const { project } = topology.tables.find(({ name }) => name === 'catalog')!;
  const catalog = new Map([...itemsOf({ seed })].map((item) => [item.item_id, project(item)]));
  onTables();
  const requests: RegenerationRequest[] = [];
  let answered = 0;
  const answers = function* (): Generator<LocalRecord[]> {
    while (answered < requests.length) {
      const open = requests.slice(answered);
      answered = requests.length;
      yield open.map((request) => ({ source: 'retrieved', key: request.user_id, value: answerTo(request, []) }));
    }
  };
  const inputs = async function* (): AsyncGenerator<LocalRecord[]> {
    for await (const lines of readLines(input)) {
      const records = lines.map(({ value }): LocalRecord => {
        const event = eventFromJson(value);
        return { source: 'events', key: event.user_id, value: event };
      });
      for (let i = 0; i < records.length; i += PIECE) {
        yield records.slice(i, i + PIECE);
        yield* answers();
      }
    }
  };
  const stats = await runLocal(topology, {
    inputs: inputs(),
    tables: { catalog },
    stateDir: folder,
    cacheBytes,
    // a clock that stands: no deadline passes
    now: () => 0,
    commitEveryRecords: 1,
    onOutput: (_sink, _key, value) => requests.push(value as RegenerationRequest),
    onDeadLetter: ({ code, error }) => {
      throw new Error(`${code}: ${error}`);
    },
  });
  if (answered !== requests.length) throw new Error(`${requests.length - answered} rounds have no answer`);
  checkRounds(requests, stats.counts);
  return { stats, requests };
}
