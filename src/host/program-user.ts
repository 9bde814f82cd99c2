/** Finds users and groups in the databases of the host (nsswitch.conf(5)). */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { LvsError } from '../model/errors.ts';
import type { ProgramUser } from '../model/notify.ts';

/** ms for a database, which may be on the network. */
const LOOKUP_MS = 5000;

/**
 * Returns the ids of `user` or `user:group`; the group is that of the user by default. Throws LvsError CONFIG if they are
 * not found, or if this process may not run programs as another user. `key`: names `text` in messages.
 */
export async function programUser(key: string, text: string): Promise<ProgramUser> {
  const [name, group] = text.split(':') as [string, string?];
  const [, , uid, ownGid] = await entryOf(key, 'passwd', name);
  const gid = group === undefined ? ownGid : (await entryOf(key, 'group', group))[2];
  const user = { uid: Number(uid), gid: Number(gid) };
  const own = process.getuid?.() ?? 0;
  if (own !== 0 && (own !== user.uid || process.getgid?.() !== user.gid))
    throw new LvsError(
      'CONFIG',
      `${key} ${text}: this director runs as user ${own}, and cannot run programs as another user`,
    );
  return user;
}

/** Returns the fields of an entry (passwd(5), group(5)). */
async function entryOf(key: string, database: 'passwd' | 'group', name: string): Promise<readonly string[]> {
  try {
    const { stdout } = await promisify(execFile)('getent', [database, '--', name], {
      ...{ timeout: LOOKUP_MS, killSignal: 'SIGKILL' },
    });
    return stdout.trim().split(':');
  } catch (cause) {
    const what = database === 'passwd' ? 'user' : 'group';
    throw new LvsError('CONFIG', `${key}: ${what} '${name}' not found (getent ${database} ${name})`, {
      cause,
    });
  }
}
