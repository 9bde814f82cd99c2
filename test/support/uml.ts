/** Boots User-Mode Linux, whose kernel has IPVS, with the host's file system as its root. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { lacking } from './debian.ts';
import { PROJECT } from './project.ts';

const MODULES = '/usr/lib/uml/modules';
const MEMORY = '384M';
/** Lines of the console that explain why a guest died. */
const CONSOLE_LINES = 40;

/** Returns why User-Mode Linux cannot be booted here, or undefined. */
export function umlMissing(): string | undefined {
  if (process.getuid?.() !== 0) return 'User-Mode Linux: mounts need root';
  return (
    lacking('linux.uml', 'user-mode-linux') ??
    lacking('cc', 'gcc') ??
    (existsSync(MODULES) && readdirSync(MODULES).length > 0
      ? undefined
      : `${MODULES} is missing (Debian: user-mode-linux)`)
  );
}

/**
 * Runs a command as the guest's only job, with `environment`; `folder` receives its output. Ends with the guest, which
 * is killed after `limit` ms. Resolves with the end of what the guest wrote to its console.
 */
export async function runInGuest(
  command: readonly string[],
  environment: Readonly<Record<string, string>>,
  folder: string,
  limit: number,
): Promise<string> {
  const init = join(folder, 'init');
  const exports = Object.entries({
    PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
    HOME: '/root',
    LC_ALL: 'C',
    ...environment,
  });
  const script = [
    '#!/bin/sh',
    ...exports.map(([name, value]) => `export ${name}='${value}'`),
    `${command.map((word) => `'${word}'`).join(' ')} >'${folder}/output' 2>&1`,
    'halt -f',
    '',
  ];
  writeFileSync(init, script.join('\n'), { mode: 0o755 });
  const library = join(folder, 'uml-fpu-state.so');
  const source = join(PROJECT, 'test/support/uml-fpu-state.c');
  execFileSync('cc', ['-O2', '-shared', '-fPIC', '-o', library, source, '-ldl']);
  const kernel = spawn(
    'linux.uml',
    [
      ...[`mem=${MEMORY}`, 'root=/dev/root', 'rootfstype=hostfs', 'rootflags=/', 'rw', `init=${init}`],
      ...['con=null', 'con0=fd:0,fd:1', 'quiet'],
    ],
    // The guest's memory is a file there.
    {
      env: { PATH: process.env['PATH'], HOME: '/root', TMPDIR: '/dev/shm', LD_PRELOAD: library },
      stdio: ['ignore', 'pipe', 'ignore'],
    },
  );
  const lines: string[] = [];
  createInterface({ input: kernel.stdout }).on('line', (line) => lines.push(line));
  const timer = setTimeout(() => kernel.kill('SIGKILL'), limit);
  await once(kernel, 'close');
  clearTimeout(timer);
  return lines.slice(-CONSOLE_LINES).join('\n');
}
