/** Asks the kernel for tables of nftables over nfnetlink, without a program. */
import type { System } from '../sys/system.ts';
import { SystemCallError } from '../sys/system-call-error.ts';
import { Netlink, withAttribute } from './netlink.ts';

/* include/uapi/linux/netlink.h, netfilter.h, netfilter/nfnetlink.h, netfilter/nf_tables.h, Linux 6.1 */
const NETLINK_NETFILTER = 12;
const NFPROTO_NETDEV = 5;
const NFNL_SUBSYS_NFTABLES = 10;
const NFT_MSG_GETTABLE = 1;
const NFTA_TABLE_NAME = 1;
const ENOENT = 2;

export class NetfilterTables implements Disposable {
  readonly #netlink: Netlink;

  /** Throws SystemCallError. */
  constructor(system: System) {
    this.#netlink = new Netlink(system, NETLINK_NETFILTER);
  }

  /** Reports whether no table of the family netdev has the name. Takes some microseconds. False if the kernel cannot answer. */
  lacks(name: string): boolean {
    // struct nfgenmsg: family, version, resource id.
    const body = Buffer.concat([
      Uint8Array.of(NFPROTO_NETDEV, 0, 0, 0),
      withAttribute(NFTA_TABLE_NAME, Buffer.from(`${name}\0`, 'latin1')),
    ]);
    try {
      this.#netlink.query((NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETTABLE, body);
      return false;
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error;
      return error.errno === ENOENT;
    }
  }

  [Symbol.dispose](): void {
    this.#netlink[Symbol.dispose]();
  }
}
