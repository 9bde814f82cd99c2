/** Checks that no other user can replace a folder, or what is in it. */
import { readFileSync, realpathSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

/** Permission bits of group and others. */
const WRITABLE_BY_OTHERS = 0o022;
/** In a folder with the sticky bit only the owner of an entry can rename or delete it (inode(7)). */
const STICKY = 0o1000;

/**
 * Returns the folder in which a user other than this one and root could replace `folder` or its content: the folder
 * itself or one above it, also where a symbolic link leads to it; undefined: there is none.
 */
export function replaceableFolder(folder: string): string | undefined {
  const path = resolve(folder);
  for (const each of new Set([path, realpathSync(path)])) {
    if (!isTrusted(each, WRITABLE_BY_OTHERS)) return each;
    for (let above = dirname(each), below = each; above !== below; below = above, above = dirname(above))
      if (!isTrusted(above, (statSync(above).mode & STICKY) !== 0 ? 0 : WRITABLE_BY_OTHERS)) return above;
  }
  return undefined;
}

/** Reports whether a folder belongs to this user or root, and has none of these permissions. */
function isTrusted(folder: string, permissions: number): boolean {
  const { uid, mode } = statSync(folder);
  return (uid === process.geteuid?.() || uid === 0 || uid === unmappedUser()) && (mode & permissions) === 0;
}

/** Returns the user that stands for root in a user namespace without root; undefined in the initial namespace (user_namespaces(7)). */
function unmappedUser(): number | undefined {
  const isInitial = /^\s*0\s+0\s+4294967295\s*$/.test(readFileSync('/proc/self/uid_map', 'latin1'));
  return isInitial ? undefined : Number(readFileSync('/proc/sys/kernel/overflowuid', 'latin1'));
}
