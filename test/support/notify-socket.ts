/** The socket of a service manager, as systemd makes it for sd_notify(3). */
import { allocate } from '../../src/sys/memory.ts';
import type { System } from '../../src/sys/system.ts';
import { succeeded } from '../../src/sys/system-call-error.ts';

const AF_UNIX = 1;
const SOCK_DGRAM_NONBLOCK = 2 | 0o4000;
const MAX_DATAGRAM_BYTES = 4096;

export interface NotifySocket extends Disposable {
  /** Returns the lines of the next datagram; undefined if there is none. */
  next(): string[] | undefined;
}

/** Opens a socket at a path, or, with @, in the abstract namespace. */
export function openNotifySocket(system: System, path: string): NotifySocket {
  const block = allocate(system, MAX_DATAGRAM_BYTES);
  const name = Buffer.from(path.startsWith('@') ? `\0${path.slice(1)}` : `${path}\0`);
  block.view.setUint16(0, AF_UNIX, true);
  block.bytes.set(name, 2);
  const descriptor = succeeded('socket', system.socket(AF_UNIX, SOCK_DGRAM_NONBLOCK, 0));
  succeeded('bind', system.bind(descriptor, block.address, 2 + name.length));
  return {
    next() {
      const length = system.read(descriptor, block.address, MAX_DATAGRAM_BYTES);
      return length < 0 ? undefined : Buffer.from(block.bytes.subarray(0, length)).toString().split('\n');
    },
    [Symbol.dispose]: () => void system.close(descriptor),
  };
}
