/** Replaces a file at once: readers see the former content or the new one. */
import { chmodSync, renameSync, writeFileSync } from 'node:fs';
import { chmod, rename, writeFile } from 'node:fs/promises';

/** Returns the path of the file that is written before it takes the place of the one at `path`. */
export const nextFile = (path: string): string => `${path}.new`;

/** `mode`: permissions, whatever the umask is. Throws the errors of the file system. */
export async function replaceFile(
  path: string,
  content: string | readonly Uint8Array[],
  mode: number,
): Promise<void> {
  const next = nextFile(path);
  await writeFile(next, content, { mode });
  await chmod(next, mode);
  await rename(next, path);
}

/**
 * As `replaceFile`, and waits. Without `mode`, the umask decides. `next`: path of the file that is written first, in the
 * same folder.
 */
export function replaceFileSync(
  path: string,
  text: string,
  { mode, next = nextFile(path) }: { readonly mode?: number; readonly next?: string } = {},
): void {
  writeFileSync(next, text, { mode });
  if (mode !== undefined) chmodSync(next, mode);
  renameSync(next, path);
}
