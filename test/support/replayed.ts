/** A capture in test/fixtures, replayed with a file of conf/ whose host names are the laboratory's. */
import { isIP } from 'node:net';
import { join } from 'node:path';
import { compile } from '../../src/config/compile.ts';
import { loadConfig } from '../../src/config/load.ts';
import { type ReplayResult, replay } from '../../src/runtime/replay.ts';
import { schedulers } from '../../src/schedulers/index.ts';
import { captureFile } from './captures.ts';
import { PROJECT } from './project.ts';

/** A real server that was not there when the capture was made. */
const ELSEWHERE = '192.168.1.99';
const PORTS: Readonly<Record<string, number>> = { echo: 7, telnet: 23, www: 80 };

interface Replayed {
  readonly capture: string;
  /** In conf/. */
  readonly conf: string;
  /** Addresses of the real servers that the file has by name; those that are not here are left out. */
  readonly servers?: Readonly<Record<string, string>>;
  readonly seed?: number;
}

export async function replayed({ capture, conf, servers, seed = 1 }: Replayed): Promise<ReplayResult> {
  const names = {
    port: (name: string) => PORTS[name],
    host: async (name: string) => servers?.[name] ?? (isIP(name) === 0 ? ELSEWHERE : name),
  };
  const loaded = await loadConfig(join(PROJECT, 'conf', conf), names, Object.keys(schedulers));
  const services = loaded.document.services.map((service) => ({
    ...service,
    destinations: service.destinations.filter(({ server }) => !servers || server in servers),
  }));
  const document = { ...loaded.document, services };
  const { warnings } = loaded;
  const config = {
    document,
    commands: compile(document),
    vips: document.vips,
    interfaces: [],
    warnings,
    access: { entries: [], digests: {}, warnings: [] },
  };
  return replay(config, captureFile(capture), seed);
}
