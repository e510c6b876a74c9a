/** What `seral forget` found, for people and for programs. */
import type { Compacted, Retained } from './forget-proof.ts';
import { ERASURES, type ForgetReport, type Progress } from './forget.ts';
import { table } from './table.ts';
import { plain } from './words.ts';

/** JSON knows no infinity: `never`. Times as ISO 8601. */
export function asJson({ retained, request, erasedUntil, ...rest }: ForgetReport): object {
  return {
    ...rest,
    request: request === null ? null : { topic: ERASURES, ...request, requestedAt: iso(request.requestedAt) },
    erasedUntil: erasedUntil === null ? null : iso(erasedUntil),
    retained: retained.map(({ newest, goneBy, ...where }) => ({
      ...where,
      newest: newest === null ? null : iso(newest),
      goneBy: goneBy === null ? null : goneBy === Infinity ? 'never' : iso(goneBy),
    })),
  };
}

export function page(report: ForgetReport): string {
  const { user, request, topologies, compacted, retained, missing, erased } = report;
  const name = plain(user);
  const asked =
    request === null
      ? `${name}: no request is in ${ERASURES}`
      : `${name}: asked ${iso(request.requestedAt)} (${ERASURES} ${request.partition}:${request.offset})`;
  const parts = [
    asked,
    table(
      ['TOPOLOGY', 'GROUP', ''],
      topologies.map((one) => [one.topology, one.group, progressInWords(one)]),
    ),
    table(
      ['STATE', 'WHERE IT IS KEPT', 'OF THE USER'],
      compacted.map((row) => [
        row.store === null ? 'compacted topic' : `${row.topology} ${row.store}`,
        `${row.topic}/${row.partition}`,
        compactedInWords(row),
      ]),
    ),
    table(
      ['KEPT BY TIME', 'THE LAST COPY IS GONE BY'],
      retained.map((row) => [`${row.topic}/${row.partition}`, retainedInWords(row)]),
    ),
  ];
  if (missing.length > 0) parts.push(`not there: ${missing.join(', ')}`);
  const left = compacted.flatMap((row) => row.left);
  const behind = topologies.filter(({ state }) => state === 'behind');
  if (left.length > 0) parts.push(`${left.length} record(s) of ${name} are left`);
  if (behind.length > 0) parts.push(`not there yet: ${behind.map(({ topology }) => topology).join(', ')}`);
  for (const { topic } of compacted.filter(({ foreign }) => foreign)) {
    parts.push(`${topic} is written by others: what feeds it must stop sending ${name}`);
  }
  if (erased) parts.push(`nothing of ${name} is left in any store or compacted topic`);
  parts.push(
    'A store is what its changelog is; the disk of a worker that runs is locked, and follows at the same commit.',
  );
  return `${parts.map((part) => part.trimEnd()).join('\n\n')}\n`;
}

function progressInWords({ state, members }: Progress): string {
  if (state === 'passed') return 'has erased the user';
  if (state === 'never ran') return 'never ran';
  return members === 0 ? 'has not got there: it is not running' : 'has not got there yet';
}

function compactedInWords({ deleted, superseded, cutOffs, since, left }: Compacted): string {
  const parts: string[] = [];
  if (left.length > 0) parts.push(`LEFT: ${some(left)}`);
  if (cutOffs.length > 0) parts.push(`the cut-off: ${some(cutOffs)}`);
  if (since.length > 0) parts.push(`came since: ${some(since)}`);
  if (deleted > 0) parts.push(`${deleted} deleted`);
  if (superseded > 0) parts.push(`${superseded} earlier record(s) until compaction`);
  return parts.length === 0 ? 'nothing' : parts.join('; ');
}

function retainedInWords({ newest, goneBy }: Retained): string {
  if (newest === null || goneBy === null) return 'nothing is there';
  const last = `(newest ${iso(newest)})`;
  return goneBy === Infinity ? `never ${last}: the topic keeps for ever` : `${iso(goneBy).slice(0, 10)} ${last}`;
}

const SHOWN = 5;
const some = (keys: readonly string[]): string => {
  const shown = keys.slice(0, SHOWN).map(plain).join(', ');
  return keys.length > SHOWN ? `${shown} and ${keys.length - SHOWN} more` : shown;
};

const iso = (time: number): string => new Date(time).toISOString();
