/** A record of the applied file, by which the next director distinguishes rules of the file from manual ones. */
import { readFileSync, rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { deserialize, serialize } from 'node:v8';
import type { VipAddress } from '../../host/vip-addresses.ts';
import type { Command, SyncDaemon } from '../../model/command.ts';
import { nextFile, replaceFile } from '../../sys/replace-file.ts';
import type { Draining } from '../drains.ts';
import type { Packed } from './packed.ts';

const OWNER_ONLY = 0o600;

export interface AppliedRecord {
  readonly commands: Packed<Command>;
  readonly vips: readonly VipAddress[];
  /** Deadlines are ms of the system's monotonic clock. */
  readonly drains: Packed<Draining>;
  /** The sync daemons that ran. */
  readonly daemons: readonly SyncDaemon[];
}

/** Nothing is known of an earlier file: all rules that it does not share with the next one count as manual. */
export const NO_RECORD: AppliedRecord = {
  commands: { parts: [], length: 0 },
  vips: [],
  drains: { parts: [], length: 0 },
  daemons: [],
};

/** The record of a table. A failure to write it costs the distinction only. */
export class AppliedRecordFile {
  readonly #path: string;
  readonly #identity: string;
  readonly #failed: (error: Error) => void;
  /** Resolves when the record that is being written has been. */
  #written = Promise.resolve();
  #isOver = false;

  /** `identity`: of the table. `failed`: called where the record cannot be written. */
  constructor(folder: string, identity: string, failed: (error: Error) => void) {
    // There is one for each network namespace, whose cookie begins the identity.
    this.#path = join(folder, `applied-${identity.replace(/-.*/, '')}`);
    this.#identity = identity;
    this.#failed = failed;
  }

  /** Returns the record that another process has written for the table; NO_RECORD: there is none. */
  read(): AppliedRecord {
    try {
      const [head, ...parts] = partsOf(readFileSync(this.#path));
      const { identity, vips, daemons, commands, drains, counts } = deserialize(head!);
      const isComplete = parts.length === counts.commands + counts.drains;
      if (identity !== this.#identity || !isComplete) return NO_RECORD;
      return {
        ...{ vips, daemons },
        commands: { parts: parts.slice(0, counts.commands).map(shared), length: commands },
        drains: { parts: parts.slice(counts.commands).map(shared), length: drains },
      };
    } catch {
      return NO_RECORD;
    }
  }

  /** Resolves when it is written: other work of this process does not wait for the file system. Never rejects. */
  write(record: AppliedRecord): Promise<void> {
    this.#written = this.#written.then(() => this.#write(record));
    return this.#written;
  }

  /** Removes the record: the table is gone. */
  remove(): void {
    this.#isOver = true;
    for (const path of [this.#path, nextFile(this.#path)]) rmSync(path, { force: true });
  }

  async #write(record: AppliedRecord): Promise<void> {
    if (this.#isOver) return;
    try {
      await replaceFile(this.#path, this.#contents(record), OWNER_ONLY);
      // It was removed meanwhile.
      if (this.#isOver) this.remove();
    } catch (error) {
      this.#failed(error as Error);
      // An older record would make rules of the file manual ones.
      for (const path of [nextFile(this.#path), this.#path]) await rm(path, { force: true }).catch(() => {});
    }
  }

  #contents({ commands, drains, vips, daemons }: AppliedRecord): Uint8Array[] {
    const counts = { commands: commands.parts.length, drains: drains.parts.length };
    const head = { identity: this.#identity, vips, daemons, counts };
    const lengths = { commands: commands.length, drains: drains.length };
    return [serialize({ ...head, ...lengths }), ...commands.parts, ...drains.parts].flatMap(framed);
  }
}

/** Returns a part behind its length. The memory that threads share is copied: files are not written from it. */
function framed(part: Uint8Array): Uint8Array[] {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(part.length);
  return [length, Buffer.from(part)];
}

/** Throws RangeError at the end of an incomplete file. */
function partsOf(file: Buffer): Buffer[] {
  const parts: Buffer[] = [];
  for (let at = 0; at < file.length; ) {
    const end = at + 4 + file.readUInt32LE(at);
    if (end > file.length) throw new RangeError('incomplete');
    parts.push(file.subarray(at + 4, end));
    at = end;
  }
  return parts;
}

function shared(part: Uint8Array): Uint8Array<SharedArrayBuffer> {
  const copy = new Uint8Array(new SharedArrayBuffer(part.length));
  copy.set(part);
  return copy;
}
