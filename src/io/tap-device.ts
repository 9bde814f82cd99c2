/** A tap device: an interface whose far end is this process, gone with it. */
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
const IFF_TAP = 0x0002;
/** Without it four octets would stand before each frame. Nor is there IFF_VNET_HDR: frames come whole and checksummed. */
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

export interface TapDevice {
  readonly descriptor: number;
  readonly name: string;
  /** Index of the interface. */
  readonly index: number;
}

export interface TapDeviceOptions {
  readonly name: string;
  /** At least that of the largest device that frames come from: longer ones would be lost without a word. */
  readonly mtu: number;
  /** Frames that wait for this process; what comes meanwhile is dropped, and counted by the device. */
  readonly queue: number;
}

/** Errors of open(2) where the kernel has no tun driver, or has not loaded it (include/uapi/asm-generic/errno-base.h). */
const NO_DRIVER: ReadonlySet<number> = new Set([2 /* ENOENT */, 6 /* ENXIO */, 19 /* ENODEV */]);

/** Opens the control device of taps. Throws SystemCallError, with the remedy where the driver is not loaded. */
export function openTun(system: System): number {
  const result = system.open(TUN, O_RDWR | O_NONBLOCK | O_CLOEXEC);
  return succeeded(`open(${TUN})`, result, NO_DRIVER.has(-result) ? 'modprobe tun' : undefined);
}

/** Makes the device and sets it up. Throws SystemCallError: EPERM without CAP_NET_ADMIN, EBUSY where somebody has it. */
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
    // The tap speaks for nobody: no addresses of its own, and no questions who its neighbours are.
    quiet(`net/ipv6/conf/${name}/disable_ipv6`);
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

function quiet(sysctl: string): void {
  try {
    writeFileSync(`/proc/sys/${sysctl}`, '1');
  } catch {
    // A kernel without IPv6.
  }
}
