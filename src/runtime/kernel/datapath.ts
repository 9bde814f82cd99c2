/** Chooses the datapath of this host: the kernel path, or this process for all packets. */
import { Bpf } from '../../ebpf/bpf.ts';
import { type Feature, probe as probeFeature, probeFeatures } from '../../ebpf/features.ts';
import { MEMORY_FOLDER, memoryFilesProblem } from '../../host/memory-files.ts';
import { pinsFolder } from '../../host/pins-folders.ts';
import { openTun } from '../../io/tap-device.ts';
import { LvsError } from '../../model/errors.ts';
import { pinsProblem } from '../../offload/pins.ts';
import { probeClsact } from '../../offload/tc-attach.ts';
import { loadSystem, type System } from '../../sys/system.ts';
import { FIXED_BYTES } from '../../table/kept-memory.ts';
import { missingKernelPathCapabilities, ownStatus } from '../host/privileges.ts';
import { availableMemory, CONNECTION_BYTES, defaultConnections } from '../table-size.ts';

export const DATAPATHS = ['auto', 'tc', 'xdp', 'live'] as const;
export type DatapathName = (typeof DATAPATHS)[number];

export interface Choice {
  readonly datapath: Exclude<DatapathName, 'auto'>;
  readonly reason: string;
}

/** Results of probes, by the datapath that needs the features. */
export interface Probed {
  readonly tc: readonly Feature[];
  readonly xdp: readonly Feature[];
  /** Optional features. */
  readonly other: readonly Feature[];
  /** Whether restarts keep connections. */
  readonly restarts: readonly Feature[];
}

/** Programs read rows in an order that only x86-64 keeps: arm64 would need loads with acquire. */
const PROCESSOR: Feature = {
  name: 'processor x86-64',
  missing: process.arch === 'x64' ? undefined : `${process.arch}: not supported`,
};

/** Probes the features of this kernel that a kernel path needs. */
export async function probe(): Promise<Probed> {
  const lacking = missingKernelPathCapabilities(ownStatus());
  const restarts = await probeRestarts();
  if (lacking.length > 0) {
    const missing: Feature = { name: 'capabilities', missing: `missing ${lacking.join(' and ')}` };
    return { tc: [missing], xdp: [missing], other: [], restarts };
  }
  try {
    const bpf = new Bpf(await loadSystem());
    const { maps, mappedMaps, xdp, tcx, exchange } = await probeFeatures(bpf);
    const both = [PROCESSOR, maps, mappedMaps, exchange, probeTap(bpf.system)];
    if (tcx.missing === undefined) return { tc: [...both, tcx], xdp: [...both, xdp], other: [], restarts };
    return { tc: [...both, probeClsact(bpf)], xdp: [...both, xdp], other: [tcx], restarts };
  } catch (error) {
    const missing: Feature = { name: 'system calls (koffi)', missing: (error as Error).message };
    return { tc: [missing], xdp: [missing], other: [], restarts };
  }
}

/** Reports for each kind of datapath whether the next director can take connections over. Changes nothing. */
async function probeRestarts(): Promise<Feature[]> {
  const system = await loadSystem().catch(() => undefined);
  const missing = 'system calls (koffi) are not available';
  const bytes = defaultConnections(availableMemory()) * CONNECTION_BYTES + FIXED_BYTES;
  return [
    {
      name: 'restarts keep connections (tc, xdp)',
      missing: system ? pinsProblem(new Bpf(system), pinsFolder()) : missing,
    },
    {
      name: 'restarts keep connections (live)',
      missing: system ? memoryFilesProblem(system, MEMORY_FOLDER, bytes) : missing,
    },
  ];
}

/** Reports whether tap devices work: through one, the kernel path sends packets to the director. */
const probeTap = (system: System): Feature =>
  probeFeature('tap devices', () => {
    system.close(openTun(system));
  });

/** Returns the datapath to use. Throws LvsError UNAVAILABLE if one is selected by name and not available. */
export function choose(wanted: DatapathName, probed: Probed): Choice {
  if (wanted === 'live') return { datapath: 'live', reason: 'selected by --datapath' };
  const name = wanted === 'auto' ? 'tc' : wanted;
  const missing = probed[name].find((feature) => feature.missing !== undefined);
  const obstacle = missing && `${missing.name}: ${missing.missing}`;
  if (obstacle === undefined)
    return {
      datapath: name,
      reason: wanted === 'auto' ? 'all required features are available' : 'selected by --datapath',
    };
  if (wanted !== 'auto') throw new LvsError('UNAVAILABLE', `--datapath ${wanted}: ${obstacle}`);
  return { datapath: 'live', reason: `not ${name}: ${obstacle}` };
}

/** Returns the results of the probes and the choice of `--datapath auto`, as lines of text. */
export function describe(probed: Probed): string[] {
  const all = new Map(
    [...probed.tc, ...probed.xdp, ...probed.other, ...probed.restarts].map((feature) => [
      feature.name,
      feature,
    ]),
  );
  const width = Math.max(...[...all.keys()].map((name) => name.length));
  const { datapath, reason } = choose('auto', probed);
  return [
    ...[...all.values()].map(
      ({ name, missing }) => `${name.padEnd(width)}  ${missing === undefined ? 'yes' : `no: ${missing}`}`,
    ),
    `--datapath auto is ${datapath}: ${reason}`,
  ];
}
