/** Ends the process at a deadline, even if a system call, a child process or a thread hangs. */
import { spawn } from 'node:child_process';

/**
 * Kills this process with SIGKILL after `seconds`. A shell does it, because this process may hang in a system call. When
 * this process exits, the standard input of the shell closes and the shell exits, too.
 */
export function endAfter(seconds: number): void {
  const script = 'timeout "$1" cat >/dev/null; [ $? -ne 124 ] || kill -9 "$2"';
  const shell = spawn('sh', ['-c', script, 'end-deadline', String(seconds), String(process.pid)], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  // If no shell can be started (no descriptors or memory), a timer is used.
  shell.on('error', () => setTimeout(() => process.kill(process.pid, 'SIGKILL'), seconds * 1000).unref());
  shell.unref();
  (shell.stdin as typeof shell.stdin & { unref?(): void })?.unref?.();
}
