/**
 * Withdraws the VIPs when the director is dead. A shell waits for its end, because nothing of the director runs after
 * kill -9; the same script is in a file, for the service manager, which may kill the shell, too.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { withoutCapabilities } from '../sys/ambient-capabilities.ts';
import { withDescriptors } from '../sys/descriptor-reserve.ts';
import { replaceFile } from '../sys/replace-file.ts';
import { AnnounceError } from './announce-error.ts';
import { EVERY_PROTOCOL, ownerLine } from './bird-file.ts';

/** Folders of birdc, besides those of PATH, which may lack them. */
const SYSTEM_FOLDERS = ['/usr/sbin', '/sbin'];
/** Attempts to reach BIRD, and seconds for each: a BIRD that hangs gets 15 s. */
const ATTEMPTS = 5;
const ATTEMPT_S = 3;
const OWNER_ONLY = 0o600;

export interface WithdrawalOptions {
  /** Control socket of BIRD, and the file that bird.conf includes. */
  readonly socket: string;
  readonly file: string;
  /** Identifies this director in the file. */
  readonly owner: string;
}

/** Reports whether birdc is installed. */
export const hasBirdc = (): boolean =>
  [...(process.env['PATH'] ?? '').split(delimiter), ...SYSTEM_FOLDERS].some((folder) =>
    existsSync(join(folder, 'birdc')),
  );

/**
 * Returns the script. It does nothing if another director has written the file since, or before `from`, in seconds of the
 * wall clock. The file is changed first: a BIRD that starts meanwhile reads it.
 */
function scriptOf({ socket, file, owner }: WithdrawalOptions, from: number): string {
  return `PATH="$PATH:${SYSTEM_FOLDERS.join(':')}"
mine() { [ "$(head -n 1 '${file}' 2>/dev/null)" = '${ownerLine(owner)}' ]; }
mine && [ "$(date +%s)" -ge ${from} ] || exit 0
umask 022
sed 's/{ disabled no;/{ disabled yes;/' '${file}' >'${file}.'$$ && mv -f '${file}.'$$ '${file}'
for attempt in ${Array.from({ length: ATTEMPTS }, (_, i) => i + 1).join(' ')}; do
  mine || exit 0
  timeout ${ATTEMPT_S} birdc -s '${socket}' 'disable ${EVERY_PROTOCOL}' </dev/null >/dev/null 2>&1 && exit 0
  sleep 0.2
done
exit 1
`;
}

/** The shell's program: $0 is the script. A line of its standard input is about how the director ended. */
const WAIT = 'read -r how seconds; case "$how" in done) exit ;; keep) sleep "$seconds" ;; esac; eval "$0"';

export class Withdrawal {
  readonly #options: WithdrawalOptions;
  readonly #path: string;
  #shell: ChildProcess | undefined;

  constructor(options: WithdrawalOptions) {
    this.#options = options;
    this.#path = `${options.file}.withdraw`;
  }

  /** Writes the script and starts the shell, unless it runs. Throws AnnounceError `no-supervisor`. */
  async prepare(): Promise<void> {
    if (this.#shell) return;
    if (!hasBirdc())
      throw new AnnounceError(
        'no-supervisor',
        'birdc not found: nothing would withdraw the VIPs if the director were killed (Debian: bird2)',
      );
    try {
      await this.#write(0);
      await this.#start();
    } catch (cause) {
      if (cause instanceof AnnounceError) throw cause;
      throw new AnnounceError('no-supervisor', `${this.#path}: ${(cause as Error).message}`, { cause });
    }
  }

  /** Makes the shell withdraw nothing, because this director has. */
  async cancel(): Promise<void> {
    this.#tell('done\n');
    await rm(this.#path, { force: true }).catch(() => {});
  }

  /** Makes the shell withdraw now, because this director could not. */
  begin(): void {
    this.#tell('\n');
  }

  /** Makes the shell withdraw after these seconds, unless another director has taken over until then. */
  async delay(seconds: number): Promise<void> {
    await this.#write(Math.floor(Date.now() / 1000) + seconds).catch(() => {});
    this.#tell(`keep ${seconds}\n`);
  }

  #tell(line: string): void {
    this.#shell?.removeAllListeners('exit');
    this.#shell?.stdin?.end(line);
    this.#shell = undefined;
  }

  async #write(from: number): Promise<void> {
    await replaceFile(this.#path, scriptOf(this.#options, from), OWNER_ONLY);
  }

  /** Resolves when the shell runs, without the director's capabilities. */
  async #start(): Promise<void> {
    const start = await withoutCapabilities();
    await new Promise<void>((resolve, reject) => {
      const shell = start(() =>
        withDescriptors(() =>
          spawn('sh', ['-c', WAIT, scriptOf(this.#options, 0)], {
            stdio: ['pipe', 'ignore', 'ignore'],
            // Signals to the director's process group must not end it.
            detached: true,
          }),
        ),
      );
      shell.on('error', ({ message }) =>
        reject(new AnnounceError('no-supervisor', `a shell cannot be started: ${message}`)),
      );
      shell.on('exit', () => {
        if (this.#shell === shell) this.#shell = undefined;
      });
      shell.on('spawn', () => {
        this.#shell = shell;
        resolve();
      });
      shell.stdin?.on('error', () => {});
      shell.unref();
      (shell.stdin as typeof shell.stdin & { unref?(): void })?.unref?.();
    });
  }
}
