/**
 * A SHA-256 chain a key: each record's link is the digest of the link before it and of what the record says, so that one
 * record lost, doubled or out of its place changes every link behind it. Its records are JSON and need no registry.
 */
import { createHash } from 'node:crypto';
import { DecodeError } from '../../src/errors.ts';
import type { Serde, Serdes } from '../../src/log/serde.ts';
import { Topology, type Codec, type Processor, type ProcessorContext } from '../../src/stream/topology.ts';

export interface Said {
  text: string;
  at: number;
}

export interface Link {
  n: number;
  digest: string;
}

export const linkAfter = (before: Link | undefined, text: string): Link => ({
  n: (before?.n ?? 0) + 1,
  digest: createHash('sha256')
    .update(`${before?.digest ?? ''} ${text}`)
    .digest('hex'),
});

const codec: Codec<Link> = {
  encode: (link) => Buffer.from(JSON.stringify(link)),
  decode: (bytes) => JSON.parse(bytes.toString()) as Link,
  size: () => 200,
};

export const chainTopology = (): Topology =>
  new Topology('chain')
    .source<Said>({ name: 'said', topic: 'chain.said', schema: 'Said', time: (said) => said.at })
    .store<Link>({ name: 'last', codec })
    .processor({
      name: 'link',
      from: ['said'],
      stores: ['last'],
      create: (context: ProcessorContext): Processor<Said> => {
        const last = context.store<Link>('last');
        return {
          keys: (record, want) => want('last', record.key),
          process: ({ key, value }) => {
            const link = linkAfter(last.get(key), value.text);
            last.put(key, link);
            context.forward('links', key, link);
          },
        };
      },
    })
    .sink({ name: 'links', from: ['link'], topic: 'chain.links', schema: 'Link' });

/** JSON, whatever the schema. */
export const jsonSerdes: Serdes = {
  serde: <T>() =>
    Promise.resolve<Serde<T>>({
      decode: (bytes) => {
        if (bytes === null) throw new DecodeError('NULL_VALUE', 'no value');
        return JSON.parse(bytes.toString()) as T;
      },
      encode: (value) => Buffer.from(JSON.stringify(value)),
      prepare: () => undefined,
    }),
  close: () => Promise.resolve(),
};
