/** Explains a packet: sends a copy of it along the real path, through copies of the state that it changes. */

import { STATE_WORDS } from '../../ftp/control-state.ts';
import type { Row } from '../../model/connection.ts';
import type { Explanation, Step } from '../../model/explanation.ts';
import { DROP_REASONS, type DropReason } from '../../model/verdict.ts';
import type { SchedulerName } from '../../schedulers/index.ts';
import { reasons } from '../../schedulers/reasons.ts';
import { type Address, formatAddress } from '../../wire/address.ts';
import { Frame } from '../../wire/frame.ts';
import { DECODE_ERRORS, Packet } from '../../wire/packet.ts';
import { formatPrefix } from '../../wire/prefix.ts';
import { printFrame } from '../../wire/print.ts';
import type { AccessDecision } from '../access-lists.ts';
import { METHODS } from '../bound-connection.ts';
import { AttachedConnectionSync } from '../connection-sync.ts';
import type { Core, DirectorCore } from '../core.ts';
import { noKernelPath } from '../kernel-path.ts';
import type { Datapath } from '../path/datapath.ts';
import { Meter } from '../rate-estimator.ts';
import type { Service } from '../service.ts';
import { serviceAddress } from '../service-address.ts';
import { snapshotOfConnection } from '../snapshots.ts';
import { candidatesOf, nearMisses } from './alternatives.ts';
import { RehearsedServices } from './rehearsed-services.ts';
import { RehearsedTable } from './rehearsed-table.ts';

/**
 * Returns the explanation. `random`: what the schedulers would draw next. Changes nothing, and sends nothing.
 */
export function rehearse(
  real: DirectorCore,
  datapath: Datapath,
  octets: Uint8Array,
  now: number,
  random: () => number,
): Explanation {
  const frame = new Frame();
  if (!frame.load(octets)) return { packet: 'longer than any packet', steps: [], verdict: 'malformed' };
  const packet = new Packet();
  const steps: Step[] = [];
  const line = printFrame(frame);
  const isPacket = packet.decode(frame);
  const error = packet.error && DECODE_ERRORS[packet.error];

  const services = new RehearsedServices(real, random, (service, chosen, isTakenOver) => {
    const scheduler = service.options.scheduler as SchedulerName;
    const candidates = candidatesOf(service.destinations, chosen, scheduler);
    steps.push({
      step: 'scheduler',
      scheduler,
      rule: reasons[scheduler].rule,
      candidates,
      more: service.destinations.length - candidates.length,
      ...(isTakenOver && { isTakenOver }),
      ...(chosen && { chosen: { address: formatAddress(chosen.address), port: chosen.port } }),
    });
  });
  const tellService = (found: Service | undefined, mark: number, asked: boolean) => {
    const admission = found && real.kernelPath.admission(found);
    steps.push({
      step: 'service',
      ...(found && { service: serviceAddress(found, formatAddress) }),
      near: nearMisses(real.services.all, packet, mark, found),
      asked,
      ...(admission && { admission }),
    });
  };

  const originals = new Map<Row, Row>();
  const engineData = new Map<Row, string>();
  const table = new RehearsedTable({
    real: real.table,
    now,
    records: services.records,
    named: (destination) => services.destination(real.destinations.all[destination]!),
    copied(row, own) {
      originals.set(own, row);
      const data = real.engineData.get(row);
      if (data !== undefined) engineData.set(own, data);
    },
    found(own, what, fromClient) {
      const original = originals.get(own);
      // Rows that the packet itself created are reported as new.
      if (original === undefined) return;
      const connection = snapshotOfConnection(real, original, now);
      steps.push({ step: 'found', what, connection, fromClient });
    },
    added: (own) => made.push(own),
    invalidated: () => steps.push({ step: 'template-given-up' }),
  });
  const made: Row[] = [];
  /** New rows are reported when their destinations are known. */
  const tellMade = () => {
    for (const own of made.splice(0)) {
      const destination = services.destinations[table.destination(own)]!;
      steps.push({
        step: 'made',
        what: table.isTemplate(own) ? 'template' : 'connection',
        destination: { address: formatAddress(destination.address), port: table.dport(own) },
        method: METHODS[table.method(own)]!,
      });
    }
  };
  const core = rehearsedCore(real, now, {
    services,
    table,
    engineData,
    looked(found, mark) {
      if (real.marks.rules.length > 0) steps.push({ step: 'mark', mark });
      tellService(found, mark, true);
    },
    decided(service, { list, prefix, isOwn }) {
      const own = isOwn && { service: serviceAddress(service, formatAddress) };
      steps.push({ step: 'access', list, prefix: formatPrefix(prefix), ...own });
    },
    original: (copy) => originals.get(copy),
    report: (event) => steps.push({ step: 'ftp', ...event }),
    sent(frame, nextHop) {
      tellMade();
      steps.push({ step: 'sent', packet: printFrame(frame), nextHop: formatAddress(nextHop) });
    },
  });
  const verdict = datapath.fork(core).handle(frame, now);
  tellMade();
  if (isPacket && verdict === 'pass' && !steps.some(({ step }) => step === 'service' || step === 'found')) {
    packet.decode(frame);
    const mark = real.marks.of(packet);
    const { protocol, dst, dstPort, family } = packet;
    tellService(real.services.lookup(family, mark, protocol, dst, dstPort), mark, false);
  }
  return { packet: line, steps, verdict, ...(error && { error }) };
}

/** The state that the packet changes, and what is reported of its path. */
interface Rehearsed {
  readonly services: RehearsedServices;
  readonly table: RehearsedTable;
  readonly engineData: Map<Row, string>;
  /** Called for a lookup of a service. */
  readonly looked: (found: Service | undefined, mark: number) => void;
  /** Called when an entry of a list decides about a client. */
  readonly decided: (service: Service, decision: AccessDecision) => void;
  /** Called for a packet that would be sent. */
  readonly sent: (frame: Frame, nextHop: Address) => void;
  /** Called for what would be done for FTP. */
  readonly report: Core['report'];
  /** Returns the row that a copy was made of; undefined: the packet made it. */
  readonly original: (copy: Row) => Row | undefined;
}

/** Returns the states of FTP control connections for one packet: a copy of the only one that it can change. */
function rehearsedControls({ controls }: DirectorCore, original: Rehearsed['original']): Core['controls'] {
  const words = new Int32Array(STATE_WORDS);
  return {
    words,
    find(copy) {
      const row = original(copy);
      const at = row === undefined ? -1 : controls.find(row);
      if (at < 0) return -1;
      words.set(controls.words.subarray(at, at + STATE_WORDS));
      return 0;
    },
    make: () => 0,
    drop: () => {},
  };
}

/** Returns the state for one packet: copies of what it changes, and the rest of the real one. Sends nothing. */
function rehearsedCore(real: DirectorCore, now: number, rehearsed: Rehearsed): Core {
  const { services, table, engineData, looked, decided, sent, report } = rehearsed;
  const { host } = real.forwarding;
  const errorLimit = real.forwarding.errorLimit?.copy();
  errorLimit?.advance(now);
  const drops = Object.fromEntries(Object.keys(DROP_REASONS).map((reason) => [reason, 0]));
  return {
    services: {
      serves: (family) => real.services.serves(family),
      addresses: real.services.addresses,
      get: (key) => real.services.get(key),
      lookup(family, mark, protocol, address, port) {
        const found = real.services.lookup(family, mark, protocol, address, port);
        looked(found, mark);
        return found && services.service(found);
      },
    },
    destinations: {
      all: services.destinations,
      addresses: real.destinations.addresses,
      translated(protocol, address, port) {
        const found = real.destinations.translated(protocol, address, port);
        return found && services.destination(found);
      },
    },
    marks: real.marks,
    access: {
      isEmpty: real.access.isEmpty,
      isDenied(service, client) {
        const decision = real.access.decision(service, client);
        if (decision) decided(service, decision);
        return decision?.list === 'deny';
      },
    },
    timeouts: real.timeouts,
    total: new Meter(),
    counts: { ...real.counts },
    engineData,
    drops: drops as Record<DropReason, number>,
    settings: real.settings,
    takeover: real.takeover,
    table,
    forwarding: {
      settings: real.settings,
      nextId: () => 0,
      errorLimit,
      host: {
        route: (to) => host.route(to),
        isLocal: (address) => host.isLocal(address),
        isValidSource: (source, destination, ingress) =>
          host.isValidSource?.(source, destination, ingress) ?? true,
        transmit(frame, nextHop) {
          sent(frame, nextHop);
          return true;
        },
      },
    },
    secureTcp: real.secureTcp,
    dropRate: real.dropRate,
    untilDrop: real.untilDrop,
    kernelPath: noKernelPath,
    sync: new AttachedConnectionSync(),
    isBackup: real.isBackup,
    controls: rehearsedControls(real, rehearsed.original),
    report,
  };
}
