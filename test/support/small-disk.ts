/** A disk that can be filled and made read-only: a tmpfs, for which one must be root. */
import { execFile } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { promisify } from 'node:util';
import { messageOf } from '../../src/errors.ts';

const exec = promisify(execFile);

export interface SmallDisk {
  readonly path: string;
  resize(bytes: number): Promise<void>;
  readOnly(is: boolean): Promise<void>;
  /** Takes it away, whoever still has files open on it. */
  remove(): Promise<void>;
}

/** Null where this machine does not let us; why goes to `refused`. */
export async function smallDisk(
  path: string,
  bytes: number,
  refused: (why: string) => void,
): Promise<SmallDisk | null> {
  mkdirSync(path, { recursive: true });
  try {
    await exec('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', path]);
  } catch (error) {
    refused(messageOf(error).trim());
    return null;
  }
  const remount = async (options: string): Promise<void> => {
    await exec('mount', ['-o', `remount,${options}`, path]);
  };
  return {
    path,
    resize: (size) => remount(`size=${size}`),
    readOnly: (is) => remount(is ? 'ro' : 'rw'),
    async remove() {
      await exec('umount', ['-l', path]);
    },
  };
}
