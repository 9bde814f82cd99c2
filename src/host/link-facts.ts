/** What the system says of a network interface: its index, MAC address and MTU. */
import { readFileSync } from 'node:fs';

export interface LinkFacts {
  readonly index: number;
  /** As aa:bb:cc:dd:ee:ff; all zero where there is none. */
  readonly mac: string;
  /** Octets. */
  readonly mtu: number;
  readonly up: boolean;
}

/** IFF_UP (linux/if.h). */
const UP = 0x1;

/** Undefined: no such interface here. */
export function linkFacts(name: string): LinkFacts | undefined {
  if (!isInterfaceName(name)) return undefined;
  const read = (file: string) => readFileSync(`/sys/class/net/${name}/${file}`, 'latin1').trim();
  try {
    return {
      index: Number(read('ifindex')),
      mac: read('address'),
      mtu: Number(read('mtu')),
      up: (Number(read('flags')) & UP) !== 0,
    };
  } catch {
    return undefined;
  }
}

/** IFNAMSIZ is 16 with the closing zero (linux/if.h); the kernel forbids slashes and blanks (dev_valid_name). */
export const isInterfaceName = (name: string): boolean =>
  /^[^\s/:"]{1,15}$/.test(name) && name !== '.' && name !== '..';
