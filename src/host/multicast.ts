/** Sockets of multicast groups on one interface, of IPv4 and IPv6. */
import type { Socket } from 'node:dgram';
import { interfaceAddresses } from './interface-addresses.ts';

export interface MulticastGroup {
  /** The device of the interface. */
  readonly interface: string;
  readonly group: string;
  readonly port: number;
  readonly ttl: number;
}

/** Returns the interface as the system's calls name it: by its address for IPv4, by its name for IPv6. Throws an Error. */
export function viaInterface({ interface: device, group }: Omit<MulticastGroup, 'ttl'>): string {
  if (group.includes(':')) return `::%${device}`;
  const found = interfaceAddresses().find((each) => each.device === device && !each.address.includes(':'));
  if (found === undefined) throw new Error(`${device}: no IPv4 address, or the interface is down`);
  return found.address;
}

/** Binds a socket that receives what is sent to the group, and nothing that is sent to an address of the interface. */
export async function bindReceiver(
  socket: Socket,
  to: Omit<MulticastGroup, 'ttl'>,
  via: string,
): Promise<void> {
  await bind(socket, { port: to.port, address: scoped(to) });
  socket.addMembership(to.group, via);
}

/** Binds a socket that sends to the group, from any port, or from `port`. */
export async function bindSender(
  socket: Socket,
  { ttl }: Pick<MulticastGroup, 'ttl'>,
  via: string,
  port = 0,
): Promise<void> {
  await bind(socket, { port, ...(via.includes(':') ? {} : { address: via }) });
  socket.setMulticastInterface(via);
  socket.setMulticastTTL(ttl);
}

/** Limits a socket to the group: what others send to it is not received. */
export function connectTo(socket: Socket, to: Omit<MulticastGroup, 'ttl'>): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.connect(to.port, scoped(to), () => {
      socket.off('error', reject);
      resolve();
    });
  });
}

/** Returns the group with the interface, which a link-local address of IPv6 requires. */
export const scoped = ({ interface: device, group }: Pick<MulticastGroup, 'interface' | 'group'>): string =>
  group.includes(':') ? `${group}%${device}` : group;

function bind(socket: Socket, at: { port: number; address?: string }): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.bind({ ...at, exclusive: true }, () => {
      socket.off('error', reject);
      resolve();
    });
  });
}
