/** Reads the properties of network interfaces from sysfs: index, MAC address, MTU, state. */
import { existsSync, readdirSync } from 'node:fs';
import { withDescriptors } from '../sys/descriptor-reserve.ts';
import { readHostFile } from './host-file.ts';

export interface LinkFacts {
  readonly index: number;
  /** As aa:bb:cc:dd:ee:ff; all zero for an interface without one. */
  readonly mac: string;
  /** Octets. */
  readonly mtu: number;
  readonly up: boolean;
}

/** Flags of an interface (linux/if.h). */
const IFF_UP = 0x1;
const IFF_LOOPBACK = 0x8;
const IFF_NOARP = 0x80;
/** ARPHRD_ETHER (linux/if_arp.h). */
const ETHERNET = 1;

/** Returns undefined if this network namespace has no such interface. */
export function linkFacts(name: string): LinkFacts | undefined {
  if (!isInterfaceName(name)) return undefined;
  const read = (file: string) => readHostFile(`/sys/class/net/${name}/${file}`).trim();
  try {
    return {
      index: Number(read('ifindex')),
      mac: read('address'),
      mtu: Number(read('mtu')),
      up: (Number(read('flags')) & IFF_UP) !== 0,
    };
  } catch {
    return undefined;
  }
}

/** Returns the names of all interfaces of this network namespace. */
export const interfaceNames = (): string[] => withDescriptors(() => readdirSync('/sys/class/net'));

/** An interface by which packets can come to this host. */
export interface ReceivingInterface {
  readonly name: string;
  /** False for tunnels, PPP and the like, whose frames have no Ethernet header. */
  readonly isEthernet: boolean;
}

/**
 * Returns the interfaces that are up and receive packets for this host: not the loopback, not those that belong to a
 * bridge or a bond, not dummy devices (no ARP), not `except`.
 */
export function receivingInterfaces(except: readonly string[] = []): ReceivingInterface[] {
  return interfaceNames().flatMap((name) => {
    if (except.includes(name) || !isInterfaceName(name)) return [];
    const read = (file: string) => Number(readHostFile(`/sys/class/net/${name}/${file}`));
    try {
      const flags = read('flags');
      const isEthernet = read('type') === ETHERNET;
      if ((flags & IFF_UP) === 0 || (flags & IFF_LOOPBACK) !== 0) return [];
      if ((isEthernet && (flags & IFF_NOARP) !== 0) || existsSync(`/sys/class/net/${name}/master`)) return [];
      return [{ name, isEthernet }];
    } catch {
      // Deleted meanwhile, or not a directory of an interface (bonding_masters).
      return [];
    }
  });
}

/** Reports whether an interface brings packets from a network when it is up: neither loopback nor dummy. */
export function bringsPackets(name: string): boolean {
  try {
    const flags = Number(readHostFile(`/sys/class/net/${name}/flags`));
    return (flags & (IFF_LOOPBACK | IFF_NOARP)) === 0;
  } catch {
    return true;
  }
}

/** Reports whether the interface has a carrier; false also while it is down or missing. */
export function hasCarrier(name: string): boolean {
  try {
    return readHostFile(`/sys/class/net/${name}/carrier`).trim() === '1';
  } catch {
    return false;
  }
}

/** Reports whether the kernel accepts the name: IFNAMSIZ is 16 with the final NUL (linux/if.h), no slash or space (dev_valid_name). */
export const isInterfaceName = (name: string): boolean =>
  /^[^\s/:"]{1,15}$/.test(name) && name !== '.' && name !== '..';
