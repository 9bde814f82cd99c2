/** Handles EPIPE of the standard streams: a listing exits, logging is discarded. */

/** Keeps the process alive when stderr is closed; ends it when stdout is closed (`| head`). */
export function handleBrokenPipe(): void {
  process.stdout.on('error', ({ code }: NodeJS.ErrnoException) => process.exit(code === 'EPIPE' ? 0 : 1));
  process.stderr.on('error', () => {});
}
