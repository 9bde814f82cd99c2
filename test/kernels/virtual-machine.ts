/** Runs a command as root under another kernel, by emulation (qemu without KVM), over this machine's files, read-only. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { CACHE, command, type DebianKernel, Unavailable } from './debian-kernel.ts';

/** Lines between which the command's output stands. */
const BEGIN = 'LVS-BEGIN';
const END = /^LVS-END (\d+)/;
const MEMORY_MIB = 3072;
/** For test/support/program.ts: beside other load a program takes minutes to start by emulation. */
const PATIENCE_SECONDS = 180;

/** Modules that a kernel without udev does not load when they are needed. */
const MODULES = ['tun', 'veth', 'bridge'];

export interface RunOptions {
  readonly kernel: DebianKernel;
  readonly ramdisk: string;
  /** Is run by a shell; what it writes to files is lost. */
  readonly shellCommand: string;
  /** ms, from the start of the emulation on. */
  readonly limit: number;
  /** Gets every line that the command prints. */
  readonly print: (line: string) => void;
}

const QEMU = 'qemu-system-x86_64';

/** Throws Unavailable where no virtual machine can be had. */
export function requireEmulation(): void {
  if (process.arch !== 'x64') throw new Unavailable(`emulates x86-64 machines only, this is ${process.arch}`);
  for (const program of [QEMU, 'busybox', 'cpio', 'depmod', 'xz'])
    try {
      command(['sh', '-c', `command -v ${program}`]);
    } catch {
      throw new Unavailable(`${program}: not found (scripts/setup kernels)`);
    }
}

/**
 * Returns the command's exit status; 'limit': it did not end within the limit; 'boot': the machine ended before it could run;
 * undefined: the machine ended while it ran.
 */
export async function runUnder(options: RunOptions): Promise<number | 'limit' | 'boot' | undefined> {
  const { kernel, ramdisk, shellCommand, limit, print } = options;
  const folder = mkdtempSync(join(CACHE, 'job-'));
  const file = join(folder, 'job');
  writeFileSync(file, job(shellCommand));
  const [qemu, ...words] = commandLine(kernel, ramdisk, file);
  const machine = spawn(qemu!, words, { stdio: ['ignore', 'pipe', 'inherit'] });
  const end = () => machine.kill('SIGKILL');
  // The machine must not outlive a run that is interrupted.
  const interrupted = () => process.exit(1);
  process.once('exit', end).once('SIGINT', interrupted).once('SIGTERM', interrupted);
  let isOver = false;
  const timer = setTimeout(() => {
    isOver = true;
    end();
  }, limit);
  try {
    let hasBegun = false;
    const console: string[] = [];
    for await (const line of createInterface({ input: machine.stdout })) {
      const text = line.replaceAll('\r', '');
      const ended = END.exec(text);
      if (ended) return Number(ended[1]);
      if (hasBegun) print(text);
      else console.push(text);
      hasBegun ||= text === BEGIN;
    }
    // What the kernel said before the command could run.
    if (!hasBegun) for (const text of console) print(text);
    if (isOver) return 'limit';
    return hasBegun ? undefined : 'boot';
  } finally {
    clearTimeout(timer);
    end();
    process.off('exit', end).off('SIGINT', interrupted).off('SIGTERM', interrupted);
    rmSync(folder, { recursive: true, force: true });
  }
}

const job = (shellCommand: string) => `
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
export LVS_TEST_PATIENCE=${PATIENCE_SECONDS}
ip link set lo up
for module in ${MODULES.join(' ')}; do modprobe $module; done
echo ${BEGIN}
( ${shellCommand} ) </dev/null 2>&1
echo "LVS-END $?"
sleep 60
`;

/** mitigations=off and the like shorten the emulation; nothing that is checked depends on them. */
const commandLine = (kernel: DebianKernel, ramdisk: string, file: string): string[] => [
  QEMU,
  ...['-accel', 'tcg,thread=multi,tb-size=512', '-cpu', 'max,-la57', '-smp', '2', '-m', String(MEMORY_MIB)],
  ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-serial', 'stdio'],
  ...['-fsdev', 'local,id=host,path=/,security_model=none,readonly=on,multidevs=remap'],
  ...['-device', 'virtio-9p-pci,fsdev=host,mount_tag=host'],
  ...['-kernel', kernel.image, '-initrd', ramdisk],
  '-append',
  [
    'console=ttyS0 quiet loglevel=1 panic=-1 mitigations=off tsc=reliable no_timer_check nowatchdog',
    'audit=0 apparmor=0 selinux=0',
    `LVS_JOB=${file} LVS_MODULES=${kernel.modules} LVS_VERSION=${kernel.version}`,
  ].join(' '),
];
