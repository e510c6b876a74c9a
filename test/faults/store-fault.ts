/** A state on disk that fails once: what a disk can do between the log's commit and ours, at a moment that is known. */
import { StoreError } from '../../src/errors.ts';
import { sourcePositionKey, StateDb } from '../../src/stream/state-db.ts';

export interface StoreFault {
  does: 'throw' | 'kill before' | 'kill after';
  /** the n-th commit of this process */
  write: number;
}

export function injectStoreFault({ does, write: at }: StoreFault): void {
  const write = Object.getOwnPropertyDescriptor(StateDb.prototype, 'write')!.value as StateDb['write'];
  let writes = 0;
  const mark = sourcePositionKey('');
  StateDb.prototype.write = async function (this: StateDb, changes) {
    // what a restore writes has no position of a source
    const now = changes.some(({ key }) => key.indexOf(mark) === 0) && ++writes === at;
    if (now && does === 'throw') throw new StoreError('STORE_UNAVAILABLE', 'injected', { retriable: true });
    if (now && does === 'kill before') process.kill(process.pid, 'SIGKILL');
    await write.call(this, changes);
    if (now && does === 'kill after') process.kill(process.pid, 'SIGKILL');
  };
}
