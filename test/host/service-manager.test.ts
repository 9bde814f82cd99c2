import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { openServiceManager, startWatchdog } from '../../src/host/service-manager.ts';
import { loadSystem } from '../../src/sys/system.ts';
import { openNotifySocket } from '../support/notify-socket.ts';

const folder = mkdtempSync(join(tmpdir(), 'lvs-notify-'));
afterAll(() => rmSync(folder, { recursive: true }));
const system = await loadSystem().catch(() => undefined);

test('system calls are available', ({ skip }) =>
  skip(system === undefined, 'the package koffi is not installed'));

const managerSocket = (path: string) => openNotifySocket(system!, path);

const unexpected = (reason: string) => {
  throw new Error(reason);
};

describe.skipIf(system === undefined)('a service manager', () => {
  test.each([join(folder, 'notify'), `@lvs-test-${process.pid}`])(
    'is sent every change of state at %s',
    async (path) => {
      using socket = managerSocket(path);
      const environment: NodeJS.ProcessEnv = { NOTIFY_SOCKET: path, OTHER: 'stays' };
      const manager = await openServiceManager(environment, loadSystem, unexpected);
      expect(environment).toEqual({ OTHER: 'stays' });
      manager.ready('2 services\nand more');
      expect(socket.next()).toEqual(['READY=1', 'STATUS=2 services and more']);
      const before = process.hrtime.bigint() / 1000n;
      manager.reloading();
      const [state, time] = socket.next()!;
      expect(state).toBe('RELOADING=1');
      expect(BigInt(time!.replace('MONOTONIC_USEC=', ''))).toBeGreaterThanOrEqual(before);
      manager.stopping('ending');
      expect(socket.next()).toEqual(['STOPPING=1', 'STATUS=ending']);
      manager.alive();
      expect(socket.next()).toEqual(['WATCHDOG=1']);
      expect(socket.next()).toBeUndefined();
    },
  );

  test('is sent signs of life while the watchdog runs', async () => {
    const path = join(folder, 'watchdog');
    using socket = managerSocket(path);
    const manager = await openServiceManager(
      { NOTIFY_SOCKET: path, WATCHDOG_USEC: '10000', WATCHDOG_PID: String(process.pid) },
      loadSystem,
      unexpected,
    );
    expect(manager.watchdogMs).toBe(10);
    using _watchdog = startWatchdog(manager);
    await expect.poll(() => socket.next()).toEqual(['WATCHDOG=1']);
  });

  test('that is busy is sent everything later, in order', async () => {
    const path = join(folder, 'busy');
    using socket = managerSocket(path);
    const manager = await openServiceManager({ NOTIFY_SOCKET: path }, loadSystem, unexpected);
    // More than the kernel queues (net.unix.max_dgram_qlen).
    const limit = Number(readFileSync('/proc/sys/net/unix/max_dgram_qlen', 'latin1'));
    for (let i = 0; i < limit + 5; i++) manager.ready(String(i));
    const received: string[] = [];
    await expect
      .poll(() => {
        for (let lines = socket.next(); lines; lines = socket.next()) received.push(lines[1]!);
        return received.length;
      })
      .toBe(limit + 5);
    expect(received).toEqual(Array.from({ length: limit + 5 }, (_, i) => `STATUS=${i}`));
  });

  test('that watches another process gets no signs of life', async () => {
    const path = join(folder, 'other');
    using _socket = managerSocket(path);
    const environment = { NOTIFY_SOCKET: path, WATCHDOG_USEC: '10000', WATCHDOG_PID: '1' };
    expect((await openServiceManager(environment, loadSystem, unexpected)).watchdogMs).toBeUndefined();
  });

  test('that cannot be reached is reported once', async () => {
    const reasons: string[] = [];
    const path = join(folder, 'missing');
    const manager = await openServiceManager({ NOTIFY_SOCKET: path }, loadSystem, (reason) =>
      reasons.push(reason),
    );
    manager.ready('');
    manager.stopping('');
    expect(reasons).toEqual([`sendto ${path}: error 2`]);
  });
});

test('without a manager nothing is loaded or sent', async () => {
  const load = () => unexpected('loaded');
  const manager = await openServiceManager({}, load, unexpected);
  manager.ready('');
  expect(manager.watchdogMs).toBeUndefined();
});
