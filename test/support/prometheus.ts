/**
 * Prometheus' programs, for the tests that need them: where PROMETHEUS or PROMTOOL says, else on the PATH. Where one is not
 * there its tests do not run, and one loud line says so; under CI=true that is a failure, unless WITHOUT_PROMETHEUS says that it
 * could not be had.
 */
import { execFileSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Where it is; null: nowhere, which was said. Throws under CI=true without WITHOUT_PROMETHEUS. */
export function prometheusProgram(name: 'prometheus' | 'promtool'): string | null {
  const variable = name.toUpperCase();
  const named = process.env[variable]?.trim() || null;
  const places = named === null ? (process.env['PATH'] ?? '').split(delimiter).map((at) => join(at, name)) : [named];
  const found = places.find(runs);
  if (found !== undefined) return found;
  const line = `TESTS OF THE ALERTS DID NOT RUN: there is no ${name} on the PATH (or set ${variable})`;
  if (process.env['CI'] === 'true' && process.env['WITHOUT_PROMETHEUS'] === undefined) throw new Error(line);
  console.error(`\n!!! ${line}\n`);
  return null;
}

function runs(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    execFileSync(file, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
