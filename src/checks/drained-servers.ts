/** The servers that an operator has drained: they keep their connections, and get no new ones in any service. */
import type { DestinationAddress } from '../model/destination.ts';
import { formatDestination } from '../model/naming.ts';

export class DrainedServers {
  readonly #servers = new Set<string>();

  /** Drains a server, or ends that. `server`: an address, or address and port, as formatDestination names them. */
  set(server: string, isDrained: boolean): void {
    if (isDrained) this.#servers.add(server);
    else this.#servers.delete(server);
  }

  /** The servers, in the order in which they were drained. */
  get all(): readonly string[] {
    return [...this.#servers];
  }

  /** Reports whether the server of a destination is drained. */
  has(destination: DestinationAddress): boolean {
    if (this.#servers.size === 0) return false;
    return this.#servers.has(destination.address) || this.#servers.has(formatDestination(destination));
  }
}

/** Reports whether a destination is at a server: at its address, or at its address and port. */
export const isOfServer = (destination: DestinationAddress, server: string): boolean =>
  destination.address === server || formatDestination(destination) === server;
