/**
 * The configuration: one YAML file, every key of which an environment variable may override. `compileConfig` is pure and
 * names every problem at once; nothing starts on a configuration that has one.
 *
 * The variable of a key is SERAL_ and its path in capitals, with `_` between the parts and between the words of a part:
 * `labels.visitDays` is SERAL_LABELS_VISIT_DAYS. A list is written with commas; an empty variable counts as none.
 */
import { parseDocument } from 'yaml';
import { z } from 'zod';
import { ConfigError } from '../errors.ts';
import { closest } from './closest.ts';
import { checks } from './config-checks.ts';
import { configSchema, SECRETS, type Config } from './config-schema.ts';
import { variableOf } from './variables.ts';

export { variableOf } from './variables.ts';
export type { Config } from './config-schema.ts';

export interface CompiledConfig {
  config: Config;
}

/** The variable that holds the path of the configuration file. */
export const CONFIG_VARIABLE = 'SERAL_CONFIG';

/** What Kubernetes sets in every pod for a service whose name begins with `seral`. */
const SERVICE_LINK = /_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT|PORT_\d+_(TCP|UDP)(_\w+)?)$/;
/** The address that it sets beside them: a service `seral-http` would give SERAL_HTTP_PORT, which is a key's. */
const SERVICE_ADDRESS = /^(tcp|udp|sctp):\/\//;

type Path = readonly string[];
type Tree = { [key: string]: unknown };

/** The paths of all keys that hold a value. */
export const leaves: readonly Path[] = leavesOf(configSchema, []);
const pathByVariable = new Map(leaves.map((path) => [variableOf(path), path]));

/** `source` is the YAML text, or what it would parse to. Throws ConfigError with every problem. */
export function compileConfig(source: string | object | null, env: Record<string, string | undefined>): CompiledConfig {
  const problems: string[] = [];
  const tree = treeOf(source, problems);
  problems.push(...inlineSecrets(tree));
  const overridden = override(tree, env, problems);

  const config: Tree = {};
  for (const [key, section] of Object.entries(configSchema.shape)) {
    const result = section.safeParse(tree[key]);
    if (result.success) {
      config[key] = result.data;
      problems.push(...(checks[key]?.(result.data) ?? []));
    } else {
      problems.push(...result.error.issues.flatMap((issue) => said(issue, [key], overridden)));
    }
  }
  for (const key of Object.keys(tree)) {
    if (!(key in configSchema.shape)) problems.push(unknownKey([key], Object.keys(configSchema.shape)));
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return { config: config as Config };
}

function treeOf(source: string | object | null, problems: string[]): Tree {
  if (source === null) return {};
  let value: unknown = structuredClone(source);
  if (typeof source === 'string') {
    const document = parseDocument(source, { prettyErrors: true });
    if (document.errors.length > 0) {
      problems.push(...document.errors.map((error) => `not YAML: ${error.message.split('\n')[0]!.replace(/:$/, '')}`));
      return {};
    }
    value = document.toJS() ?? {};
  }
  if (isTree(value)) return withoutEmptySections(value, configSchema) as Tree;
  problems.push('the file is not a mapping of keys to values');
  return {};
}

const isTree = (value: unknown): value is Tree => typeof value === 'object' && value !== null && !Array.isArray(value);

/** A section whose keys are all commented out is null in YAML, and means its defaults. */
function withoutEmptySections(tree: Tree, schema: z.ZodObject): Tree {
  for (const [key, inner] of Object.entries(schema.shape)) {
    const object = objectOf(inner);
    if (object === null || !(key in tree)) continue;
    if (tree[key] === null) delete tree[key];
    else if (isTree(tree[key])) withoutEmptySections(tree[key], object);
  }
  return tree;
}

function override(tree: Tree, env: Record<string, string | undefined>, problems: string[]): Map<string, string> {
  const overridden = new Map<string, string>();
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith('SERAL_') || name === CONFIG_VARIABLE || value === undefined || value === '') continue;
    if (name.endsWith('_PORT') && SERVICE_ADDRESS.test(value)) continue;
    const path = pathByVariable.get(name);
    if (path === undefined) {
      if (SERVICE_LINK.test(name)) continue;
      problems.push(`${name}: no key has this variable${didYouMean(name, [...pathByVariable.keys()])}`);
      continue;
    }
    let at = tree;
    for (const part of path.slice(0, -1)) at = (isTree(at[part]) ? at[part] : (at[part] = {})) as Tree;
    at[path.at(-1)!] = value;
    overridden.set(path.join('.'), name);
  }
  return overridden;
}

function inlineSecrets(tree: Tree): string[] {
  return SECRETS.flatMap((secret) => {
    const path = secret.split('.');
    let at: unknown = tree;
    for (const part of path) at = isTree(at) ? at[part] : undefined;
    if (at === undefined || at === null) return [];
    return [`${secret}: a secret may not stand in the file: set ${variableOf(path)}, or name a file in ${secret}File`];
  });
}

function said(issue: z.core.$ZodIssue, section: Path, overridden: Map<string, string>): string[] {
  const path = [...section, ...issue.path.map(String)];
  if (issue.code === 'unrecognized_keys') {
    const known = leaves.filter((leaf) => startsWith(leaf, path)).map((leaf) => leaf[path.length]!);
    return issue.keys.map((key) => unknownKey([...path, key], [...new Set(known)]));
  }
  if (issue.code === 'invalid_type' && objectOf(schemaAt(path)) !== null) {
    return [`${path.join('.')}: expected a section of keys`];
  }
  const secret = (SECRETS as readonly string[]).includes(path.join('.'));
  const from = overridden.get(path.join('.'));
  return [`${path.join('.')}${from === undefined ? '' : ` (${from})`}: ${secret ? 'expected a text' : issue.message}`];
}

const startsWith = (path: Path, start: Path): boolean => start.every((part, i) => path[i] === part);

const unknownKey = (path: Path, known: string[]): string =>
  `${path.join('.')}: unknown key${didYouMean(path.at(-1)!, known)}`;

const didYouMean = (word: string, known: string[]): string => {
  const near = closest(word, known);
  return near === null ? '' : `; did you mean ${near}?`;
};

/** The object that a section's schema wraps; null for a key that holds a value. */
function objectOf(schema: unknown): z.ZodObject | null {
  if (schema instanceof z.ZodObject) return schema;
  return schema instanceof z.ZodPrefault ? objectOf(schema.unwrap()) : null;
}

function schemaAt(path: Path): unknown {
  let at: unknown = configSchema;
  for (const part of path) at = objectOf(at)?.shape[part];
  return at;
}

function leavesOf(schema: z.ZodObject, above: Path): Path[] {
  return Object.entries(schema.shape).flatMap(([key, inner]) => {
    const object = objectOf(inner);
    return object === null ? [[...above, key]] : leavesOf(object, [...above, key]);
  });
}
