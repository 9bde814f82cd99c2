/** Counts connections that are over, and whose rows remain for late packets. */
import { SCTP } from '../../wire/sctp.ts';
import { TCP } from '../../wire/tcp.ts';
import type { Core } from '../core.ts';
import { SCTP_CLOSED } from './sctp-state.ts';
import { TCP_CLOSE, TCP_TIME_WAIT } from './tcp-state.ts';

/** Returns their number in the places from `from` to `to`, exclusive. `destinations`: the numbers of theirs. */
export function countClosed(
  { table }: Pick<Core, 'table'>,
  destinations: ReadonlySet<number>,
  from: number,
  to: number,
): number {
  let closed = 0;
  for (const row of table.rows(from, to)) {
    if (!destinations.has(table.destination(row)) || table.isTemplate(row)) continue;
    const [protocol, state] = [table.protocol(row), table.state(row)];
    if (protocol === TCP && (state === TCP_TIME_WAIT || state === TCP_CLOSE)) closed++;
    else if (protocol === SCTP && state === SCTP_CLOSED) closed++;
  }
  return closed;
}
