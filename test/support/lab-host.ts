/** One machine of the laboratory: a network namespace with its own /etc/hosts, /run/lvs and /dev/shm. */
import { execFile, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Outcome, removeNamespace } from './namespaces.ts';
import { PATIENCE, Program } from './program.ts';

/** A command: words as they are, or a line for the shell. */
export type CommandLine = string | readonly string[];

export interface RunOptions {
  /** Written to the command's stdin. */
  readonly input?: string;
  /** ms after which the command is ended; default PATIENCE. */
  readonly limit?: number;
}

/** Gives the command that follows its host's own files. */
const IN_HOST =
  'mount --bind "$0/hosts" /etc/hosts && mount --bind "$0/run" /run/lvs && mount --bind "$0/shm" /dev/shm && exec "$@"';

/** Most octets that a command may print. */
const MAX_OUTPUT = 256 * 1024 * 1024;

export class LabHost {
  /** As the other hosts call it: rs1. */
  readonly name: string;
  /** The namespace, for `ip netns exec`. */
  readonly namespace: string;
  /** The host's own files; `run` in it is what its programs see as /run/lvs. */
  readonly folder: string;
  /** What its programs see as /dev/shm; `shm` in `folder` leads there. */
  readonly #memory: string;
  /** Its address on the first segment that it is on. */
  readonly address: string;
  readonly #prefix: readonly string[];
  readonly #programs = new Set<Program>();

  constructor(options: {
    name: string;
    namespace: string;
    folder: string;
    memory: string;
    address: string;
    prefix: readonly string[];
  }) {
    this.name = options.name;
    this.namespace = options.namespace;
    this.folder = options.folder;
    this.#memory = options.memory;
    this.address = options.address;
    this.#prefix = options.prefix;
  }

  /** Makes the host's files; `hosts` is its /etc/hosts. */
  furnish(hosts: string): void {
    mkdirSync(join(this.folder, 'run'), { recursive: true });
    mkdirSync(this.#memory, { recursive: true });
    symlinkSync(this.#memory, join(this.folder, 'shm'));
    writeFileSync(join(this.folder, 'hosts'), hosts);
  }

  /** The words that run `command` here. */
  argv(command: CommandLine): string[] {
    const words = typeof command === 'string' ? ['sh', '-c', command] : command;
    return [
      ...this.#prefix,
      'ip',
      'netns',
      'exec',
      this.namespace,
      'sh',
      '-c',
      IN_HOST,
      this.folder,
      ...words,
    ];
  }

  /** Runs a command, and resolves with its status and output. */
  run(command: CommandLine, { input = '', limit = PATIENCE }: RunOptions = {}): Promise<Outcome> {
    const [file, ...args] = this.argv(command);
    return new Promise((resolve, reject) => {
      const child = execFile(
        file!,
        args,
        { timeout: limit, killSignal: 'SIGKILL', maxBuffer: MAX_OUTPUT },
        (error, stdout, stderr) => {
          if (error && typeof error.code !== 'number' && !error.killed) return reject(error);
          const late = error?.killed ? `\nended after ${limit} ms` : '';
          const status = error ? (typeof error.code === 'number' ? error.code : 124) : 0;
          resolve({ status, stdout, stderr: stderr + late });
        },
      );
      child.stdin?.on('error', () => {});
      child.stdin?.end(input);
    });
  }

  /** Runs a command that has to succeed; resolves with what it printed, the last line end apart. */
  async exec(command: CommandLine, options?: RunOptions): Promise<string> {
    const { status, stdout, stderr } = await this.run(command, options);
    if (status === 0) return stdout.replace(/\n$/, '');
    const line = typeof command === 'string' ? command : command.join(' ');
    throw new Error(`${this.name}: ${line}: exit status ${status}\n${stdout}${stderr}`.trim());
  }

  /** Starts a program; it ends with the laboratory at the latest. */
  spawn(command: CommandLine): Program {
    const line = typeof command === 'string' ? command : command.join(' ');
    const words = typeof command === 'string' ? `exec ${command}` : command;
    const program = new Program(this.argv(words), `${this.name}: ${line}`);
    this.#programs.add(program);
    void program.ended.then(
      () => this.#programs.delete(program),
      () => this.#programs.delete(program),
    );
    return program;
  }

  /** Starts a program that stays when this process ends; its output goes to a file of the host's. */
  leave(command: readonly string[], log: string): void {
    const output = openSync(join(this.folder, log), 'a');
    const [file, ...args] = this.argv(command);
    spawn(file!, args, { detached: true, stdio: ['ignore', output, output] }).unref();
    closeSync(output);
  }

  /** Resolves when something listens on the TCP port, or rejects after `limit` ms. */
  async listening(port: number, limit = PATIENCE): Promise<void> {
    const command = `until ss -Hltn "sport = :${port}" | grep -q .; do sleep 0.02; done`;
    const { status } = await this.run(command, { limit });
    if (status !== 0) throw new Error(`${this.name}: nothing listens on port ${port} after ${limit} ms`);
  }

  /** Ends the host's programs, the last one started first. */
  async stopPrograms(): Promise<void> {
    await Promise.all([...this.#programs].reverse().map((program) => program[Symbol.asyncDispose]()));
  }

  /** Ends everything in the namespace and removes it, without waiting for anybody: for the way out. */
  remove(): void {
    for (const program of this.#programs) program.signal('SIGKILL');
    removeNamespace(this.namespace, this.#prefix);
  }
}
