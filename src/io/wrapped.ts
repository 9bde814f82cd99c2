/** A driver around another that looks at the packets passing in either direction. */
import type { Address } from '../wire/address.ts';
import type { Frame } from '../wire/frame.ts';
import type { PacketIo } from './packet-io.ts';

/** What a wrapper does with the packets; frames are not to be changed nor kept. */
export interface Watcher {
  received(frame: Frame): void;
  /** Before the driver has it; what `dropped` is told afterwards, the driver did not take. */
  sent(frame: Frame, nextHop: Address): void;
  dropped?(): void;
  close?(): void;
}

/** `io` as it is, with `watcher` told of everything. Disposing of it disposes of both. */
export function wrapped(io: PacketIo, watcher: Watcher): PacketIo {
  let sink: (frame: Frame) => void = () => {};
  const watch = (frame: Frame): void => {
    watcher.received(frame);
    sink(frame);
  };
  return {
    medium: io.medium,
    exclusive: io.exclusive,
    receive(to, budget) {
      sink = to;
      return io.receive(watch, budget);
    },
    transmit(frame, nextHop) {
      watcher.sent(frame, nextHop); // before: the driver may rewrite the frame
      const taken = io.transmit(frame, nextHop);
      if (!taken) watcher.dropped?.();
      return taken;
    },
    flush: () => io.flush(),
    ready: (signal) => io.ready(signal),
    [Symbol.dispose]() {
      io[Symbol.dispose]();
      watcher.close?.();
    },
  };
}
