/** A bpf file system for the pins of a laboratory: `ip netns exec` hides what is mounted below /sys. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Why there can be no pins here, or undefined. */
export const pinsMissing = (): string | undefined =>
  process.getuid?.() === 0 ? undefined : 'mounting a bpf file system requires root';

export class PinsMount implements Disposable {
  readonly #mount = mkdtempSync(join(tmpdir(), 'lvs-pins-'));
  /** The folder for `--pins`. */
  readonly root = join(this.#mount, 'lvs');

  constructor() {
    execFileSync('mount', ['-t', 'bpf', 'bpf', this.#mount]);
  }

  /** The names of what is kept, of all network namespaces. */
  get kept(): string[] {
    return readdirSync(this.#mount)
      .filter((name) => name === 'lvs')
      .flatMap(() => readdirSync(this.root, { recursive: true, encoding: 'utf8' }));
  }

  [Symbol.dispose](): void {
    execFileSync('umount', [this.#mount]);
    rmdirSync(this.#mount);
  }
}
