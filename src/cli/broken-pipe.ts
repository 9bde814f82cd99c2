/** Readers of the standard streams may go: a listing is over then, and a log is written for nobody. */

/** A pipe's other end is closed (`| head`), or what keeps the log was restarted: no reason to stop forwarding packets. */
export function outliveReaders(): void {
  process.stdout.on('error', ({ code }: NodeJS.ErrnoException) => process.exit(code === 'EPIPE' ? 0 : 1));
  process.stderr.on('error', () => {});
}
