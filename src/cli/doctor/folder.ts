import { accessSync, constants, existsSync, statfsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { FolderFacts } from './facts.ts';

/** What statfs(2) calls them, of those that matter for a store. */
const FILE_SYSTEMS: Record<number, string> = {
  0x01021994: 'tmpfs',
  0x858458f6: 'ramfs',
  0x6969: 'nfs',
  0xff534d42: 'cifs',
  0xfe534d42: 'smb2',
  0x517b: 'smb',
  0x65735546: 'fuse',
  0x01021997: '9p',
  0x794c7630: 'overlay',
  0xef53: 'ext4',
  0x58465342: 'xfs',
  0x9123683e: 'btrfs',
  0x2fc12fc1: 'zfs',
};

/** Makes nothing: a folder that is not there yet is judged by the one that it would be made in. */
export function folderFacts(path: string): FolderFacts {
  let looked = resolve(path);
  while (!existsSync(looked) && dirname(looked) !== looked) looked = dirname(looked);
  const { type, bavail, blocks, bsize } = statfsSync(looked);
  return {
    path,
    looked,
    writable: isWritable(looked),
    // the kernel's number is unsigned, and some platforms hand it over signed
    fileSystem: FILE_SYSTEMS[type >>> 0] ?? `0x${(type >>> 0).toString(16)}`,
    freeBytes: bavail * bsize,
    totalBytes: blocks * bsize,
  };
}

function isWritable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
