/** From facts to findings. Pure: the same facts give the same page. */
import type { Config } from '../config.ts';
import { known, type Answer, type Facts, type FolderFacts } from './facts.ts';
import { Area, type Finding } from './findings.ts';
import { judgeLog } from './judge-log.ts';

const LEAST_NODE = [22, 18] as const;
const MB = 1024 ** 2;

export function judge(facts: Facts): Finding[] {
  const areas = [judgeProcess(facts)];
  if (facts.config !== null) {
    if (facts.stateDir !== null) areas.push(judgeFolder(facts.stateDir));
    if (facts.log !== null) areas.push(...judgeLog(facts.log, facts.config));
    if (facts.registry !== null) areas.push(judgeRegistry(facts.registry, facts.config));
  }
  return areas.flatMap(({ findings }) => findings);
}

function judgeProcess({ configFile, configProblems, node, rocksdb }: Facts): Area {
  const area = new Area('this machine');
  for (const problem of configProblems) {
    area.error('CONFIG_INVALID', `${configFile}: ${problem}`, 'mend it; seral.yaml of the project shows every key');
  }
  if (configProblems.length === 0) area.ok('CONFIG', `configuration: ${configFile}`);
  const [major = 0, minor = 0] = node.split('.').map(Number);
  if (major > LEAST_NODE[0] || (major === LEAST_NODE[0] && minor >= LEAST_NODE[1])) area.ok('NODE', `Node ${node}`);
  else area.error('NODE_TOO_OLD', `Node ${node}`, `use ${LEAST_NODE.join('.')} or later; npm ci brings one`);
  if (known(rocksdb)) area.ok('ROCKSDB', 'RocksDB loads');
  else {
    const todo = 'slim images lack libatomic: apt-get install libatomic1; else npm ci again, on this machine';
    area.error('ROCKSDB_UNUSABLE', `RocksDB does not load: ${rocksdb.problem}`, todo);
  }
  return area;
}

function judgeFolder(stateDir: Answer<FolderFacts>): Area {
  const area = new Area('state on disk');
  if (!known(stateDir)) {
    area.error('STATE_DIR_UNUSABLE', stateDir.problem, 'make runtime.stateDir a folder that can be written');
    return area;
  }
  const { path, looked, writable, fileSystem, freeBytes, totalBytes } = stateDir.value;
  if (!writable) {
    area.error('STATE_DIR_READ_ONLY', `${looked} cannot be written`, `let this user write ${path} (runtime.stateDir)`);
  } else area.ok('STATE_DIR', `${path} can be written`);
  const share = totalBytes === 0 ? 0 : freeBytes / totalBytes;
  const gigabytes = (bytes: number): string => `${(bytes / 1024 / MB).toFixed(1)} GB`;
  const free = `${gigabytes(freeBytes)} free of ${gigabytes(totalBytes)}`;
  const room = 'make room, or move runtime.stateDir: RocksDB needs about twice the state while it compacts';
  if (freeBytes < 256 * MB) area.error('DISK_FULL', free, room);
  else if (freeBytes < 2048 * MB || share < 0.05) area.warning('DISK_LOW', free, room);
  else area.ok('DISK', free);
  if (fileSystem === 'tmpfs' || fileSystem === 'ramfs') {
    const todo = 'put runtime.stateDir on a disk: there, state takes memory, and each start restores all of it';
    area.warning('STATE_IN_MEMORY', `${path} lies in memory (${fileSystem})`, todo);
  } else if (['nfs', 'cifs', 'smb', 'smb2', 'fuse', '9p'].includes(fileSystem)) {
    const todo = 'put runtime.stateDir on a local disk: locks and latency of a remote one are not what RocksDB expects';
    area.warning('STATE_REMOTE', `${path} lies on ${fileSystem}`, todo);
  } else if (fileSystem === 'overlay') {
    const todo = 'give runtime.stateDir a volume, if a new container is not to restore everything';
    area.note('STATE_IN_CONTAINER', `${path} lies in the container's own layer`, todo);
  }
  return area;
}

function judgeRegistry(registry: NonNullable<Facts['registry']>, config: Config): Area {
  const area = new Area('schema registry');
  if (!known(registry)) {
    const todo = `see that it runs, and that registry.url (${config.registry.url}) is its address`;
    area.error(registry.code === 'NO_ANSWER' ? 'REGISTRY_UNAVAILABLE' : registry.code, registry.problem, todo);
    return area;
  }
  const checks = registry.value;
  for (const { state, subject, schema, problems } of checks) {
    if (state === 'new') {
      area.error('SCHEMA_NOT_REGISTERED', `${subject} has no schema`, 'seral schemas register');
    } else if (state === 'compatible') {
      const what = `${subject} does not have this version's ${schema}`;
      area.error('SCHEMA_NOT_REGISTERED', what, 'it may be registered: seral schemas register');
    } else if (state === 'incompatible') {
      const todo = 'give the changed fields defaults, or write to a new topic: CONTRIBUTING.md has the rules';
      area.error('SCHEMA_INCOMPATIBLE', `${subject}: this version's ${schema} ${problems.join('; ')}`, todo);
    }
  }
  const right = checks.filter(({ state }) => state === 'registered').length;
  if (right === checks.length) area.ok('SCHEMAS', `${right} subjects registered and readable`);
  return area;
}

export const exitCodeOf = (findings: readonly Finding[]): number =>
  findings.some(({ severity }) => severity === 'error') ? 1 : 0;
