/** A configuration file as what a director run needs of it: commands, VIPs, interfaces. */

import { compile } from '../config/compile.ts';
import type { Document } from '../config/document.ts';
import { loadConfig } from '../config/load.ts';
import { systemNames } from '../config/names.ts';
import type { Segment } from '../config/semantic-checks.ts';
import { interfaceAddresses } from '../host/interface-addresses.ts';
import type { VipAddress } from '../host/vip-addresses.ts';
import type { Command } from '../model/command.ts';
import { schedulers } from '../schedulers/index.ts';

export interface Configured {
  readonly document: Document;
  readonly commands: readonly Command[];
  readonly vips: readonly VipAddress[];
  /** Those that packets of services come in by, clients' and real servers' side. */
  readonly interfaces: readonly string[];
  readonly warnings: readonly string[];
}

/** Reports whether a document gives packets a firewall mark. */
export const hasMarks = ({ active, marks }: Document): boolean => active && marks.length > 0;

/** Throws LvsError CONFIG that names every mistake in the file. */
export async function configured(path: string): Promise<Configured> {
  const { document, warnings } = await loadConfig(path, systemNames(), Object.keys(schedulers), segments());
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

/** Returns the networks that this host is on: direct routing reaches the real servers on them. */
const segments = (): Segment[] => interfaceAddresses().filter(({ isLoopback }) => !isLoopback);
