/** A running director's configuration file: read again when asked, by a signal or over the socket. */
import { resolve } from 'node:path';
import type { ConfigurationDoor } from '../control/director-api.ts';
import { LvsError } from '../model/errors.ts';
import { type Configured, configured } from './configuration.ts';
import { checkMarks } from './datapath.ts';
import { interfaceMtu } from './local-director.ts';
import type { Log } from './log.ts';
import type { RunningDirector } from './running-director.ts';

/** A file with mistakes changes nothing: they are logged, and told to whoever asked. */
export function configurationDoor(
  path: string,
  running: RunningDirector,
  datapath: string,
  log: Log,
): ConfigurationDoor {
  return {
    async reload() {
      try {
        const wanted = await configured(path);
        checkDevices(wanted);
        checkMarks(wanted.commands, datapath);
        for (const what of wanted.warnings) log('warning', 'config', { what });
        return { ...(await running.reload(wanted)), warnings: wanted.warnings };
      } catch (error) {
        if (error instanceof LvsError) log('error', 'reload', { why: error.message });
        throw error;
      }
    },
    async configured() {
      const { commands = [], vips = [] } = running.config ?? {};
      return {
        file: resolve(path),
        commands,
        datapath,
        vips: vips.map(({ address, device }) => `${address} ${device}`),
        draining: running.draining,
      };
    },
  };
}

/** Throws before anything is changed: a VIP that cannot be taken would leave half of the file in force. */
function checkDevices({ vips }: Configured): void {
  const missing = vips.find(({ device }) => interfaceMtu(device) === undefined);
  if (missing)
    throw new LvsError('CONFIG', `there is no interface ${missing.device} for the VIP ${missing.address}`);
}
