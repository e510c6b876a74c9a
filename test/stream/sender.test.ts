import { expect, it } from 'vitest';
import { Sender } from '../../src/stream/sender.ts';
import type { OutRecord, TransactionalProducer } from '../../src/log/port.ts';

it('makes processing wait once, however far what is unsent is over its bound', async () => {
  const sent: number[] = [];
  const producer = {
    send: async (records: readonly OutRecord[]) => {
      await new Promise((wake) => setTimeout(wake, 1));
      sent.push(records.length);
    },
  } as unknown as TransactionalProducer;
  const sender = new Sender(producer, 100);
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 10; i++) sender.push({ topic: 't', key: null, value: Buffer.alloc(50) });
    await sender.go();
  }
  await sender.drain();
  expect(sent).toEqual([10, 10, 10]);
});
