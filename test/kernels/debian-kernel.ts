/** Debian's kernels: finds the newest package of a series, downloads it with apt, and extracts it without installing it. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** ms that an apt command may take. */
const APT_LIMIT_MS = 120_000;

/** A kernel that a virtual machine can boot. */
export interface DebianKernel {
  /** As `uname -r` prints it: 6.1.0-57-amd64. */
  readonly version: string;
  readonly image: string;
  /** Folder of the modules: LIB/modules/VERSION, as depmod(8) expects it below `root`. */
  readonly modules: string;
  readonly root: string;
}

/** A package or a program that cannot be had here: the kernel is skipped for this reason. */
export class Unavailable extends Error {}

/** Downloaded and extracted kernels, and what is made of them. */
export const CACHE = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'lvs-kernels');

/** Runs a command and returns what it prints. Throws Unavailable when it fails. */
export function command(words: readonly string[], folder?: string): string {
  const [file, ...rest] = words;
  const { status, stdout, stderr, error } = spawnSync(file!, rest, {
    encoding: 'utf8',
    timeout: APT_LIMIT_MS,
    maxBuffer: 64 * 1024 * 1024,
    ...(folder === undefined ? {} : { cwd: folder }),
  });
  if (error) throw new Unavailable(`${file}: ${error.message}`);
  if (status !== 0) throw new Unavailable(`${words.join(' ')}: ${stderr.trim().split('\n').at(-1)}`);
  return stdout;
}

/** Returns the newest kernel of a series such as 6.12, downloaded if need be. Throws Unavailable. */
export function debianKernel(series: string): DebianKernel {
  let name = newestPackage(series);
  if (name === undefined) {
    command(['apt-get', '-qq', 'update']);
    name = newestPackage(series);
  }
  if (name === undefined) throw new Unavailable(`apt lists no kernel package of Linux ${series}`);
  const version = name.replace('linux-image-', '');
  const root = join(CACHE, version);
  const done = join(root, '.extracted');
  if (!existsSync(done)) {
    removeOthers(series, version);
    extract(name, version, root);
    writeFileSync(done, '');
  }
  return {
    version,
    image: join(root, 'boot', `vmlinuz-${version}`),
    modules: join(root, 'lib', 'modules', version),
    root,
  };
}

/** Package names of a series: neither the cloud nor the real-time flavor, no debug symbols. */
const pattern = (series: string) =>
  `^linux-image-${series.replaceAll('.', '\\.')}\\.[0-9][^ -]*(-[0-9]+)?-amd64$`;

function newestPackage(series: string): string | undefined {
  const names = command(['apt-cache', 'search', '--names-only', pattern(series)])
    .split('\n')
    .map((line) => line.split(' ')[0]!)
    .filter((name) => name !== '');
  return names.sort((a, b) => a.localeCompare(b, 'en', { numeric: true })).at(-1);
}

/** An earlier version of the same series is of no use any more. */
function removeOthers(series: string, version: string): void {
  mkdirSync(CACHE, { recursive: true });
  for (const name of readdirSync(CACHE))
    if (name.includes(`${series}.`) && !name.includes(version))
      rmSync(join(CACHE, name), { recursive: true, force: true });
}

function extract(name: string, version: string, root: string): void {
  rmSync(root, { recursive: true, force: true });
  mkdirSync(root, { recursive: true });
  command(['apt-get', '-qq', 'download', name], root);
  const archive = readdirSync(root).find((file) => file.endsWith('.deb'));
  if (archive === undefined) throw new Unavailable(`apt-get download ${name}: no file was downloaded`);
  command(['dpkg-deb', '-x', archive, '.'], root);
  rmSync(join(root, archive));
  if (!existsSync(join(root, 'lib'))) symlinkSync('usr/lib', join(root, 'lib'));
  command(['depmod', '-b', root, version]);
}
