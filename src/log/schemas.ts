import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { RegistryError, messageOf } from '../errors.ts';

/** The schemas that come with the project. */
export const schemasFolder = join(import.meta.dirname, '../../schemas');

/** A file of schemas/ by its name, as compact JSON: what is registered and looked up. */
export async function readSchema(name: string, folder = schemasFolder): Promise<string> {
  const path = join(folder, `${name}.avsc`);
  try {
    return JSON.stringify(JSON.parse(await readFile(path, 'utf8')));
  } catch (error) {
    throw new RegistryError('SCHEMA_FILE', `the schema ${name} cannot be read: ${messageOf(error)}`, {
      cause: error,
      fatal: true,
    });
  }
}

/** Every schema of a folder and what lies below it, old versions too. */
export async function readSchemas(folder = schemasFolder): Promise<string[]> {
  const files = (await readdir(folder, { recursive: true })).filter((file) => file.endsWith('.avsc')).sort();
  return Promise.all(files.map((file) => readSchema(file.slice(0, -'.avsc'.length), folder)));
}

/** The name of the subject that holds a topic's value schemas. */
export const subjectOf = (topic: string, prefix = ''): string => `${prefix}${topic}-value`;
