/**
 * Stands between a client and a server, both of this machine, and lets through what it is told to:
 *
 *   const proxy = await TcpProxy.to('127.0.0.1:8081');
 *   proxy.shut(); ... proxy.open(); ... await proxy.close();
 */
import { createServer, connect, type Server, type Socket } from 'node:net';

/** One client's connection: what comes from each side goes to the other, unless a hook is there to take it. */
export interface Wires {
  client: Socket;
  server: Socket;
}

export class TcpProxy {
  readonly #server: Server;
  readonly #wires = new Set<Wires>();
  #state: 'open' | 'shut' | 'silent' = 'open';

  protected constructor(target: string) {
    const [host, port] = [target.slice(0, target.lastIndexOf(':')), Number(target.slice(target.lastIndexOf(':') + 1))];
    this.#server = createServer((client) => {
      client.on('error', () => {});
      if (this.#state === 'shut') {
        client.destroy();
        return;
      }
      const server = connect({ host, port });
      server.on('error', () => client.destroy());
      for (const socket of [client, server]) socket.setNoDelay(true);
      const wires = { client, server };
      this.#wires.add(wires);
      client.on('close', () => {
        this.#wires.delete(wires);
        this.left(wires);
      });
      server.on('close', () => client.destroy());
      this.wire(wires);
    });
  }

  static async to(target: string): Promise<TcpProxy> {
    const proxy = new TcpProxy(target);
    await proxy.listen();
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Every connection is cut, and new ones as soon as they come. */
  shut(): void {
    this.#state = 'shut';
    for (const { client } of this.#wires) client.destroy();
  }

  /** Connections stand, and nothing comes back. */
  silence(): void {
    this.#state = 'silent';
    for (const { client } of this.#wires) client.destroy();
  }

  open(): void {
    this.#state = 'open';
    for (const { client } of this.#wires) client.destroy();
  }

  async close(): Promise<void> {
    for (const { client, server } of this.#wires) {
      client.destroy();
      server.destroy();
    }
    await new Promise((resolve) => this.#server.close(resolve));
  }

  protected listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(0, '127.0.0.1', () => resolve());
    });
  }

  protected wire({ client, server }: Wires): void {
    if (this.#state === 'silent') {
      client.resume();
      return;
    }
    client.pipe(server);
    server.pipe(client);
  }

  /** The client's end of it is gone. */
  protected left({ server }: Wires): void {
    server.destroy();
  }
}
