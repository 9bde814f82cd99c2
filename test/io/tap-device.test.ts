import { expect, test } from 'vitest';
import { openTun } from '../../src/io/tap-device.ts';
import type { System } from '../../src/sys/system.ts';

/** A kernel on which open(2) fails with this errno. */
const failing = (errno: number) => ({ open: () => -errno }) as unknown as System;

test.each([
  [2, 'open(/dev/net/tun): ENOENT, no such file or directory (modprobe tun)'],
  [19, 'open(/dev/net/tun): ENODEV, no such device (modprobe tun)'],
  [13, 'open(/dev/net/tun): EACCES, permission denied'],
])('errno %i: names the remedy if the driver is not loaded', (errno, message) => {
  expect(() => openTun(failing(errno))).toThrowError(expect.objectContaining({ message }));
});
