/** Loads a configuration file and compiles it to commands, VIPs and interfaces. */

import { compile } from '../../config/compile.ts';
import type { Document, JoinDocument, SyncDocument } from '../../config/document.ts';
import { loadConfig } from '../../config/load.ts';
import { systemNames } from '../../config/names.ts';
import type { Segment } from '../../config/semantic-checks.ts';
import { interfaceAddresses } from '../../host/interface-addresses.ts';
import { programUser } from '../../host/program-user.ts';
import type { VipAddress } from '../../host/vip-addresses.ts';
import type { Command } from '../../model/command.ts';
import { LvsError } from '../../model/errors.ts';
import type { ProgramUser } from '../../model/notify.ts';
import { schedulers } from '../../schedulers/index.ts';
import { readKeyFile } from '../host/key-file.ts';
import { type AccessFiles, readAccessLists } from './access-files.ts';

/** Ids by `user` or `user:group`. */
export type CheckUsers = Readonly<Record<string, ProgramUser>>;

/** A configuration file without errors. */
export interface Loaded {
  readonly document: Document;
  readonly commands: readonly Command[];
  readonly vips: readonly VipAddress[];
  /** Interfaces that receive packets of services, from clients and from real servers. */
  readonly interfaces: readonly string[];
  readonly warnings: readonly string[];
  /** Programs of notify run as this user. Missing: as that of this process. */
  readonly programUser?: ProgramUser;
  /** Ids by the users of commands of checks. Missing: the file is not run. */
  readonly checkUsers?: CheckUsers;
  readonly sync?: LoadedSync;
  readonly join?: LoadedJoin;
  /** Deny and allow lists. */
  readonly access: AccessFiles;
}

/** What sync daemons need that their commands do not have. */
export interface LoadedSync {
  readonly interface: string;
  /** Secrets that authenticate messages; none: they are not authenticated. */
  readonly secrets: readonly Uint8Array[];
  /** Addresses of the directors, and the TCP port, of bulk transfers. */
  readonly peers: readonly string[];
  readonly bulkPort: number;
}

/** How heartbeats of servers that join are received, with the secrets of the key file. */
export interface LoadedJoin extends JoinDocument {
  readonly secrets: readonly Uint8Array[];
}

export interface LoadOptions {
  /** Called when the file has been read. */
  readonly read?: () => void;
  /** The file is to be run: a key file that cannot be read is an error, not a warning. */
  readonly isRun?: boolean;
  /** The file is only checked: it may describe a cluster without a director. */
  readonly isCheck?: boolean;
}

/**
 * Reads and compiles a file, and reads its key file. Throws LvsError CONFIG with all errors of the file, and for a cluster
 * without a director.
 */
export async function loadConfiguration(
  path: string,
  { read, isRun = false, isCheck = false }: LoadOptions = {},
): Promise<Loaded> {
  const { document, warnings } = await loadConfig(
    path,
    systemNames(),
    Object.keys(schedulers),
    segments(),
    read,
  );
  if (document.cluster && !isCheck)
    throw new LvsError(
      'CONFIG',
      `${path}: mode nlb has no director: run lvs-realserver run --config ${path} on each server`,
    );
  const { vips, director, active } = document;
  const keys = active && document.sync ? await loadSync(document.sync, isRun) : undefined;
  const joining = active && document.join ? await loadJoin(document.join, isRun) : undefined;
  const access = await readAccessLists(document, isRun);
  const devices = [...vips.map(({ device }) => device), ...(director.inside ? [director.inside.device] : [])];
  return {
    document,
    commands: compile(document),
    vips: active ? vips : [],
    interfaces: [...new Set(devices)],
    warnings: [...warnings, ...(keys?.warnings ?? []), ...(joining?.warnings ?? []), ...access.warnings],
    access,
    ...(isRun && { checkUsers: await checkUsersOf(document) }),
    ...(isRun &&
      document.scriptUser !== undefined && {
        programUser: await programUser('script-user', document.scriptUser),
      }),
    ...(keys && { sync: keys.sync }),
    ...(joining && { join: joining.join }),
  };
}

/** Finds the users of commands, each once. */
async function checkUsersOf({ active, services }: Document): Promise<CheckUsers> {
  const users: Record<string, ProgramUser> = {};
  for (const { destinations, sorry = [], join } of active ? services : [])
    for (const { checks = [] } of [...destinations, ...sorry, ...(join ? [join] : [])])
      for (const { user } of checks)
        if (user !== undefined) users[user] ??= await programUser('user of a check', user);
  return users;
}

async function loadSync(
  { keyFile, daemon, peers, bulkPort }: SyncDocument,
  isRun: boolean,
): Promise<{ sync: LoadedSync; warnings: readonly string[] }> {
  const sync = { interface: daemon.interface, peers, bulkPort };
  if (keyFile === undefined) return { sync: { ...sync, secrets: [] }, warnings: [] };
  const { secrets, warnings } = await loadSecrets(keyFile, isRun);
  return { sync: { ...sync, secrets }, warnings };
}

async function loadJoin(
  join: JoinDocument,
  isRun: boolean,
): Promise<{ join: LoadedJoin; warnings: readonly string[] }> {
  if (join.keyFile === undefined) return { join: { ...join, secrets: [] }, warnings: [] };
  const { secrets, warnings } = await loadSecrets(join.keyFile, isRun);
  return { join: { ...join, secrets }, warnings };
}

/** Reads a key file. One that cannot be read is a warning for a file that is not run. */
async function loadSecrets(
  keyFile: string,
  isRun: boolean,
): Promise<{ secrets: readonly Uint8Array[]; warnings: readonly string[] }> {
  try {
    return { secrets: await readKeyFile(keyFile), warnings: [] };
  } catch (error) {
    if (!(error instanceof LvsError)) throw error;
    if (isRun || error.code === 'CONFIG') throw new LvsError('CONFIG', error.message, { cause: error });
    return { secrets: [], warnings: [error.message] };
  }
}

/** Returns the networks of this host: direct routing can reach real servers on them. */
const segments = (): Segment[] => interfaceAddresses().filter(({ isLoopback }) => !isLoopback);
