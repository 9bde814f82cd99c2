/** Creates a tap device: a network interface connected to this process, removed when the process ends unless it persists. */
import { writeFileSync } from 'node:fs';
import { allocate } from '../sys/memory.ts';
import type { System } from '../sys/system.ts';
import { succeeded } from '../sys/system-call-error.ts';

/* open(2); TUNSETIFF and its flags, include/uapi/linux/if_tun.h. */
const TUN = '/dev/net/tun';
const O_RDWR = 0o2;
const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;
const TUNSETIFF = 0x400454ca;
const TUNSETPERSIST = 0x400454cb;
const IFF_TAP = 0x0002;
/** No 4-byte prefix before each frame. Without IFF_VNET_HDR, frames are segmented and have complete checksums. */
const IFF_NO_PI = 0x1000;

/* netdevice(7), include/uapi/linux/sockios.h; struct ifreq: a name of 16 octets, then a union. */
const SIOCGIFFLAGS = 0x8913;
const SIOCSIFFLAGS = 0x8914;
const SIOCSIFMTU = 0x8922;
const SIOCSIFTXQLEN = 0x8943;
const IFREQ = 40;
const IFREQ_VALUE = 16;
const IFF_UP = 0x1;
const AF_INET = 2;
const SOCK_DGRAM = 2;
/** include/uapi/asm-generic/errno-base.h */
const EBUSY = 16;

export interface TapDevice {
  readonly descriptor: number;
  readonly name: string;
  /** Index of the interface. */
  readonly index: number;
}

export interface TapDeviceOptions {
  readonly name: string;
  /** At least the largest MTU of the interfaces that frames come from: longer frames are dropped silently. */
  readonly mtu: number;
  /** Frames that may wait for this process; further ones are dropped and counted by the device. */
  readonly queue: number;
}

/** Errors of open(2) where the kernel has no tun driver, or has not loaded it (include/uapi/asm-generic/errno-base.h). */
const NO_DRIVER: ReadonlySet<number> = new Set([2 /* ENOENT */, 6 /* ENXIO */, 19 /* ENODEV */]);

/** Opens the control device of taps. Throws SystemCallError, with the remedy where the driver is not loaded. */
export function openTun(system: System): number {
  const result = system.open(TUN, O_RDWR | O_NONBLOCK | O_CLOEXEC);
  return succeeded(`open(${TUN})`, result, NO_DRIVER.has(-result) ? 'modprobe tun' : undefined);
}

/** Creates the device and brings it up. Throws SystemCallError: EPERM without CAP_NET_ADMIN, EBUSY if it is in use. */
export function openTapDevice(system: System, { name, mtu, queue }: TapDeviceOptions): TapDevice {
  const descriptor = openTun(system);
  const socket = succeeded('socket', system.socket(AF_INET, SOCK_DGRAM, 0));
  const request = allocate(system, IFREQ);
  const ioctl = (call: string, on: number, number: number, write: (view: DataView) => void) => {
    request.bytes.fill(0);
    request.bytes.set(Buffer.from(name, 'latin1').subarray(0, IFREQ_VALUE - 1));
    write(request.view);
    succeeded(`ioctl(${call}) on ${name}`, system.ioctl(on, number, request.address));
  };
  try {
    ioctl('TUNSETIFF', descriptor, TUNSETIFF, (view) =>
      view.setUint16(IFREQ_VALUE, IFF_TAP | IFF_NO_PI, true),
    );
    // The tap must have no addresses and send no neighbor discovery.
    setToOne(`net/ipv6/conf/${name}/disable_ipv6`);
    ioctl('SIOCSIFMTU', socket, SIOCSIFMTU, (view) => view.setInt32(IFREQ_VALUE, mtu, true));
    ioctl('SIOCSIFTXQLEN', socket, SIOCSIFTXQLEN, (view) => view.setInt32(IFREQ_VALUE, queue, true));
    let flags = 0;
    ioctl('SIOCGIFFLAGS', socket, SIOCGIFFLAGS, () => {});
    flags = request.view.getUint16(IFREQ_VALUE, true);
    ioctl('SIOCSIFFLAGS', socket, SIOCSIFFLAGS, (view) => view.setUint16(IFREQ_VALUE, flags | IFF_UP, true));
  } catch (error) {
    system.close(descriptor);
    throw error;
  } finally {
    system.close(socket);
  }
  return { descriptor, name, index: system.interfaceIndex(name) };
}

/** Sets whether the device remains when the process ends: the next process that opens it by its name has the same interface. */
export function setPersistent(system: System, { descriptor, name }: TapDevice, isPersistent: boolean): void {
  succeeded(`ioctl(TUNSETPERSIST) on ${name}`, system.ioctl(descriptor, TUNSETPERSIST, isPersistent ? 1 : 0));
}

/**
 * Removes a device that persists while no process has it open. Reports false, and does nothing, if a process has. Throws
 * SystemCallError.
 */
export function removeTapDevice(system: System, name: string): boolean {
  const descriptor = openTun(system);
  try {
    const request = allocate(system, IFREQ);
    request.bytes.set(Buffer.from(name, 'latin1').subarray(0, IFREQ_VALUE - 1));
    request.view.setUint16(IFREQ_VALUE, IFF_TAP | IFF_NO_PI, true);
    const result = system.ioctl(descriptor, TUNSETIFF, request.address);
    if (result === -EBUSY) return false;
    succeeded(`ioctl(TUNSETIFF) on ${name}`, result);
    succeeded(`ioctl(TUNSETPERSIST) on ${name}`, system.ioctl(descriptor, TUNSETPERSIST, 0));
    return true;
  } finally {
    system.close(descriptor);
  }
}

function setToOne(sysctl: string): void {
  try {
    writeFileSync(`/proc/sys/${sysctl}`, '1');
  } catch {
    // The kernel has no IPv6.
  }
}
