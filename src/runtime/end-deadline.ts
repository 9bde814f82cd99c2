/** Makes sure that the process ends, whatever hangs: a system call, a program that it waits for, or a thread. */
import { spawn } from 'node:child_process';

/**
 * Kills this process with SIGKILL after so many seconds. A shell does it, because this process may be stuck in a system
 * call; the shell ends with this process, whose end closes its standard input.
 */
export function endAfter(seconds: number): void {
  const script = 'timeout "$1" cat >/dev/null; [ $? -ne 124 ] || kill -9 "$2"';
  const shell = spawn('sh', ['-c', script, 'end-deadline', String(seconds), String(process.pid)], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  // Without descriptors or memory for a shell, a timer is the second best.
  shell.on('error', () => setTimeout(() => process.kill(process.pid, 'SIGKILL'), seconds * 1000).unref());
  shell.unref();
  (shell.stdin as typeof shell.stdin & { unref?(): void })?.unref?.();
}
