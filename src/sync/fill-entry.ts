/** Fills an entry of a message from a row of the table. */
import { FORWARDING_METHOD, LOCAL } from '../director/connection-flags.ts';
import type { DirectorCore } from '../director/core.ts';
import { timeoutWithoutLateness } from '../director/path/connection-lifecycle.ts';
import { ftpShift } from '../director/path/ftp-shift.ts';
import { engineOf } from '../director/path/persistence.ts';
import { METHOD_NUMBERS } from '../director/recorded-options.ts';
import type { Row } from '../model/connection.ts';
import { familyOf } from '../wire/address.ts';
import { FORMER_REPLY_SHIFT, REPLY_SEQUENCES, REPLY_SHIFT, type SyncEntry, TRACKED } from './entry.ts';

/** Returns the timeout of a row as the kernel would have it, ms. */
export function timeoutOf({ table, destinations }: DirectorCore, row: Row): number {
  const timeout = table.timeout(row);
  if (!table.isTemplate(row)) return timeout;
  const { service } = destinations.all[table.destination(row)]!;
  return timeoutWithoutLateness(timeout, service.persistence);
}

export function fillEntry(core: DirectorCore, row: Row, entry: SyncEntry): void {
  const { table, destinations, engineData, settings } = core;
  const { protocol, cport, vport, dport, caddr, vaddr } = table.select(row);
  const destination = destinations.all[table.destination(row)]!;
  // Linux 6.1 sends this flag, which include/uapi/linux/ip_vs.h lists among those that are not sent.
  const flags = table.flags(row) | (settings.conntrack !== 0 ? TRACKED : 0);
  const isLocal = (flags & FORWARDING_METHOD) === LOCAL;
  entry.family = familyOf(destination.address);
  entry.protocol = protocol;
  // The kernel knows no method for destinations on the director itself: it sends the configured one.
  entry.flags = isLocal ? (flags & ~FORWARDING_METHOD) | METHOD_NUMBERS[destination.method] : flags;
  const shift = ftpShift(core, row);
  if (shift !== 0) {
    entry.flags |= REPLY_SEQUENCES;
    entry.sequences.fill(0);
    // Whatever is sent again from before the last change has been received.
    entry.sequences[REPLY_SHIFT] = entry.sequences[FORMER_REPLY_SHIFT] = shift;
  }
  entry.state = table.state(row);
  entry.cport = cport;
  entry.vport = vport;
  entry.dport = dport;
  entry.mark = destination.service.mark;
  entry.timeout = Math.floor(timeoutOf(core, row) / 1000);
  entry.remaining = undefined;
  entry.caddr.set(caddr);
  entry.vaddr.set(vaddr);
  entry.daddr.set(destination.address);
  const data = engineData.get(row);
  entry.engine = data === undefined ? undefined : engineOf(destination.service);
  entry.engineData = data;
}
