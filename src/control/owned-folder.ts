/** Whether what is written to a folder stays what was written. */
import { statSync } from 'node:fs';

/** Permission bits of those who are not the owner. */
const WRITABLE_BY_OTHERS = 0o022;

/** False when somebody else than this user and root can replace what is in the folder. */
export function isOwnersAlone(folder: string): boolean {
  const { uid, mode } = statSync(folder);
  return (uid === process.geteuid?.() || uid === 0) && (mode & WRITABLE_BY_OTHERS) === 0;
}
