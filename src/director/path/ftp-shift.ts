/** What another director has to know of an FTP control connection that it takes over: by how much positions have moved. */
import { ControlState, STATE_WORDS } from '../../ftp/control-state.ts';
import type { Row } from '../../model/connection.ts';
import { FTP_PORT } from '../../model/service.ts';
import { TCP } from '../../wire/tcp.ts';
import { MASQ } from '../connection-flags.ts';
import type { Core } from '../core.ts';

/** Reused by each call. */
const shared = new ControlState();

const isControl = ({ table }: Pick<Core, 'table'>, row: Row): boolean =>
  table.vport(row) === FTP_PORT && table.protocol(row) === TCP && table.method(row) === MASQ;

/** Returns by how much changes have moved the sequence numbers of the server's bytes for the client. */
export function ftpShift(core: Pick<Core, 'table' | 'controls'>, row: Row): number {
  const at = isControl(core, row) ? core.controls.find(row) : -1;
  if (at < 0) return 0;
  shared.open(core.controls.words.subarray(at, at + STATE_WORDS));
  return shared.totalShift;
}

/** Takes over by how much another director has moved sequence numbers. A state with the same shift stays as it is. */
export function setFtpShift(core: Pick<Core, 'table' | 'controls'>, row: Row, bytes: number): void {
  if (!isControl(core, row) || ftpShift(core, row) === bytes) return;
  const { controls } = core;
  const at = controls.make(row);
  if (at < 0) return;
  shared.open(controls.words.subarray(at, at + STATE_WORDS));
  shared.beginShifted(bytes);
  controls.words.set(shared.words, at);
}
