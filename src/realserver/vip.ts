/** A virtual address on a device of the real server, its own host route: /32, or /128 without duplicate detection. */
import { isIPv6 } from 'node:net';
import { type Machine, must } from './machine.ts';

export interface VipChange {
  readonly kind: 'vip';
  readonly address: string;
  readonly device: string;
  /** The old name of an alias, such as lo:0; IPv4 only. */
  readonly label?: string;
}

/** The part that is used of what `ip -j address` prints. */
interface Device {
  readonly addr_info?: readonly { readonly local?: string; readonly prefixlen?: number }[];
}

const bits = (address: string): 32 | 128 => (isIPv6(address) ? 128 : 32);

/** True when the device has the address as a host address. */
export async function carries(device: string, address: string, machine: Machine): Promise<boolean> {
  const { status, stdout } = await machine.run(['ip', '-j', 'address', 'show', 'dev', device]);
  if (status !== 0) return false;
  const devices = JSON.parse(stdout || '[]') as Device[];
  return devices.some(({ addr_info }) =>
    addr_info?.some(({ local, prefixlen }) => local === address && prefixlen === bits(address)),
  );
}

export const look = async (
  { address, device }: VipChange,
  machine: Machine,
): Promise<'absent' | undefined> => ((await carries(device, address, machine)) ? undefined : 'absent');

export async function make({ address, device, label }: VipChange, machine: Machine): Promise<void> {
  const name = label === undefined || isIPv6(address) ? [] : ['label', label];
  // A host address is nobody's neighbour: no duplicate to look for, and nothing to announce.
  const quiet = isIPv6(address) ? ['nodad'] : [];
  const words = ['address', 'add', `${address}/${bits(address)}`, 'dev', device, ...name, ...quiet];
  await must(machine, ['ip', ...words]);
}

export async function undo({ address, device }: VipChange, machine: Machine): Promise<void> {
  if (await carries(device, address, machine))
    await must(machine, ['ip', 'address', 'del', `${address}/${bits(address)}`, 'dev', device]);
}
