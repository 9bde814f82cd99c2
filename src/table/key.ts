/** The key of a lookup: a client's address and that of the other end, as rows have them, and the home they lead to. */
import { type Address, isV4 } from '../wire/address.ts';
import type { Homes } from './homes.ts';
import { KIND, KIND_SHIFT } from './layout.ts';
import { inPacketOrder } from './packet-order.ts';

/** Bit of a row's word `client`. */
export const WIDE = KIND.WIDE << KIND_SHIFT;
/** Index of the other end's address in `words`. */
export const OTHER = 4;
const WORDS = 8;

/** One for a table, reused. Ports are in packet order; `client` is a port and, above it, the protocol. */
export class Key {
  /** The client's address, and the other one. */
  readonly words = new Int32Array(WORDS);
  /** WIDE, or 0 if both addresses are IPv4. */
  wide = 0;
  readonly #homes: Homes;

  constructor(homes: Homes) {
    this.#homes = homes;
  }

  set(caddr: Address, other: Address): void {
    const { words } = this;
    words[0] = inPacketOrder(caddr[0]!);
    words[1] = inPacketOrder(caddr[1]!);
    words[2] = inPacketOrder(caddr[2]!);
    words[3] = inPacketOrder(caddr[3]!);
    words[OTHER] = inPacketOrder(other[0]!);
    words[OTHER + 1] = inPacketOrder(other[1]!);
    words[OTHER + 2] = inPacketOrder(other[2]!);
    words[OTHER + 3] = inPacketOrder(other[3]!);
    this.wide = isV4(caddr) && isV4(other) ? 0 : WIDE;
  }

  /** The home of a connection of this client. */
  home(client: number): number {
    const { words } = this;
    if (this.wide === 0) return this.#homes.ofIpv4(words[3]!, client);
    return this.#homes.ofIpv6(words[0]!, words[1]!, words[2]!, words[3]!, client);
  }

  /**
   * The home of a template. A digest of the virtual endpoint and the salt stands for the client's port, which templates do
   * not have, and spreads the templates of one network.
   */
  homeOfTemplate(protocol: number, vport: number, salt: number): number {
    return this.home((this.#sum(vport ^ salt) >>> 16) | (protocol << 16));
  }

  /** What the annex finds rows by: their home and their other end. */
  inAnnex(home: number, port: number): number {
    return this.#sum(port) ^ Math.imul(home, 0x9e3779b1);
  }

  #sum(last: number): number {
    const { words } = this;
    return this.#homes.sum(words[OTHER]!, words[OTHER + 1]!, words[OTHER + 2]!, words[OTHER + 3]!, last);
  }
}
