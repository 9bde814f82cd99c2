/** Network namespaces with `ip`: as root on the machine itself, otherwise inside a new user namespace. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Program } from './program.ts';

/** Why something cannot be used here, or undefined when it can. */
export type Unavailable = { readonly what: string; readonly why: string } | undefined;

/** What a command printed, and how it ended. */
export interface Outcome {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Sets a user namespace up and lives as long as its stdin: with it go all namespaces made inside. */
const HOLDER =
  'mount -t tmpfs lvs /run && mkdir -p /run/netns /run/lvs && ip link set lo up && echo ready && exec cat';

/** The place where the namespaces are: commands run there through `prefix`. */
export interface Ground extends AsyncDisposable {
  readonly prefix: readonly string[];
  /** True when the namespaces are visible to other processes of the machine as `ip netns`. */
  readonly shared: boolean;
}

export async function openGround(): Promise<Ground> {
  if (process.getuid?.() === 0) {
    mkdirSync('/run/lvs', { recursive: true });
    return { prefix: [], shared: true, [Symbol.asyncDispose]: async () => {} };
  }
  const holder = new Program(['unshare', '-Urnm', 'sh', '-c', HOLDER], 'user namespace');
  await holder.line(/^ready$/);
  return {
    prefix: ['nsenter', '-t', String(holder.pid), '-U', '-m', '-n', '--preserve-credentials'],
    shared: false,
    [Symbol.asyncDispose]: () => holder[Symbol.asyncDispose](),
  };
}

/** Tries what the laboratory needs; asked once, the answer is kept. */
export function probeNamespaces(): Unavailable {
  probed ??= [probe()];
  return probed[0];
}
let probed: [Unavailable] | undefined;

/** One namespace with what every laboratory has in it, made and gone again with its command. */
const TRIAL =
  'ip link set lo up && ip link add lvs-a type veth peer name lvs-b && ip link add lvs-br type bridge && echo yes';

function probe(): Unavailable {
  const what = 'network namespaces';
  if (process.platform !== 'linux') return { what, why: `need Linux, this is ${process.platform}` };
  const flags = process.getuid?.() === 0 ? '-nm' : '-Urnm';
  const tried = spawnSync('unshare', [flags, 'sh', '-c', TRIAL], { encoding: 'utf8' });
  if (tried.error) return { what, why: `unshare cannot be run: ${tried.error.message}` };
  if (tried.stdout.trim() === 'yes') return undefined;
  return {
    what,
    why: `unshare ${flags}: ${tried.stderr.trim().split('\n').at(-1) || `exit status ${tried.status}`}`,
  };
}

const exists = (pid: number): boolean => existsSync(`/proc/${pid}`);

/** Files of the laboratories on this machine: LAB_FILES/<laboratory>/<host>. */
export const LAB_FILES =
  process.getuid?.() === 0 ? '/run/lvs-lab' : join(tmpdir(), `lvs-lab-${process.getuid?.()}`);

/** What their hosts see as /dev/shm: LAB_MEMORY/<laboratory>/<host>. */
export const LAB_MEMORY =
  process.getuid?.() === 0 ? '/dev/shm/lvs-lab' : `/dev/shm/lvs-lab-${process.getuid?.()}`;

/** Removes what laboratories of processes that are no more have left: their programs, namespaces and files. */
export function sweep(): void {
  const dead = (name: string) => /^\d+$/.test(name) && !exists(Number(name));
  if (process.getuid?.() === 0) for (const name of namesOf((lab) => dead(lab))) removeNamespace(name);
  for (const folder of [LAB_FILES, LAB_MEMORY])
    for (const name of existsSync(folder) ? readdirSync(folder) : [])
      if (dead(name.split('.')[0]!)) rmSync(join(folder, name), { recursive: true, force: true });
}

/** Names of the machine's laboratory namespaces, lvs-<laboratory>-<host>. */
export function namesOf(ofLab: (lab: string) => boolean): string[] {
  if (!existsSync('/run/netns')) return [];
  return readdirSync('/run/netns').filter((name) => {
    const lab = /^lvs-([a-z0-9]+)(?:\.\d+)?-/.exec(name)?.[1];
    return lab !== undefined && ofLab(lab);
  });
}

/** Ends the programs in a namespace, one by one, and removes it. */
export function removeNamespace(name: string, prefix: readonly string[] = []): void {
  const sync = (...argv: string[]) => {
    const [file, ...rest] = [...prefix, ...argv];
    return spawnSync(file!, rest, { encoding: 'utf8' });
  };
  const pids = sync('ip', 'netns', 'pids', name).stdout ?? '';
  for (const pid of pids.split('\n').filter(Boolean).map(Number)) {
    try {
      if (pid !== process.pid) process.kill(pid, 'SIGKILL');
    } catch {
      // gone already
    }
  }
  sync('ip', 'netns', 'del', name);
}
