/**
 * A proxy before one broker that knows Kafka's framing: it can lose a request of one kind before the broker has it, or
 * the answer to it, or hand it over when nobody waits for it any more. Clients find the broker through it alone, because
 * the addresses in the broker's answers are replaced by its own.
 */
import type { Socket } from 'node:net';
import { TcpProxy, type Wires } from './tcp-proxy.ts';

export const API = {
  Produce: 0,
  Metadata: 3,
  FindCoordinator: 10,
  InitProducerId: 22,
  AddPartitionsToTxn: 24,
  AddOffsetsToTxn: 25,
  EndTxn: 26,
  TxnOffsetCommit: 28,
} as const;

export type Loss =
  /** the broker never sees it, and the connection is cut */
  | 'request lost'
  /** the broker has done it, and the connection is cut */
  | 'answer lost'
  /** the connection is cut, and the broker gets it a while later */
  | 'late'
  /** the broker has done it, and the client waits for the answer for ever */
  | 'answer held';

const LATE_MS = 500;
const HOST = Buffer.from('127.0.0.1');

interface Fault {
  apiKey: number;
  loss: Loss;
  struck: () => void;
}

/** Cuts a stream into Kafka's frames: four bytes of length, then so many. */
function frames(socket: Socket, take: (frame: Buffer) => void): void {
  let rest: Buffer = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let at = 0;
    while (rest.length - at >= 4) {
      const end = at + 4 + rest.readInt32BE(at);
      if (rest.length < end) break;
      take(rest.subarray(at, end));
      at = end;
    }
    rest = rest.subarray(at);
  });
}

export class KafkaProxy extends TcpProxy {
  readonly #brokerPort: number;
  readonly #late = new Set<Socket>();
  #fault: Fault | null = null;

  private constructor(broker: string) {
    super(broker);
    this.#brokerPort = Number(broker.slice(broker.lastIndexOf(':') + 1));
  }

  static override async to(broker: string): Promise<KafkaProxy> {
    const proxy = new KafkaProxy(broker);
    await proxy.listen();
    return proxy;
  }

  /** Resolves when the next request of this kind was lost so. */
  next(api: keyof typeof API, loss: Loss): Promise<void> {
    return new Promise((resolve) => (this.#fault = { apiKey: API[api], loss, struck: resolve }));
  }

  override async close(): Promise<void> {
    for (const socket of this.#late) socket.destroy();
    await super.close();
  }

  protected override wire({ client, server }: Wires): void {
    /** of requests that are under way, by correlation id */
    const waiting = new Map<number, { apiKey: number; fault: Fault | null }>();
    frames(client, (frame) => {
      const apiKey = frame.readInt16BE(4);
      const fault = this.#fault?.apiKey === apiKey ? this.#fault : null;
      if (fault !== null) this.#fault = null;
      if (fault?.loss === 'request lost' || fault?.loss === 'late') {
        // a copy: the frame is a part of what was read
        if (fault.loss === 'late') this.#handOverLater(server, Buffer.from(frame));
        client.destroy();
        fault.struck();
        return;
      }
      waiting.set(frame.readInt32BE(8), { apiKey, fault });
      server.write(frame);
    });
    frames(server, (frame) => {
      const id = frame.readInt32BE(4);
      const { apiKey, fault = null } = waiting.get(id) ?? {};
      waiting.delete(id);
      if (fault !== null) {
        if (fault.loss === 'answer lost') client.destroy();
        fault.struck();
        return;
      }
      if (apiKey === API.Metadata || apiKey === API.FindCoordinator) this.#readdress(frame);
      client.write(frame);
    });
  }

  protected override left(wires: Wires): void {
    if (!this.#late.has(wires.server)) super.left(wires);
  }

  #handOverLater(server: Socket, frame: Buffer): void {
    this.#late.add(server);
    setTimeout(() => {
      server.write(frame);
      server.end();
      server.once('close', () => this.#late.delete(server));
    }, LATE_MS);
  }

  /** A broker's port stands behind its host, whatever the version of the answer. */
  #readdress(frame: Buffer): void {
    for (let at = frame.indexOf(HOST); at >= 0; at = frame.indexOf(HOST, at + 1)) {
      const port = at + HOST.length;
      if (port + 4 <= frame.length && frame.readInt32BE(port) === this.#brokerPort) frame.writeInt32BE(this.port, port);
    }
  }
}
