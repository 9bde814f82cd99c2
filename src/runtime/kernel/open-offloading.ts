/** Opens a kernel path: its tap, the memory that programs share with the director, and the programs. */
import { Bpf } from '../../ebpf/bpf.ts';
import { VerifierError } from '../../ebpf/program.ts';
import { linkFacts } from '../../host/link-facts.ts';
import { PINS_FOLDERS } from '../../host/pins-folders.ts';
import { Tap } from '../../io/tap.ts';
import { openUpcalls, type UpcallIo } from '../../io/upcalls.ts';
import { LvsError } from '../../model/errors.ts';
import { admissionCode, onePacketCode } from '../../offload/admit.ts';
import { type KernelArrays, kernelArrays } from '../../offload/arrays.ts';
import { Attachments } from '../../offload/attach.ts';
import { ClientRoutes } from '../../offload/client-routes.ts';
import { HandBack } from '../../offload/hand-back-map.ts';
import { type HookName, tc, xdp } from '../../offload/hooks.ts';
import { measureJiffies } from '../../offload/jiffies.ts';
import { OwnMacs } from '../../offload/own-macs.ts';
import { existingPins, openPins, type Pins } from '../../offload/pins.ts';
import { forwarderCode } from '../../offload/program.ts';
import { ProgramTable } from '../../offload/program-table.ts';
import { SchedulerPrograms } from '../../offload/schedule/loading.ts';
import { ADMIT, FORWARD_ONCE, PERSIST } from '../../offload/scratch.ts';
import { ServiceMap } from '../../offload/service-map.ts';
import { templateCode } from '../../offload/template.ts';
import { loadSystem } from '../../sys/system.ts';
import { SystemCallError } from '../../sys/system-call-error.ts';
import type { Log } from '../log.ts';
import { reportReplaced } from '../restart/adoption-report.ts';
import { KeptTable } from '../restart/kept-table.ts';
import { KernelMarks } from './kernel-marks.ts';
import { adoptedTable, carriedTable, newTable, type OpenedTable } from './kernel-table.ts';
import { type KernelTable, Offloading, type OffloadingOptions, TAP_NAME } from './offloading.ts';

/** Frames that may wait for the director. A flood of new connections fills only this queue. */
const QUEUE_FRAMES = 4096;
/** The maximum MTU of a tap (ETH_MAX_MTU minus the Ethernet header, Linux 5.15), bytes. No packet is longer. */
const TAP_MTU_BYTES = 65_521;

const HOOKS = { xdp, tc } as const;

/**
 * Loads the programs and creates the tap device. Throws LvsError UNAVAILABLE if the kernel does not support them, or if another
 * director of this network namespace has the tap.
 */
export async function openOffloading(options: OffloadingOptions): Promise<Offloading> {
  const { hook, log } = options;
  const opened: Disposable[] = [];
  /** A former director has left the path: it goes on if this one cannot start. */
  let isTakenOver = false;
  try {
    const system = await loadSystem();
    const bpf = new Bpf(system);
    // First: only one director can have it.
    const tap = new Tap(system, { name: TAP_NAME, mtu: TAP_MTU_BYTES, queue: QUEUE_FRAMES });
    opened.push(tap);
    const pins = keepingPins(bpf, options);
    opened.push({
      [Symbol.dispose]: () => {
        if (isTakenOver) tap.persist(true);
        else pins?.removeAll();
      },
    });
    tap.persist(false);
    removeOtherPaths(bpf, pins, log);
    isTakenOver = pins !== undefined && pins.names.length > 0;
    const opening = { bpf, options, pins, measured: await measureJiffies(bpf, options.clock) };
    const left = isTakenOver ? await adoptedTable({ ...opening, pins: pins! }) : undefined;
    isTakenOver = left !== undefined;
    const table = left ?? (await carriedTable(opening)) ?? newTable(opening);
    const { adopted, files } = table;
    if (files) opened.push({ [Symbol.dispose]: () => files.unlock() });
    const { shared, arrays } = emittedFor(bpf, table);
    const kept = new KeptTable(shared, pins, adopted);
    const services = new ServiceMap(bpf);
    const upcall = { interfaceIndex: tap.device.index, services: services.descriptor };
    const parts = { hook: HOOKS[hook], arrays, upcall };
    const programs = new ProgramTable(bpf, hook, arrays.programArray, pins);
    opened.push(programs);
    programs.load(ADMIT, 'lvs_admit', admissionCode(parts));
    programs.load(FORWARD_ONCE, 'lvs_once', onePacketCode(parts));
    programs.load(PERSIST, 'lvs_persist', templateCode(parts));
    const schedulers = new SchedulerPrograms(programs, parts);
    const marks = new KernelMarks({ programs, parts, memory: shared.memory });
    const macs = hook === 'xdp' ? new OwnMacs(bpf) : undefined;
    const code = forwarderCode({ ...parts, macs: macs?.descriptor });
    const attachments = new Attachments(bpf, { hook, role: 'director', code, pins });
    opened.push(attachments);
    if (adopted) attachments.wait();
    const interfaces = new HandBack(bpf, HOOKS[hook], tap.device.index);
    opened.push(interfaces);
    interfaces.attach();
    const io: UpcallIo = await openUpcalls({
      tap,
      attach: (name) => attach({ attachments, hook, macs }, name, log),
      header: (nextHop) => offloading.header(nextHop),
    });
    const offloading = new Offloading(options, {
      ...{ bpf, io, tap, kept, shared },
      ...{ services, attachments, programs, schedulers, marks, interfaces, access: arrays.accessMap },
    });
    tap.persist(pins !== undefined);
    files?.removeAll();
    return offloading;
  } catch (cause) {
    for (const each of opened.toReversed()) each[Symbol.dispose]();
    if (cause instanceof VerifierError || cause instanceof SystemCallError)
      throw new LvsError('UNAVAILABLE', `kernel path (${hook}): ${cause.message}`, { cause });
    throw cause;
  }
}

/** Removes paths that directors with other options have left: their programs would forward packets beside those of this one. */
function removeOtherPaths(bpf: Bpf, own: Pins | undefined, log: Log): void {
  for (const root of PINS_FOLDERS) {
    const others = existingPins(bpf, root);
    if (!others || others.folder === own?.folder) continue;
    others.removeAll();
    reportReplaced('path', others.folder, 'this director keeps its path in another folder', log);
  }
}

/** Returns the pins of a new path, or logs why there are none: the path ends with this process then. */
function keepingPins(bpf: Bpf, { pins: root, log }: OffloadingOptions): Pins | undefined {
  try {
    return openPins(bpf, root);
  } catch (error) {
    if (!(error instanceof LvsError)) throw error;
    log('warning', 'pins-unavailable', {
      reason: error.message,
      effect: 'packets are not forwarded while no director runs',
    });
    return undefined;
  }
}

/** Returns what programs and the director share, and the arrays and numbers that programs are emitted for. */
function emittedFor(
  bpf: Bpf,
  { table: made, processors, counted: records, clock }: OpenedTable,
): { readonly shared: KernelTable; readonly arrays: KernelArrays } {
  const { homes: places, secrets, places: capacity } = made.table;
  const sizes = { places, secrets, capacity, records, processors, clock };
  const arrays = kernelArrays(bpf, made.memory, sizes);
  return { shared: { ...made, clients: new ClientRoutes(arrays.clientMap), records }, arrays };
}

interface Place {
  readonly attachments: Attachments;
  readonly hook: HookName;
  readonly macs: OwnMacs | undefined;
}

function attach({ attachments, hook, macs }: Place, name: string, log: Log): void {
  const link = linkFacts(name);
  if (!link) throw new LvsError('NO_SUCH_DEVICE', `network interface ${name}: not found`);
  try {
    macs?.set(link.index, link.mac);
    const done = attachments.attach(link.index);
    if (done === 'restored')
      log('warning', 'program-restored', {
        interface: name,
        reason: 'the program was detached, or another program deleted the qdisc that held it',
      });
  } catch (cause) {
    if (!(cause instanceof SystemCallError)) throw cause;
    throw new LvsError(
      'UNAVAILABLE',
      `network interface ${name}: cannot attach the ${hook} program: ${cause.message}`,
      { cause },
    );
  }
}
