/** Reads the key file of synchronization, or of servers that join: one or two secrets, which no other user can read. */
import { LvsError } from '../../model/errors.ts';
import { readSecretFile } from './secret-file.ts';

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
  const text = await readSecretFile(path, 'key file', MAX_FILE_BYTES);
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
