/** The interface of every packet driver: packets are pulled from it with a budget, and passed to it for sending. */
import type { Address } from '../wire/address.ts';
import type { Frame } from '../wire/frame.ts';

export interface PacketIo extends Disposable {
  /** Content of the frames: Ethernet frames or IP packets. */
  readonly medium: 'ethernet' | 'ip';
  /** True if the kernel does not receive these packets, too; pcap and raw sockets receive copies. */
  readonly exclusive: boolean;
  /** Passes at most `budget` waiting packets to `sink`, one at a time, and returns their number; never waits. */
  receive(sink: (frame: Frame) => void, budget: number): number;
  /** Sends the packet towards `nextHop`; returns false if the packet was lost: queue full, no route, or refused. */
  transmit(frame: Frame, nextHop: Address): boolean;
  /** Sends the packets of an incomplete batch. */
  flush(): void;
  /** Resolves true when packets wait (or at the next expiry tick), false when no more packets will come. */
  ready(signal: AbortSignal): Promise<boolean>;
}
