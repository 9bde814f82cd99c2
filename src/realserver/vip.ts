/** Adds a VIP to a device of the real server, as /32, or /128 without duplicate address detection. */
import { isIPv6 } from 'node:net';
import { type Machine, must } from './machine.ts';

export interface VipChange {
  readonly kind: 'vip';
  readonly address: string;
  readonly device: string;
  /** Label of an alias, such as lo:0; IPv4 only. */
  readonly label?: string;
}

/** The used part of the output of `ip -j address`. */
interface Device {
  readonly addr_info?: readonly { readonly local?: string; readonly prefixlen?: number }[];
}

const bits = (address: string): 32 | 128 => (isIPv6(address) ? 128 : 32);

/** Reports whether the device has the address with a host prefix. */
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
  // Duplicate address detection would find the director, which has the address, too.
  const quiet = isIPv6(address) ? ['nodad'] : [];
  const words = ['address', 'add', `${address}/${bits(address)}`, 'dev', device, ...name, ...quiet];
  await must(machine, ['ip', ...words]);
}

export async function undo({ address, device }: VipChange, machine: Machine): Promise<void> {
  if (await carries(device, address, machine))
    await must(machine, ['ip', 'address', 'del', `${address}/${bits(address)}`, 'dev', device]);
}
