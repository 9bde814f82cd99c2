/** A driver on a host of its own: what else a running director wants of it. */
import type { LiveLosses } from './live.ts';
import type { PacketIo } from './packet-io.ts';

export interface HostIo extends PacketIo {
  /** Octets that pieces of merged packets leave free on the link, for the headers of tunnels. */
  reserve: number;
  /** Interfaces whose packets come in here. */
  readonly interfaces: readonly string[];
  /** Takes the packets of one more. Throws LvsError where that is not possible. */
  listen(name: string): Promise<void>;
  losses(): LiveLosses;
}
