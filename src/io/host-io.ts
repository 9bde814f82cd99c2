/** The interface of drivers that run on a host: what a running director needs besides PacketIo. */
import type { LiveLosses } from './live.ts';
import type { PacketIo } from './packet-io.ts';

export interface HostIo extends PacketIo {
  /** Bytes that segments cut from merged packets leave free on the link, for tunnel headers. */
  reserve: number;
  /** Interfaces whose packets are received. */
  readonly interfaces: readonly string[];
  /**
   * Receives the packets of another interface, too. `bufferBytes`: size of the kernel's buffer, if the driver has one.
   * Throws LvsError where that is not possible.
   */
  listen(name: string, bufferBytes?: number): Promise<void>;
  losses(): LiveLosses;
}
