/** Checks that no other user can replace files in a folder. */
import { statSync } from 'node:fs';

/** Write permission of the group and of others. */
const WRITABLE_BY_OTHERS = 0o022;

/** Reports whether only this user and root can replace files in a folder. */
export function isWritableByOwnerOnly(folder: string): boolean {
  const { uid, mode } = statSync(folder);
  return (uid === process.geteuid?.() || uid === 0) && (mode & WRITABLE_BY_OTHERS) === 0;
}
