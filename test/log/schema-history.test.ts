import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Type } from 'avsc';
import { expect, test } from 'vitest';
import { embeddedId, embeddedSerdes } from '../../src/log/registry/embedded.ts';
import { schemasFolder } from '../../src/log/schemas.ts';

const history = join(schemasFolder, 'history');
const old = readdirSync(history).flatMap((name) =>
  readdirSync(join(history, name)).map((file) => ({ name, schema: readFileSync(join(history, name, file), 'utf8') })),
);

test('what was written with a schema of before is read with that of now, missing fields by their defaults', async () => {
  const serdes = await embeddedSerdes();
  for (const { name, schema } of old) {
    const given = Type.forSchema(JSON.parse(schema)).random() as object;
    const bytes = Type.forSchema(JSON.parse(schema)).toBuffer(given);
    const head = Buffer.alloc(5);
    head.writeUInt32BE(embeddedId(schema), 1);
    const serde = await serdes.serde<object>('any', name);
    expect(Object.keys(serde.decode(Buffer.concat([head, bytes])))).toEqual(expect.arrayContaining(Object.keys(given)));
  }
  expect(old.map(({ name }) => name)).toContain('CatalogItem');
  await serdes.close();
});
