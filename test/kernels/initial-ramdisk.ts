/** The initial ramdisk of the virtual machine: busybox, the modules that mount the host's files, and `init`. */
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { PROJECT } from '../support/project.ts';
import { CACHE, command, type DebianKernel } from './debian-kernel.ts';

const INIT = join(PROJECT, 'test/kernels/init');
/** Modules for the host's files, with what they depend on. */
const MODULES = ['virtio_pci', '9pnet_virtio', '9p', 'overlay'];

/** Makes the ramdisk and returns its path. Throws Unavailable. */
export function initialRamdisk(kernel: DebianKernel): string {
  const tree = mkdtempSync(join(tmpdir(), 'lvs-ramdisk-'));
  try {
    for (const folder of ['bin', 'dev', 'proc', 'sys', 'modules']) mkdirSync(join(tree, folder));
    const busybox = command(['sh', '-c', 'command -v busybox']).trim();
    copyFileSync(busybox, join(tree, 'bin/busybox'));
    symlinkSync('busybox', join(tree, 'bin/sh'));
    writeFileSync(
      join(tree, 'modules/order'),
      modules(kernel, join(tree, 'modules'))
        .map((name) => `${name}\n`)
        .join(''),
    );
    copyFileSync(INIT, join(tree, 'init'));
    chmodSync(join(tree, 'init'), 0o755);
    const image = join(CACHE, `ramdisk-${kernel.version}`);
    command(['bash', '-o', 'pipefail', '-c', `find . | cpio -o -H newc --quiet | gzip -1 >'${image}'`], tree);
    return image;
  } finally {
    rmSync(tree, { recursive: true, force: true });
  }
}

/** Copies the modules, uncompressed; returns their names in the order in which they have to be loaded. */
function modules(kernel: DebianKernel, into: string): string[] {
  const names: string[] = [];
  for (const module of MODULES) {
    const wanted = ['modprobe', '-d', kernel.root, '-S', kernel.version, '--show-depends', module];
    for (const line of command(wanted).split('\n')) {
      const [word, file] = line.split(' ');
      if (word !== 'insmod' || file === undefined) continue;
      const name = basename(file, '.xz');
      if (existsSync(join(into, name))) continue;
      if (file.endsWith('.xz')) command(['sh', '-c', `xz -dc '${file}' >'${join(into, name)}'`]);
      else copyFileSync(file, join(into, name));
      names.push(name);
    }
  }
  return names;
}
