/** A producer that is closed while it still connects: neither `open` nor `close` may wait for ever. */
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { kafkaLog } from '../../src/log/kafka/index.ts';

let server: Server;
let accepted: Socket[];

beforeEach(async () => {
  accepted = [];
  // takes connections and never answers
  server = createServer((socket) => accepted.push(socket.on('error', () => {})));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterEach(() => {
  for (const socket of accepted) socket.destroy();
  server.close();
});

// after so many turns of the event loop: before there is a socket, while it connects, while the broker is asked
for (const turns of [0, 1, 2, 3, 4, 5, 10, 20]) {
  it(`a producer is closed ${turns} turns after it began to open`, async () => {
    const log = kafkaLog({ brokers: [`127.0.0.1:${(server.address() as AddressInfo).port}`] });
    const producer = log.transactionalProducer({ transactionalId: 'closing' });
    const opening = producer.open().then(
      () => 'open',
      () => 'refused',
    );
    for (let i = 0; i < turns; i++) await turn();
    const late = sleep(3000, 'late', { ref: false });
    expect(await Promise.race([producer.close().then(() => 'closed'), late])).toBe('closed');
    expect(await Promise.race([opening, late])).toBe('refused');
    await log.close();
  });
}
