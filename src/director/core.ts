/** The state of a director that the steps of a packet's path share. */
import type { ForwardingContext } from '../forwarding/method.ts';
import type { Row } from '../model/connection.ts';
import type { FtpEvent } from '../model/ftp.ts';
import type { Settings } from '../model/settings.ts';
import type { EventCounts } from '../model/snapshot.ts';
import type { Takeover } from '../model/takeover.ts';
import { DROP_REASONS, type DropReason } from '../model/verdict.ts';
import { ControlSlots } from '../table/control-slots.ts';
import type { TableMemory } from '../table/memory.ts';
import { ServiceRecords } from '../table/service-records.ts';
import { AccessLists } from './access-lists.ts';
import { AttachedConnectionSync, type ConnectionSync } from './connection-sync.ts';
import type { ConnectionTable } from './connections.ts';
import { DestinationRegistry } from './destinations.ts';
import { AttachedKernelPath, type KernelPath } from './kernel-path.ts';
import { Marks } from './marks.ts';
import { Meters } from './meters.ts';
import type { Meter } from './rate-estimator.ts';
import type { RealDestination } from './service.ts';
import { ServiceRegistry } from './services.ts';
import { StateTimeouts } from './settings.ts';

/** Statistics only; no decision depends on these. */
type Counts = { -readonly [event in keyof EventCounts]: number };

const newCounts = (): Counts => ({
  forwarded: 0,
  answered: 0,
  waiting: 0,
  passed: 0,
  admitted: 0,
  templated: 0,
  scheduled: 0,
  refused: 0,
  expired: 0,
  reused: 0,
  takenOver: 0,
  ftpTranslated: 0,
  ftpAnnounced: 0,
  ftpRefused: 0,
  ftpUnassisted: 0,
});

/** The state that a packet's path works on. explain works on a copy of what a packet changes. */
export interface Core {
  readonly services: Pick<ServiceRegistry, 'serves' | 'addresses' | 'lookup' | 'get'>;
  readonly destinations: Pick<DestinationRegistry, 'all' | 'addresses' | 'translated'>;
  readonly marks: Pick<Marks, 'of' | 'rules' | 'matchers'>;
  readonly access: Pick<AccessLists, 'isDenied' | 'isEmpty'>;
  readonly timeouts: StateTimeouts;
  readonly total: Meter;
  readonly counts: Counts;
  readonly engineData: Map<Row, string>;
  readonly drops: Record<DropReason, number>;
  readonly settings: Settings;
  readonly takeover: Readonly<Takeover>;
  readonly table: ConnectionTable;
  readonly forwarding: ForwardingContext;
  readonly secureTcp: boolean;
  readonly dropRate: number;
  untilDrop: number;
  readonly kernelPath: KernelPath;
  readonly sync: Pick<ConnectionSync, 'forwarded' | 'extended'>;
  readonly isBackup: boolean;
  /** States of FTP control connections. */
  readonly controls: Pick<ControlSlots, 'find' | 'make' | 'drop' | 'words'>;
  /** Explains what was done for an FTP control connection. */
  readonly report: (event: FtpEvent) => void;
}

/** Returns the destination of the connection in `row`, which must be in use. */
export const destinationOf = (
  {
    table,
    destinations,
  }: { table: Pick<ConnectionTable, 'destination'>; destinations: Pick<DestinationRegistry, 'all'> },
  row: Row,
): RealDestination => destinations.all[table.destination(row)]!;

/** The state that all parts of a director work on. */
export class DirectorCore implements Core {
  readonly services: ServiceRegistry;
  readonly destinations: DestinationRegistry;
  readonly marks = new Marks();
  /** Who may begin connections. */
  readonly access: AccessLists;
  readonly timeouts = new StateTimeouts();
  readonly meters: Meters;
  /** Traffic of all services. */
  readonly total: Meter;
  readonly counts = newCounts();
  /** Keys that a persistence engine found, by the template's row. */
  readonly engineData = new Map<Row, string>();
  readonly drops: Record<DropReason, number>;
  readonly settings: Settings;
  /** Of connections that other directors have scheduled. */
  readonly takeover: Takeover = { history: 0, share: 0 };
  readonly table: ConnectionTable;
  readonly forwarding: ForwardingContext;
  readonly random: () => number;
  /** The secure TCP state table is used (secure_tcp). */
  secureTcp = false;
  /** One in this many scheduling attempts is dropped (drop_packet); 0: none. */
  dropRate = 0;
  /** Scheduling attempts until the next one is dropped. */
  untilDrop = 0;
  /** The kernel path that forwards packets of known connections, if any. */
  readonly kernelPath = new AttachedKernelPath();
  /** Connection synchronization with other directors, if any. */
  readonly sync = new AttachedConnectionSync();
  /** A sync daemon runs. */
  isSynced = false;
  /** A backup sync daemon runs: with backup_only nothing is forwarded. */
  isBackup = false;
  readonly controls: ControlSlots;
  readonly report: (event: FtpEvent) => void = () => {};

  /** `memory`: of the records of services; that of the table. */
  constructor(
    settings: Settings,
    table: ConnectionTable,
    memory: TableMemory,
    forwarding: ForwardingContext,
    random: () => number,
  ) {
    this.settings = settings;
    this.table = table;
    this.controls = new ControlSlots(memory, table.capacity, table);
    this.access = new AccessLists(table.secrets[0]!);
    this.meters = new Meters(memory);
    this.total = this.meters.total;
    this.services = new ServiceRegistry(new ServiceRecords(memory), this.meters);
    this.destinations = new DestinationRegistry(table.records, this.meters);
    this.forwarding = forwarding;
    this.random = random;
    this.drops = Object.fromEntries(Object.keys(DROP_REASONS).map((reason) => [reason, 0])) as Record<
      DropReason,
      number
    >;
  }
}
