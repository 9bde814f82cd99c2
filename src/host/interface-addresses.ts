/** Lists the addresses of the host's interfaces: the one place that asks the system for them. */
import { networkInterfaces } from 'node:os';
import { withDescriptors } from '../sys/descriptor-reserve.ts';

export interface InterfaceAddress {
  /** Name of the interface. */
  readonly device: string;
  readonly address: string;
  /** Prefix length, bits. */
  readonly prefix: number;
  readonly isLoopback: boolean;
}

/** Returns the addresses of all interfaces that are up and have a carrier; an interface without an address is not listed. */
export function interfaceAddresses(): InterfaceAddress[] {
  return Object.entries(withDescriptors(networkInterfaces)).flatMap(([device, addresses = []]) =>
    addresses.map(({ address, cidr, family, internal }) => ({
      device,
      address,
      prefix: Number(cidr?.split('/')[1] ?? (family === 'IPv4' ? 32 : 128)),
      isLoopback: internal,
    })),
  );
}
