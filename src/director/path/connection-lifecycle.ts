/** Binds connections to destinations, and ends them. */

import { type FiveTuple, INITIAL_TIMEOUT_MS, NONE, type Row } from '../../model/connection.ts';
import type { Address } from '../../wire/address.ts';
import { countBound, countUnbound } from '../connection-counts.ts';
import {
  hasEndedIn,
  INACTIVE,
  isInactiveIn,
  LOCAL,
  MASQ,
  NO_CPORT,
  NOOUTPUT,
  ROUTE,
  TEMPLATE,
  TUNNEL,
} from '../connection-flags.ts';
import { type Core, destinationOf } from '../core.ts';
import type { RealDestination } from '../service.ts';
import { ASSURED } from './tracking.ts';

/** Extension of a template that expires while it has connections, ms. */
const TEMPLATE_EXTENSION_MS = 60_000;

/**
 * Adds a connection or a template of that destination; returns NONE when the table is full. Its timer starts
 * when it is touched. `kind`: flags of include/uapi/linux/ip_vs.h beside method and INACTIVE. `salt`: see Binding.
 */
export function bind(
  core: Core,
  ends: FiveTuple,
  {
    destination,
    dport,
    kind,
    salt,
  }: { destination: RealDestination; dport: number; kind: number; salt: number },
): Row {
  const flags = kind | methodFlags(core, destination) | INACTIVE;
  return bindWith(core, ends, { destination, dport, flags, salt });
}

/** Adds a connection or a template like `bind`, with all of its flags. */
export function bindWith(
  { table }: Pick<Core, 'table'>,
  ends: FiveTuple,
  {
    destination,
    dport,
    flags,
    salt,
  }: { destination: RealDestination; dport: number; flags: number; salt: number },
): Row {
  const row = table.add(ends, { destination: destination.index, dport, flags, salt });
  if (row === NONE) return NONE;
  table.setTimeout(row, INITIAL_TIMEOUT_MS);
  countBound(destination, (flags & TEMPLATE) !== 0, (flags & INACTIVE) !== 0);
  return row;
}

/** Returns the flags of the forwarding method, which a later edit of the destination does not change. */
export function methodFlags(core: Pick<Core, 'forwarding'>, destination: RealDestination): number {
  if (destination.method === 'nat') return MASQ;
  if (core.forwarding.host.isLocal(destination.address)) return LOCAL | NOOUTPUT;
  return (destination.method === 'tunnel' ? TUNNEL : ROUTE) | NOOUTPUT;
}

/** Makes `template` control `row`: the template lives longer, and a flood ends both. */
export function control(core: Core, row: Row, template: Row): void {
  core.table.control(row, template);
}

/**
 * Gives a connection without a client port (NO_CPORT) its port. Another row takes its place, because the client's port selects
 * the home, where programs of the kernel look for it. Returns that row; NONE where no place is free.
 */
export function withClientPort(core: Core, row: Row, cport: number): Row {
  const { table } = core;
  const [caddr, vaddr]: [Address, Address] = [new Uint32Array(4), new Uint32Array(4)];
  table.copyCaddr(row, caddr);
  table.copyVaddr(row, vaddr);
  const ends = { protocol: table.protocol(row), caddr, cport, vaddr, vport: table.vport(row) };
  const flags = table.method(row) | (table.flags(row) & ~NO_CPORT);
  const [destination, dport] = [destinationOf(core, row), table.dport(row)];
  const [state, timeout, template] = [table.state(row), table.timeout(row), table.template(row)];
  if (!end(core, row)) return NONE;
  const made = bindWith(core, ends, { destination, dport, flags, salt: 0 });
  if (made === NONE) return NONE;
  table.setState(made, state);
  table.setTimeout(made, timeout);
  if (template !== NONE) {
    control(core, made, template);
    // No template has to be assured.
    table.setAssured(made);
  }
  return made;
}

/**
 * Returns whether an expired row may be removed, and prepares it for that. A template waits for connections
 * that expire at about the same time, and ends with the last one.
 */
export function onExpired(core: Core, row: Row): boolean {
  const { table } = core;
  if (table.children(row) > 0) {
    const late = lateness(table.timeout(row));
    table.setTimeout(row, late || TEMPLATE_EXTENSION_MS);
    if (late === 0) core.sync.extended(row);
    return false;
  }
  if (!release(core, row)) return false;
  core.counts.expired++;
  return true;
}

/**
 * Returns how much later than asked a timer of that length may go off in the kernel, on average, ms: long ones are looked at
 * seldom, in steps of 1/128 to 1/16 of their length (Linux 6.1, kernel/time/timer.c, with 100 ticks a second).
 */
function lateness(timeout: number): number {
  let step = 10;
  for (let longest = 640; timeout >= longest && step < 40_960; longest *= 8) step *= 8;
  return step === 10 ? 0 : step / 2;
}

/** Timeouts that `onExpired` gives a template for the kernel's lateness, ms: none is a number of seconds. */
const LATENESSES = [40, 320, 2560, 20_480];
/** Ticks of a table, to which timeouts are rounded, are shorter, ms. */
const TOLERANCE_MS = 64;

/**
 * Returns the timeout that the kernel would have for a template whose timeout is `timeout` ms here. `usual`: that of its
 * service.
 */
export function timeoutWithoutLateness(timeout: number, usual: number): number {
  const isLateness = LATENESSES.some((lateness) => Math.abs(timeout - lateness) < TOLERANCE_MS);
  return isLateness ? usual || TEMPLATE_EXTENSION_MS : timeout;
}

/**
 * Ends a connection immediately. Its template stays. A connection that controls others cannot end before
 * them: it stays too.
 */
export function end(core: Core, row: Row): boolean {
  if (core.table.children(row) > 0 || !release(core, row)) return false;
  core.table.remove(row);
  return true;
}

/** Ends a connection like `end`, and its template if it has no other connection and was not assured. */
export function purge(core: Core, row: Row): void {
  const template = core.table.template(row);
  if (!end(core, row) || template === NONE || core.table.children(template) > 0) return;
  const isTemplate = core.table.isTemplate(template);
  if (!isTemplate || core.table.state(template) !== ASSURED) end(core, template);
}

/** Ends a row, and takes it off the counts of its destination. Reports false if a program of the kernel has ended, replaced or taken it. */
function release(core: Core, row: Row): boolean {
  const { table } = core;
  const isTemplate = table.isTemplate(row);
  // A program may have made a connection of the template at this moment.
  if (isTemplate && !table.closeTemplate(row)) return false;
  const generation = table.generation(row);
  // A packet may change the state meanwhile, and a program may give the row to another connection.
  for (;;) {
    const track = table.track(row);
    if (hasEndedIn(track) || table.generation(row) !== generation) return false;
    if (!table.end(row, track)) continue;
    // Nothing changes the row any more.
    countUnbound(destinationOf(core, row), isTemplate, isInactiveIn(track));
    if (isTemplate) core.engineData.delete(row);
    return true;
  }
}
