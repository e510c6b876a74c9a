import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BadRecordError, SeralError } from '../errors.ts';
import { readLines, TextFile } from '../log/ndjson.ts';
import type { ProfilesOptions } from '../profile/options.ts';
import type { LongTermProfile, ProfileProposals, ProfileRequest, ShortTermProfile } from '../profile/records.ts';
import { eventFromJson } from '../shop/behaviour.ts';
import { catalogFromJson, type CatalogItem } from '../shop/catalog.ts';
import { attributesFromJson } from '../shop/users.ts';
import type { LocalRecord } from '../stream/local-task.ts';
import { runLocal } from '../stream/local.ts';
import { profilesTopology } from '../../topologies/profiles.ts';
import { answerFromJson, answerToJson } from './answers.ts';

export type ProfileOutput =
  { topic: 'profile.short-term'; profile: ShortTermProfile } | { topic: 'profile.long-term'; profile: LongTermProfile };

export interface ReplayProfilesOptions {
  /** files; `-` for standard input or output */
  input: string;
  output: string;
  catalog: string | null;
  users: string | null;
  /** every profile that was given, in order, and not only the last of each user */
  history: boolean;
  /** where the answers are written, so that another replay may be given them */
  record: string | null;
  options: ProfilesOptions;
  /** what answers a request; null where nothing was recorded of it */
  answer: (request: ProfileRequest) => ProfileProposals | null | Promise<ProfileProposals | null>;
  cacheBytes: number;
  /** told of each row before the first event is read */
  onItem?: (item: CatalogItem) => void;
  /** told when catalog and users are read */
  onTables?: () => void;
  onProgress?: (bytes: number) => void;
}

export interface ReplayProfilesResult {
  events: number;
  requests: number;
  /** requests of which nothing was recorded */
  unanswered: number;
  users: number;
  profiles: number;
  /** records refused, by code */
  refused: Map<string, number>;
  counts: Map<string, number>;
  /** of the temporary state on disk */
  stateBytes: number;
}

/**
 * The profiles job over a file. Each request is answered before the log goes on, there is no budget and nothing expires: the
 * same events and the same answers give the same profiles.
 */
export async function replayProfiles(options: ReplayProfilesOptions): Promise<ReplayProfilesResult> {
  const folder = await mkdtemp(join(tmpdir(), 'seral-replay-'));
  const result: ReplayProfilesResult = {
    events: 0,
    requests: 0,
    unanswered: 0,
    users: 0,
    profiles: 0,
    refused: new Map(),
    counts: new Map(),
    stateBytes: 0,
  };
  const record = options.record === null ? null : new TextFile(options.record);
  const output = new TextFile(options.output);
  const asked: ProfileRequest[] = [];
  const last = new Map<string, ProfileOutput>();
  const given: ProfileOutput[] = [];
  const refuse = (code: string): void => void result.refused.set(code, (result.refused.get(code) ?? 0) + 1);
  const tables = {
    catalog: await readTable(options.catalog, catalogFromJson, ({ item_id }) => item_id, refuse, options.onItem),
    users: await readTable(options.users, attributesFromJson, ({ user_id }) => user_id, refuse),
  };
  // nobody retries in a replay: what was not recorded will not be the next time either
  const topology = profilesTopology({ ...options.options, requestsPerMinute: null, attempts: 1 });
  const projected = Object.fromEntries(
    topology.tables.map(({ name, project }) => [
      name,
      new Map([...tables[name as keyof typeof tables]].map(([key, row]) => [key, project(row)])),
    ]),
  );

  options.onTables?.();

  const answers = async function* (): AsyncGenerator<LocalRecord[]> {
    while (asked.length > 0) {
      const batch: LocalRecord[] = [];
      for (const request of asked.splice(0)) {
        result.requests++;
        const answer = (await options.answer(request)) ?? unanswered(request);
        if (answer.error === UNRECORDED) result.unanswered++;
        else await record?.write(`${JSON.stringify(answerToJson(answer))}\n`);
        batch.push({ source: 'proposals', key: request.user_id, value: answer });
      }
      yield batch;
    }
  };
  const inputs = async function* (): AsyncGenerator<LocalRecord[]> {
    for await (const lines of readLines(options.input, { onProgress: options.onProgress })) {
      const records: LocalRecord[] = [];
      for (const { value } of lines) {
        try {
          if (value === undefined) throw new BadRecordError('MALFORMED', 'not JSON');
          const event = eventFromJson(value);
          records.push({ source: 'events', key: event.user_id, value: event });
        } catch (error) {
          if (!(error instanceof BadRecordError)) throw error;
          refuse(error.code);
        }
      }
      result.events += records.length;
      // in pieces of an hour of a busy shop or so: an answer is not to come weeks late
      for (let i = 0; i < records.length; i += PIECE) {
        yield records.slice(i, i + PIECE);
        yield* answers();
      }
      for (const row of given.splice(0)) await output.write(`${JSON.stringify(row)}\n`);
    }
    yield* answers();
  };

  try {
    const done = await runLocal(topology, {
      inputs: inputs(),
      tables: projected,
      stateDir: folder,
      cacheBytes: options.cacheBytes,
      // a clock that stands: no deadline passes
      now: () => 0,
      commitEveryRecords: 1,
      onOutput: (sink, _key, value) => {
        if (sink === 'requests') asked.push(value as ProfileRequest);
        else if (value !== null) {
          const row = { topic: `profile.${sink}`, profile: value } as ProfileOutput;
          result.profiles++;
          last.set(`${row.profile.user_id}\0${sink}`, row);
          if (options.history) given.push(row);
        }
      },
      onDeadLetter: ({ code }) => refuse(code),
    });
    result.counts = done.counts;
    result.stateBytes = done.stateBytes;
    result.users = new Set([...last.values()].map(({ profile }) => profile.user_id)).size;
    const rows = options.history ? given : [...last].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
    for (const row of rows) await output.write(`${JSON.stringify(row)}\n`);
    if (result.events === 0 && result.refused.size > 0) {
      const codes = [...result.refused].map(([code, n]) => `${n} ${code}`).join(', ');
      throw new SeralError('NOTHING_READ', `every record of ${options.input} was refused: ${codes}`);
    }
    return result;
  } finally {
    await output.close();
    await record?.close();
    await rm(folder, { recursive: true, force: true });
  }
}

const PIECE = 200;
const UNRECORDED = 'NOT_RECORDED';

const unanswered = ({ request_id, user_id, kind, asked_at, prompt_version }: ProfileRequest): ProfileProposals => ({
  request_id,
  user_id,
  kind,
  asked_at,
  answered_at: asked_at,
  outcome: 'failed',
  error: UNRECORDED,
  profiler: 'none',
  prompt_version,
  embedder: null,
  proposals: [],
  dropped: [],
  prompt_tokens: 0,
  completion_tokens: 0,
});

async function readTable<T>(
  path: string | null,
  read: (json: unknown) => T,
  keyOf: (row: T) => string,
  refuse: (code: string) => void,
  onRow?: (row: T) => void,
): Promise<Map<string, T>> {
  const rows = new Map<string, T>();
  if (path === null) return rows;
  for await (const lines of readLines(path)) {
    for (const { value } of lines) {
      try {
        const row = read(value);
        rows.set(keyOf(row), row);
        onRow?.(row);
      } catch (error) {
        if (!(error instanceof BadRecordError)) throw error;
        refuse(error.code);
      }
    }
  }
  return rows;
}

/** Answers as they were recorded, by request_id. */
export async function recordedAnswers(path: string): Promise<Map<string, ProfileProposals>> {
  const answers = new Map<string, ProfileProposals>();
  for await (const lines of readLines(path)) {
    for (const { number, value } of lines) {
      const answer = answerFromJson(value, `${path}, line ${number}`);
      answers.set(answer.request_id, answer);
    }
  }
  return answers;
}
