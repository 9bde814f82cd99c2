/** Who the host's kernel knows on its links: MAC addresses by the neighbour's address, as `ip neigh` has them. */
import { execFile, spawn } from 'node:child_process';
import { type Address, formatAddress } from '../wire/address.ts';
import { type MacAddress, parseMac } from '../wire/ethernet.ts';

/** States in which an entry's MAC address is used (include/uapi/linux/neighbour.h). */
const USABLE = new Set(['PERMANENT', 'NOARP', 'REACHABLE', 'STALE', 'DELAY', 'PROBE']);
/** Known, but not confirmed for a while. */
const STALE = 'STALE';

interface Entry {
  readonly dst: string;
  readonly dev: string;
  readonly lladdr?: string;
  readonly state?: readonly string[];
}

interface Known {
  readonly mac: MacAddress;
  readonly text: string;
  readonly isStale: boolean;
}

/** Keys: address and device. */
const keyOf = (address: string, device: string): string => `${address} ${device}`;

export class KernelNeighbors {
  #known: ReadonlyMap<string, Known> = new Map();
  #reading: Promise<void> | undefined;
  /** Those that were asked for since the last `confirm`. */
  readonly #used = new Set<string>();

  /** Undefined: not known (yet). What is returned is the same as long as the neighbour's MAC address is. */
  mac(address: Address, device: string): MacAddress | undefined {
    const key = keyOf(formatAddress(address), device);
    this.#used.add(key);
    return this.#known.get(key)?.mac;
  }

  /** Reads what the kernel knows now. Calls that come meanwhile share one reading. */
  refresh(): Promise<void> {
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  /** Makes the kernel ask those in use whose entries are old whether they are still there, as its own packets would. */
  confirm(): void {
    const lines: string[] = [];
    for (const key of this.#used) {
      if (!this.#known.get(key)?.isStale) continue;
      const [address, device] = key.split(' ');
      lines.push(`neigh change ${address} dev ${device} use`);
    }
    this.#used.clear();
    if (lines.length === 0) return;
    const ip = spawn('ip', ['-force', '-batch', '-'], { stdio: ['pipe', 'ignore', 'ignore'] });
    ip.on('error', () => {});
    ip.stdin.on('error', () => {});
    ip.stdin.end(`${lines.join('\n')}\n`);
  }

  async #read(): Promise<void> {
    const text = await new Promise<string>((resolve) => {
      execFile('ip', ['-j', 'neigh', 'show'], { maxBuffer: 64 * 1024 * 1024 }, (_error, stdout) =>
        resolve(stdout),
      );
    });
    let entries: readonly Entry[];
    try {
      entries = JSON.parse(text || '[]') as Entry[];
    } catch {
      return;
    }
    const known = new Map<string, Known>();
    for (const { dst, dev, lladdr, state = [] } of entries) {
      const mac = lladdr === undefined ? undefined : parseMac(lladdr);
      if (lladdr === undefined || !mac || !state.some((each) => USABLE.has(each))) continue;
      const key = keyOf(dst, dev);
      const before = this.#known.get(key);
      known.set(key, {
        mac: before?.text === lladdr ? before.mac : mac,
        text: lladdr,
        isStale: state.includes(STALE),
      });
    }
    this.#known = known;
  }
}
