/** Reads the properties of a network interface from sysfs: index, MAC address, MTU, state. */
import { readFileSync } from 'node:fs';

export interface LinkFacts {
  readonly index: number;
  /** As aa:bb:cc:dd:ee:ff; all zero for an interface without one. */
  readonly mac: string;
  /** Octets. */
  readonly mtu: number;
  readonly up: boolean;
}

/** IFF_UP (linux/if.h). */
const UP = 0x1;

/** Returns undefined if this network namespace has no such interface. */
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

/** Reports whether the kernel accepts the name: IFNAMSIZ is 16 with the final NUL (linux/if.h), no slash or space (dev_valid_name). */
export const isInterfaceName = (name: string): boolean =>
  /^[^\s/:"]{1,15}$/.test(name) && name !== '.' && name !== '..';
