/**
 * The jars of Kafka and of the schema registry, fetched with Maven by the names in pom.xml and kept under
 * node_modules/.cache/seral/ from one run to the next.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';

const exec = promisify(execFile);
const pom = join(import.meta.dirname, 'pom.xml');
const cache = resolve(import.meta.dirname, '../../node_modules/.cache/seral');

export const works = (command: string, ...args: string[]): Promise<boolean> =>
  exec(command, args, { timeout: 20_000 }).then(
    () => true,
    () => false,
  );

/** Whether this machine can run the jars and, if they are not here yet, fetch them. */
export const hasJava = async (): Promise<boolean> =>
  (await works('java', '-version')) && (await works('mvn', '-version'));

/** The folder of a profile's artifacts; another pom is another folder. */
async function fetched(profile: 'kafka' | 'registry', goal: string): Promise<string> {
  const digest = createHash('sha256').update(readFileSync(pom)).digest('hex').slice(0, 12);
  const folder = join(cache, `${profile}-${digest}`);
  if (existsSync(folder)) return folder;
  mkdirSync(cache, { recursive: true });
  // filled aside and then renamed, so that a broken or a second download never shows as a whole one
  const aside = mkdtempSync(join(cache, `${profile}-`));
  try {
    const out = join(aside, 'out');
    const args = ['-q', '-B', '-f', pom, '-P', profile, goal];
    args.push(`-DoutputDirectory=${out}`, `-Dscratch=${join(aside, 'build')}`);
    await exec('mvn', args, { timeout: 600_000, maxBuffer: 16 << 20 });
    try {
      renameSync(out, folder);
    } catch (error) {
      if (!existsSync(folder)) throw error;
    }
  } finally {
    rmSync(aside, { recursive: true, force: true });
  }
  return folder;
}

/** The class path of the broker and its tools. */
export const kafkaClassPath = async (): Promise<string> =>
  join(await fetched('kafka', 'dependency:copy-dependencies'), '*');

/** The registry's runnable jar. */
export async function registryJar(): Promise<string> {
  const folder = await fetched('registry', 'dependency:unpack-dependencies');
  const jar = readdirSync(folder).find((name) => name.endsWith('-runner.jar'));
  if (jar === undefined) throw new Error(`no runnable jar in ${folder}`);
  return join(folder, jar);
}
