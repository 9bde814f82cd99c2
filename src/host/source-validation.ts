/**
 * Decides as the host's kernel does whether a source address is valid on the interface that a packet came in by: its
 * rules for martian sources, and rp_filter (ip-sysctl.rst). The question goes to the kernel itself (RTM_GETROUTE with an
 * input interface), which knows policy routing, too.
 */
import type { System } from '../sys/system.ts';
import { SystemCallError } from '../sys/system-call-error.ts';
import { type Address, isV4 } from '../wire/address.ts';
import { readHostFile } from './host-file.ts';
import { linkFacts } from './link-facts.ts';
import { Netlink, withAttribute } from './netlink.ts';
import type { Routes } from './routes.ts';

/* include/uapi/linux/rtnetlink.h */
const RTM_GETROUTE = 26;
const AF_INET = 2;
const RTA_DST = 1;
const RTA_SRC = 2;
const RTA_IIF = 3;
/** struct rtmsg: family, prefix lengths of destination and source. */
const RTMSG = { family: 0, destinationBits: 1, sourceBits: 2, size: 12 } as const;
/** The kernel refuses the source: a martian, or rp_filter (EXDEV before Linux 6.13, EINVAL since). */
const REFUSALS: ReadonlySet<number> = new Set([22, 18]);

/** Answers that are cached: a power of two. */
const CACHE_ENTRIES = 4096;

interface Settings {
  /** The stricter of conf/all and the interface's: 0 none, 1 strict, 2 loose. */
  readonly rpFilter: number;
  /** Packets from the host's own addresses are accepted. */
  readonly acceptLocal: boolean;
}

const NO_SETTINGS: Settings = { rpFilter: 0, acceptLocal: false };

export class SourceValidator implements Disposable {
  readonly #routes: Routes;
  readonly #netlink: Netlink | undefined;
  #settings: ReadonlyMap<number, Settings> = new Map();
  /** Pairs of source and interface; the answers: 1 valid, 2 not. */
  readonly #keys = new Int32Array(2 * CACHE_ENTRIES);
  readonly #answers = new Uint8Array(CACHE_ENTRIES);

  /** `system`: undefined where system calls are not available; then rp_filter is not followed. */
  constructor(system: System | undefined, routes: Routes) {
    this.#routes = routes;
    this.#netlink = system && new Netlink(system);
  }

  /** Reads the settings of the interfaces again and forgets cached answers. Call it once a second. */
  refresh(interfaces: readonly string[]): void {
    const settings = new Map<number, Settings>();
    for (const name of interfaces) {
      const facts = linkFacts(name);
      if (facts) settings.set(facts.index, settingsOf(name));
    }
    this.#settings = settings;
    this.#answers.fill(0);
  }

  /**
   * Reports whether a packet from `source` to `destination` is valid on the interface with the index `ingress`; 0: the
   * interface is not known, and only rules that are the same everywhere apply. Multicast, loopback and unspecified
   * sources are the caller's concern. An own IPv6 address is refused as an IPv4 address is, other than by Linux 6.1.
   */
  isValid(source: Address, destination: Address, ingress: number): boolean {
    const { rpFilter, acceptLocal } = this.#settings.get(ingress) ?? NO_SETTINGS;
    if (this.#routes.isLocal(source)) return acceptLocal;
    if (!isV4(source) || ingress === 0 || rpFilter === 0 || !this.#netlink) return true;
    const word = source[3]! | 0;
    const slot = (Math.imul(word ^ ingress, 0x9e3779b1) >>> 20) & (CACHE_ENTRIES - 1);
    const keys = this.#keys;
    if (this.#answers[slot] !== 0 && keys[2 * slot] === word && keys[2 * slot + 1] === ingress)
      return this.#answers[slot] === 1;
    const isValid = this.#ask(source, destination, ingress);
    keys[2 * slot] = word;
    keys[2 * slot + 1] = ingress;
    this.#answers[slot] = isValid ? 1 : 2;
    return isValid;
  }

  [Symbol.dispose](): void {
    this.#netlink?.[Symbol.dispose]();
  }

  #ask(source: Address, destination: Address, ingress: number): boolean {
    // Towards an address of the host, whatever the packet's: no error about the destination is then possible.
    const to = this.#routes.isLocal(destination) ? destination : this.#routes.own.find(isV4);
    if (!to) return true;
    const header = new Uint8Array(RTMSG.size);
    header[RTMSG.family] = AF_INET;
    header[RTMSG.destinationBits] = 32;
    header[RTMSG.sourceBits] = 32;
    const inputInterface = new Uint8Array(4);
    new DataView(inputInterface.buffer).setInt32(0, ingress, true);
    const body = Buffer.concat([
      header,
      withAttribute(RTA_DST, bytesOf(to)),
      withAttribute(RTA_SRC, bytesOf(source)),
      withAttribute(RTA_IIF, inputInterface),
    ]);
    try {
      this.#netlink!.query(RTM_GETROUTE, body);
      return true;
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error;
      return !REFUSALS.has(error.errno);
    }
  }
}

function bytesOf(address: Address): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, address[3]!);
  return bytes;
}

function settingsOf(name: string): Settings {
  const read = (setting: string, scope: string): number => {
    try {
      return Number(readHostFile(`/proc/sys/net/ipv4/conf/${scope}/${setting}`));
    } catch {
      return 0;
    }
  };
  return {
    rpFilter: Math.max(read('rp_filter', 'all'), read('rp_filter', name)),
    acceptLocal: read('accept_local', 'all') + read('accept_local', name) > 0,
  };
}
