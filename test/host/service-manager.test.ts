import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { openServiceManager, startWatchdog } from '../../src/host/service-manager.ts';
import { allocate } from '../../src/sys/memory.ts';
import { loadSystem, type System } from '../../src/sys/system.ts';
import { succeeded } from '../../src/sys/system-call-error.ts';

const folder = mkdtempSync(join(tmpdir(), 'lvs-notify-'));
afterAll(() => rmSync(folder, { recursive: true }));
const system = await loadSystem().catch(() => undefined);

test('system calls are available', ({ skip }) =>
  skip(system === undefined, 'the package koffi is not installed'));

/** A manager's socket at a path, or with @ in the abstract namespace. */
function managerSocket(path: string) {
  const { socket, bind, read } = system as System;
  const block = allocate(system as System, 4096);
  const name = Buffer.from(path.startsWith('@') ? `\0${path.slice(1)}` : `${path}\0`);
  block.view.setUint16(0, 1, true);
  block.bytes.set(name, 2);
  // SOCK_DGRAM | SOCK_NONBLOCK
  const descriptor = succeeded('socket', socket(1, 2 | 0o4000, 0));
  succeeded('bind', bind(descriptor, block.address, 2 + name.length));
  return {
    /** The next datagram's lines; undefined if there is none. */
    next(): string[] | undefined {
      const length = read(descriptor, block.address, 4096);
      return length < 0 ? undefined : Buffer.from(block.bytes.subarray(0, length)).toString().split('\n');
    },
    [Symbol.dispose]: () => void (system as System).close(descriptor),
  };
}

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
