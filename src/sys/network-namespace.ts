/** The network namespace of this process: moves the calling thread to another one, and identifies it. */
import { allocate } from './memory.ts';
import type { System } from './system.ts';
import { succeeded } from './system-call-error.ts';

const O_CLOEXEC = 0o2000000;
/** include/uapi/linux/sched.h */
const CLONE_NEWNET = 0x40000000;

/** Enters a namespace. `name`: its name for `ip netns`. Threads that Node started before remain in their namespace. */
export function enterNetworkNamespace(system: System, name: string): void {
  const descriptor = succeeded(`open(/run/netns/${name})`, system.open(`/run/netns/${name}`, O_CLOEXEC));
  try {
    succeeded('setns', system.setns(descriptor, CLONE_NEWNET));
  } finally {
    system.close(descriptor);
  }
}

/* include/uapi/asm-generic/socket.h, SO_NETNS_COOKIE since Linux 5.14; socket(7). */
const SOL_SOCKET = 1;
const SO_NETNS_COOKIE = 71;
const AF_INET = 2;
const SOCK_DGRAM = 2;
const COOKIE_BYTES = 8;

/**
 * Returns a number of this network namespace that no other has until the next boot; inode numbers are used again. Throws
 * SystemCallError.
 */
export function networkNamespaceCookie(system: System): bigint {
  const descriptor = succeeded('socket', system.socket(AF_INET, SOCK_DGRAM, 0));
  try {
    const value = allocate(system, 2 * COOKIE_BYTES);
    value.view.setUint32(COOKIE_BYTES, COOKIE_BYTES, true);
    const length = value.address + COOKIE_BYTES;
    succeeded(
      'getsockopt(SO_NETNS_COOKIE)',
      system.getsockopt(descriptor, SOL_SOCKET, SO_NETNS_COOKIE, value.address, length),
    );
    return value.view.getBigUint64(0, true);
  } finally {
    system.close(descriptor);
  }
}
