/**
 * systemd as process 1 on a host of the laboratory, over a copy-on-write view of this machine's files, with the units of conf/.
 * It has separate PID, mount, UTS, IPC and cgroup namespaces, and the host's network namespace.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LabHost, RunOptions } from './lab-host.ts';
import { PATIENCE, type Program } from './program.ts';
import { PROJECT } from './project.ts';

const SYSTEMD = '/lib/systemd/systemd';
/** Where packages install the program: the service does not see /home and /root, where the project may be. */
const INSTALLED = '/usr/lib/lvs';

/** The mount point of version 2 of the control groups, or undefined. */
const controlGroups = (): string | undefined =>
  /^\S+ (\S+) cgroup2 /m.exec(readFileSync('/proc/self/mounts', 'utf8'))?.[1];

/** Why systemd cannot run here, or undefined. */
export function systemdMissing(): string | undefined {
  if (process.getuid?.() !== 0) return 'systemd as process 1 requires root';
  if (!existsSync(SYSTEMD)) return 'systemd is not installed';
  if (controlGroups() === undefined) return 'no control groups of version 2 are mounted';
  return readFileSync('/proc/filesystems', 'utf8').includes('\toverlay\n') ? undefined : 'no overlayfs';
}

/** Makes the tree, gives it the project and the units, and starts process 1 in it. $1: control group, $2: project, $3: its place, $4: node. */
const BOOT = `set -e
mount -t cgroup2 cgroup2 /mnt
mkdir "/mnt/$1"
echo $$ >"/mnt/$1/cgroup.procs"
umount /mnt
exec unshare --fork --pid --mount --uts --ipc --cgroup --kill-child sh -ec '
mount --make-rprivate /
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work overlay /mnt/root
cd /mnt/root
mkdir -p ".$2" etc/lvs
mount --bind "$1" ".$2"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/net dev/shm dev/pts
for device in null zero full random urandom tty net/tun; do touch "dev/$device"; mount --bind "/dev/$device" "dev/$device"; done
mount -t tmpfs tmpfs dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
for unit in lvs-director lvs-realserver; do cp "$1/conf/systemd/$unit.service" etc/systemd/system/; done
for program in lvs-director=director lvs-realserver=realserver ipvsadm=ipvsadm; do
  printf "#!/bin/sh\\nexec \\"$3\\" $2/dist/src/cli/\${program#*=}.js \\"\\$@\\"\\n" >usr/local/bin/\${program%=*}
  chmod 755 usr/local/bin/\${program%=*}
  ln -sf /usr/local/bin/\${program%=*} usr/bin/
done
echo lvs:x:990:990::/nonexistent:/usr/sbin/nologin >>etc/passwd
echo lvs:x:990: >>etc/group
pivot_root . mnt
umount -l /mnt
exec env -i container=lxc PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin ${SYSTEMD} --unit=basic.target
' sh "$2" "$3" "$4"`;

export class SystemdHost implements AsyncDisposable {
  readonly #host: LabHost;
  readonly #program: Program;
  readonly #group: string;
  readonly #pid: number;

  private constructor(host: LabHost, program: Program, group: string, pid: number) {
    this.#host = host;
    this.#program = program;
    this.#group = group;
    this.#pid = pid;
  }

  /** Resolves when systemd has started its basic units. */
  static async start(host: LabHost): Promise<SystemdHost> {
    const group = host.namespace;
    const program = host.spawn(['sh', '-c', BOOT, 'sh', group, PROJECT, INSTALLED, process.execPath]);
    const children = `/proc/${program.pid}/task/${program.pid}/children`;
    for (const deadline = Date.now() + PATIENCE; program.running && Date.now() < deadline; await sleep(100)) {
      const pid = Number.parseInt(readFileSync(children, 'utf8'), 10);
      if (Number.isNaN(pid)) continue;
      const systemd = new SystemdHost(host, program, join(controlGroups()!, group), pid);
      if ((await systemd.run(['systemctl', 'is-active', 'basic.target'])).stdout === 'active\n')
        return systemd;
    }
    throw new Error(`systemd does not start: ${program.output}`);
  }

  /** Runs a command in its namespaces. */
  run(command: readonly string[], options?: RunOptions) {
    return this.#host.run([...this.#enter, ...command], options);
  }

  exec(command: readonly string[], options?: RunOptions): Promise<string> {
    return this.#host.exec([...this.#enter, ...command], options);
  }

  /** Replaces a file that its programs see. */
  write(path: string, text: string): void {
    writeFileSync(`/proc/${this.#pid}/root${path}`, text);
  }

  /** A property of a unit, as `systemctl show` prints it. */
  property(unit: string, name: string): Promise<string> {
    return this.exec(['systemctl', 'show', '--property', name, '--value', unit]);
  }

  /** What the unit's programs have written to the journal. */
  journal(unit: string): Promise<string> {
    return this.exec(['journalctl', '--no-pager', '--output', 'cat', '--unit', unit]);
  }

  get #enter(): string[] {
    return ['nsenter', '--target', `${this.#pid}`, ...['--mount', '--pid', '--uts', '--ipc', '--cgroup']];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // The end of its process 1 ends all others of a PID namespace, and removes what they have mounted.
    await this.#program.stop('SIGKILL');
    const removed = () =>
      spawnSync('find', [this.#group, '-depth', '-type', 'd', '-exec', 'rmdir', '{}', '+']).status === 0;
    for (const deadline = Date.now() + PATIENCE; !removed() && Date.now() < deadline; ) await sleep(50);
  }
}
