/** A record of the applied file, by which the next director distinguishes rules of the file from manual ones. */
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { deserialize, serialize } from 'node:v8';
import type { Drain } from '../config/reload/reconcile.ts';
import type { VipAddress } from '../host/vip-addresses.ts';
import type { Command, SyncDaemon } from '../model/command.ts';
import type { Packed } from './packed.ts';

const OWNER_ONLY = 0o600;

export interface AppliedRecord {
  readonly commands: Packed<Command>;
  readonly vips: readonly VipAddress[];
  readonly drains: readonly Drain[];
  /** The sync daemons that ran. */
  readonly daemons: readonly SyncDaemon[];
}

/** Nothing is known of an earlier file: all rules that it does not share with the next one count as manual. */
export const NO_RECORD: AppliedRecord = {
  commands: { parts: [], length: 0 },
  vips: [],
  drains: [],
  daemons: [],
};

/** Writes the record for the table of that identity. A failure costs the distinction only. */
export function writeAppliedRecord(folder: string, identity: string, applied: AppliedRecord): void {
  const path = pathOf(folder, identity);
  try {
    const parts = applied.commands.parts.map((part) => Buffer.from(part));
    const { length } = applied.commands;
    writeFileSync(`${path}.new`, serialize({ identity, ...applied, commands: { parts, length } }), {
      mode: OWNER_ONLY,
    });
    renameSync(`${path}.new`, path);
  } catch {
    rmSync(path, { force: true });
  }
}

/** Returns the record for the table of that identity; NO_RECORD: there is none. */
export function readAppliedRecord(folder: string, identity: string): AppliedRecord {
  try {
    const record = deserialize(readFileSync(pathOf(folder, identity)));
    if (record.identity !== identity) return NO_RECORD;
    const parts = record.commands.parts.map((part: Uint8Array) => {
      const shared = new Uint8Array(new SharedArrayBuffer(part.length));
      shared.set(part);
      return shared;
    });
    const { vips, drains, daemons } = record;
    return { commands: { parts, length: record.commands.length }, vips, drains, daemons };
  } catch {
    return NO_RECORD;
  }
}

/** Removes the record: the table is gone. */
export const removeAppliedRecord = (folder: string, identity: string): void =>
  rmSync(pathOf(folder, identity), { force: true });

/** There is one for each network namespace, whose cookie begins the identity. */
const pathOf = (folder: string, identity: string): string =>
  join(folder, `applied-${identity.replace(/-.*/, '')}`);
