/** Replaces a file at once: readers see the former text or the new one. */
import { chmod, rename, writeFile } from 'node:fs/promises';

/** `mode`: permissions, whatever the umask is. Throws the errors of the file system. */
export async function replaceFile(path: string, text: string, mode: number): Promise<void> {
  const next = `${path}.new`;
  await writeFile(next, text, { mode });
  await chmod(next, mode);
  await rename(next, path);
}
