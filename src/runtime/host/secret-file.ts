/** Reads a small file that no other user may read, such as a key or a password. */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { LvsError } from '../../model/errors.ts';

/** Bits of the mode that let others than the owner in. */
const OTHERS = 0o077;

/**
 * Returns the text. `what`: the kind of the file, for messages. Throws LvsError UNAVAILABLE if the file cannot be read, CONFIG if
 * others may read it, or it is too large.
 */
export async function readSecretFile(path: string, what: string, maxBytes: number): Promise<string> {
  const invalid = (problem: string) => new LvsError('CONFIG', `${what} ${path}: ${problem}`);
  try {
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const { mode, uid, size } = await file.stat();
    if ((mode & constants.S_IFMT) !== constants.S_IFREG) throw invalid('not a regular file');
    if ((mode & OTHERS) !== 0)
      throw invalid(
        `mode ${(mode & 0o777).toString(8).padStart(4, '0')}: expected 0600 (chmod 0600 ${path})`,
      );
    if (uid !== 0 && uid !== process.getuid?.()) throw invalid(`owned by user ${uid}: expected root`);
    if (size > maxBytes) throw invalid(`larger than ${maxBytes} bytes`);
    return await file.readFile('latin1');
  } catch (cause) {
    if (cause instanceof LvsError) throw cause;
    throw new LvsError('UNAVAILABLE', `${what} ${path}: cannot be read: ${(cause as Error).message}`, {
      cause,
    });
  }
}
