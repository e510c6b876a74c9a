import { isUtf8 } from 'node:buffer';
import { DecodeError } from '../errors.ts';
import { intern } from './interner.ts';

/** Keys are UTF-8 strings: ids, which are opaque. */
export function decodeKey(bytes: Buffer | null): string {
  if (bytes === null) throw new DecodeError('NULL_KEY', 'the record has no key');
  const known = intern(bytes, 0, bytes.length);
  if (known !== undefined) return known;
  const key = bytes.toString('utf8');
  // the replacement character is the only trace of bad bytes, and rare enough to be asked about
  if (key.includes('\ufffd') && !isUtf8(bytes)) throw new DecodeError('INVALID_UTF8', 'the key is not UTF-8');
  return key;
}

export const encodeKey = (key: string): Buffer => Buffer.from(key, 'utf8');
