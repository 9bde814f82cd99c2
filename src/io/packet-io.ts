/** What every packet driver is: pulled for packets with a budget, and handed packets to send. */
import type { Address } from '../wire/address.ts';
import type { Frame } from '../wire/frame.ts';

export interface PacketIo extends Disposable {
  /** What is in the frames: whole Ethernet frames, or IP packets. */
  readonly medium: 'ethernet' | 'ip';
  /** True when the kernel does not see these packets too; pcap and raw sockets get copies. */
  readonly exclusive: boolean;
  /** Hands at most `budget` waiting packets to `sink`, one at a time, and returns how many; never waits. */
  receive(sink: (frame: Frame) => void, budget: number): number;
  /** Sends the packet towards `nextHop`; false: the queue is full or there is no way, and the packet is lost. */
  transmit(frame: Frame, nextHop: Address): boolean;
  /** Sends what was held back for a batch. */
  flush(): void;
  /** Resolves true when packets wait (or at the next expiry tick), false when there will never be more. */
  ready(signal: AbortSignal): Promise<boolean>;
}
