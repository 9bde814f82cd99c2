/** Loads a configuration file and compiles it to commands, VIPs and interfaces. */

import { compile } from '../config/compile.ts';
import type { Document } from '../config/document.ts';
import { loadConfig } from '../config/load.ts';
import { systemNames } from '../config/names.ts';
import type { Segment } from '../config/semantic-checks.ts';
import { interfaceAddresses } from '../host/interface-addresses.ts';
import type { VipAddress } from '../host/vip-addresses.ts';
import type { Command } from '../model/command.ts';
import { schedulers } from '../schedulers/index.ts';

/** A configuration file without errors. */
export interface Loaded {
  readonly document: Document;
  readonly commands: readonly Command[];
  readonly vips: readonly VipAddress[];
  /** Interfaces that receive packets of services, from clients and from real servers. */
  readonly interfaces: readonly string[];
  readonly warnings: readonly string[];
}

/** Reports whether a document sets firewall marks. */
export const hasMarks = ({ active, marks }: Document): boolean => active && marks.length > 0;

/** Reads and compiles a file; calls `read` when it has been read. Throws LvsError CONFIG with all errors of the file. */
export async function loadConfiguration(path: string, read?: () => void): Promise<Loaded> {
  const { document, warnings } = await loadConfig(
    path,
    systemNames(),
    Object.keys(schedulers),
    segments(),
    read,
  );
  const { vips, director, active } = document;
  const devices = [...vips.map(({ device }) => device), ...(director.inside ? [director.inside.device] : [])];
  return {
    document,
    commands: compile(document),
    vips: active ? vips : [],
    interfaces: [...new Set(devices)],
    warnings,
  };
}

/** Returns the networks of this host: direct routing can reach real servers on them. */
const segments = (): Segment[] => interfaceAddresses().filter(({ isLoopback }) => !isLoopback);
