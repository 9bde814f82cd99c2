/** Makes a network card receive frames to a further MAC address, until the process ends. */
import { allocate } from './memory.ts';
import type { System } from './system.ts';
import { succeeded } from './system-call-error.ts';

/* socket(2), packet(7), include/uapi/linux/if_packet.h */
const AF_PACKET = 17;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const SOL_PACKET = 263;
const PACKET_ADD_MEMBERSHIP = 1;
const PACKET_MR_MULTICAST = 0;
const PACKET_MR_UNICAST = 3;
/** struct packet_mreq. */
const MEMBERSHIP = { interfaceIndex: 0, type: 4, length: 6, address: 8, size: 16 } as const;
const GROUP_BIT = 1;

/** `mac`: six bytes. The card receives such frames until the result is disposed of. Throws SystemCallError. */
export function receiveMac(system: System, interfaceIndex: number, mac: Uint8Array): Disposable {
  // Protocol 0: the socket receives nothing.
  const descriptor = succeeded('socket(AF_PACKET)', system.socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
  const { address, view, bytes } = allocate(system, MEMBERSHIP.size);
  view.setInt32(MEMBERSHIP.interfaceIndex, interfaceIndex, true);
  view.setUint16(MEMBERSHIP.type, mac[0]! & GROUP_BIT ? PACKET_MR_MULTICAST : PACKET_MR_UNICAST, true);
  view.setUint16(MEMBERSHIP.length, mac.length, true);
  bytes.set(mac, MEMBERSHIP.address);
  try {
    succeeded(
      'setsockopt(PACKET_ADD_MEMBERSHIP)',
      system.setsockopt(descriptor, SOL_PACKET, PACKET_ADD_MEMBERSHIP, address, MEMBERSHIP.size),
    );
  } catch (error) {
    system.close(descriptor);
    throw error;
  }
  return { [Symbol.dispose]: () => void system.close(descriptor) };
}
