/** Programs that run /sbin/ipvsadm, as they are, where that is ours. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { LabHost } from './lab-host.ts';
import { ipvsadm } from './lvs-programs.ts';

/** Where programs look for it, without asking PATH. */
const PLACE = '/sbin/ipvsadm';

/** Puts the file of the first word in ipvsadm's place, in the mount namespace of this command alone, and runs the rest. */
const IN_PLACE = `mount --bind "$0" ${PLACE} && exec "$@"`;

/** The words that run a command on the host with our ipvsadm in place of the distribution's. */
export function withOurs(host: LabHost, ...command: string[]): string[] {
  const file = join(host.folder, 'ipvsadm');
  writeFileSync(file, `#!/bin/sh\nexec ${ipvsadm.join(' ')} "$@"\n`, { mode: 0o755 });
  return ['sh', '-c', IN_PLACE, file, ...command];
}
