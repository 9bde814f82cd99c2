/** Reads the key file of synchronization: one or two secrets, which no other user can read. */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { LvsError } from '../model/errors.ts';

/** Bits of the mode that let others than the owner in. */
const OTHERS = 0o077;
/** Hexadecimal digits of a secret: 16 bytes at least. */
const SECRET = /^(?:[0-9a-fA-F]{2}){16,128}$/;
const MAX_SECRETS = 2;
const MAX_FILE_BYTES = 4096;

/**
 * Returns the secrets, in the order of the lines. Empty lines and those that begin with # are ignored. Throws LvsError
 * UNAVAILABLE if the file cannot be read, CONFIG if it is not a key file or others may read it.
 */
export async function readKeyFile(path: string): Promise<Uint8Array<ArrayBuffer>[]> {
  const invalid = (problem: string) => new LvsError('CONFIG', `key file ${path}: ${problem}`);
  let text: string;
  try {
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const { mode, uid, size } = await file.stat();
    if ((mode & constants.S_IFMT) !== constants.S_IFREG) throw invalid('not a regular file');
    if ((mode & OTHERS) !== 0)
      throw invalid(
        `mode ${(mode & 0o777).toString(8).padStart(4, '0')}: expected 0600 (chmod 0600 ${path})`,
      );
    if (uid !== 0 && uid !== process.getuid?.()) throw invalid(`owned by user ${uid}: expected root`);
    if (size > MAX_FILE_BYTES) throw invalid(`larger than ${MAX_FILE_BYTES} bytes`);
    text = await file.readFile('latin1');
  } catch (cause) {
    if (cause instanceof LvsError) throw cause;
    throw new LvsError('UNAVAILABLE', `key file ${path}: cannot be read: ${(cause as Error).message}`, {
      cause,
    });
  }
  const lines = text.split('\n').map((line, i) => ({ number: i + 1, word: line.trim() }));
  const secrets = lines.filter(({ word }) => word !== '' && !word.startsWith('#'));
  // The secret itself must not get into a log.
  const wrong = secrets.find(({ word }) => !SECRET.test(word));
  if (wrong !== undefined)
    throw invalid(`line ${wrong.number}: expected 32 to 256 hexadecimal digits (openssl rand -hex 32)`);
  if (secrets.length === 0 || secrets.length > MAX_SECRETS)
    throw invalid(`${secrets.length} keys: expected one, or two while keys are changed`);
  return secrets.map(({ word }) => Uint8Array.from(Buffer.from(word, 'hex')));
}
