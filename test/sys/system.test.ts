import { execFileSync } from 'node:child_process';
import { constants } from 'node:fs';
import { expect, test } from 'vitest';
import { Arena, allocate } from '../../src/sys/memory.ts';
import { loadSystem, type System } from '../../src/sys/system.ts';
import { SystemCallError, succeeded } from '../../src/sys/system-call-error.ts';
import { TemporaryFolder } from '../support/director-apis.ts';

/** Something can be read (include/uapi/asm-generic/poll.h). */
const POLLIN = 1;

const loaded: System | Error = await loadSystem().catch((error: Error) => error);
const unavailable = loaded instanceof Error ? loaded.message : undefined;
const system = loaded as System;

test('an error names the system call, the error code and its meaning', () => {
  expect(new SystemCallError('bpf(PROG_LOAD)', 1).message).toBe(
    'bpf(PROG_LOAD): EPERM, operation not permitted',
  );
  expect(new SystemCallError('open', 524)).toMatchObject({ code: 'ENOTSUPP', errno: 524, call: 'open' });
  expect(new SystemCallError('open', 4000).message).toBe('open: E4000, unknown error');
  expect(succeeded('open', 7)).toBe(7);
  expect(() => succeeded('close', -9)).toThrowError('close: EBADF, bad file descriptor');
});

test('the package for system calls is installed', ({ skip }) => skip(unavailable !== undefined, unavailable));

test.skipIf(unavailable !== undefined)('system calls reach the kernel', () => {
  expect(system.interfaceIndex('lo')).toBeGreaterThan(0);
  expect(system.interfaceIndex('no such one')).toBe(0);
});

test.skipIf(unavailable !== undefined)('a failed call returns the negative errno', () => {
  expect(system.close(-1)).toBe(-9);
  expect(system.open('/no/such/file', 0)).toBe(-2);
});

test.skipIf(unavailable !== undefined)('values written at an address are read by the kernel', () => {
  const memory = allocate(system, 4096);
  const descriptor = system.open('/proc/self/comm', 0);
  const length = system.read(descriptor, memory.address, 64);
  system.close(descriptor);
  expect(length).toBeGreaterThan(1);
  expect(memory.bytes[length - 1]).toBe('\n'.charCodeAt(0));
});

test.skipIf(unavailable !== undefined)('an arena returns zeroed memory, one area after the other', () => {
  const arena = new Arena(system, 64);
  const first = arena.lend(10, (block) => {
    block.bytes.fill(0xff);
    const inner = arena.lend(10, ({ address }) => address);
    expect(inner - block.address).toBe(16);
    return block.address;
  });
  arena.lend(10, (again) => {
    expect(again.address).toBe(first);
    expect([...again.bytes]).toEqual(new Array(10).fill(0));
  });
  expect(() => arena.lend(65, () => {})).toThrowError('arena: 65 bytes requested: 64 available');
});

test.skipIf(unavailable !== undefined)('waiting does not block the event loop', async () => {
  using folder = new TemporaryFolder();
  execFileSync('mkfifo', [folder.file('pipe')]);
  const pipe = system.open(folder.file('pipe'), constants.O_RDWR);
  const { address, view } = allocate(system, 8);
  view.setInt32(0, pipe, true);
  view.setInt16(4, POLLIN, true);
  // Nothing comes before the event loop has turned.
  setImmediate(() => system.write(pipe, address, 1));
  expect(await system.poll(address, 1, 60_000)).toBe(1);
  expect(view.getInt16(6, true)).toBe(POLLIN);
  expect(await system.poll(address, 0, 0)).toBe(0);
  system.close(pipe);
});
