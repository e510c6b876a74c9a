import type { Codec } from '../stream/topology.ts';
import { decodeUser, encodeUser } from './codec.ts';
import { Dictionary } from './dictionary.ts';
import type { User } from './user.ts';

export interface WindowCodecs {
  /** the dictionary in use, for `Windows` */
  dictionary: () => Dictionary;
  /** of the store `today` */
  recentLog: Codec<User>;
  /** of the store `past` */
  closedDay: Codec<Buffer>;
}

/** The codecs of a topology that keeps windows: its users share one dictionary of names. */
export function windowCodecs(): WindowCodecs {
  let names = new Dictionary();
  const dictionary = (): Dictionary => (names.full ? (names = new Dictionary()) : names);
  return {
    dictionary,
    recentLog: {
      encode: encodeUser,
      decode: (bytes) => decodeUser(bytes, dictionary()),
      size: (user) => user.bytes,
    },
    closedDay,
  };
}

/** A closed day stays in bytes: it is read once, into the index over the past, when its user is loaded. */
const closedDay: Codec<Buffer> = {
  encode: (bytes) => bytes,
  decode: (bytes) => bytes,
  size: (bytes) => bytes.length + 100,
};
