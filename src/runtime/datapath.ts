/** Which way packets take through this host: through the kernel's program, or all of them through this process. */
import { Bpf } from '../ebpf/bpf.ts';
import { type Feature, probe as probeFeature, probeFeatures } from '../ebpf/features.ts';
import { openTun } from '../io/tap-device.ts';
import { LvsError } from '../model/errors.ts';
import { probeClsact } from '../offload/tc-attach.ts';
import { loadSystem, type System } from '../sys/system.ts';
import { missingKernelPathCapabilities, ownStatus } from './privileges.ts';

export const DATAPATHS = ['auto', 'tc', 'xdp', 'live'] as const;
export type DatapathName = (typeof DATAPATHS)[number];

export interface Choice {
  readonly datapath: Exclude<DatapathName, 'auto'>;
  /** Why this one, or why no better one. */
  readonly why: string;
}

/** What was probed, by what it is needed for. */
export interface Probed {
  readonly tc: readonly Feature[];
  readonly xdp: readonly Feature[];
  /** Faster or finer, and not needed. */
  readonly other: readonly Feature[];
}

/** Services by firewall mark have no address that the kernel's program could know them by. */
const MARKED =
  'there are rules that give packets a firewall mark, which only the director itself understands';

export async function probe(): Promise<Probed> {
  const lacking = missingKernelPathCapabilities(ownStatus());
  if (lacking.length > 0) {
    const missing: Feature = { name: 'capabilities', missing: `missing ${lacking.join(' and ')}` };
    return { tc: [missing], xdp: [missing], other: [] };
  }
  try {
    const bpf = new Bpf(await loadSystem());
    const { maps, mappedMaps, xdp, tcx, acquire, gracePeriods } = await probeFeatures(bpf);
    const isArm = process.arch === 'arm64';
    const both = [maps, mappedMaps, gracePeriods, probeTap(bpf.system), ...(isArm ? [acquire] : [])];
    const other = isArm ? [] : [acquire];
    if (tcx.missing === undefined) return { tc: [...both, tcx], xdp: [...both, xdp], other };
    return { tc: [...both, probeClsact(bpf)], xdp: [...both, xdp], other: [tcx, ...other] };
  } catch (error) {
    const missing: Feature = { name: 'system calls (koffi)', missing: (error as Error).message };
    return { tc: [missing], xdp: [missing], other: [] };
  }
}

/** Packets come up to the director by a tap device. */
const probeTap = (system: System): Feature =>
  probeFeature('tap devices', () => {
    system.close(openTun(system));
  });

/** Throws LvsError where what is asked for by name is not to be had. */
export function choose(wanted: DatapathName, probed: Probed, marked: boolean): Choice {
  if (wanted === 'live') return { datapath: 'live', why: 'asked for' };
  const name = wanted === 'auto' ? 'tc' : wanted;
  const missing = probed[name].find((feature) => feature.missing !== undefined);
  const obstacle = marked ? MARKED : missing && `${missing.name}: ${missing.missing}`;
  if (obstacle === undefined)
    return { datapath: name, why: wanted === 'auto' ? 'all that it needs is there' : 'asked for' };
  if (wanted !== 'auto') throw new LvsError('UNAVAILABLE', `--datapath ${wanted}: ${obstacle}`);
  return { datapath: 'live', why: `not ${name}: ${obstacle}` };
}

/**
 * Throws LvsError UNAVAILABLE if a running director cannot put mark rules into force: a kernel path does not know marks,
 * so their packets would reach no service.
 */
export function checkMarks(marked: boolean, datapath: string): void {
  if (datapath === 'live' || !marked) return;
  throw new LvsError(
    'UNAVAILABLE',
    `marks: not supported by the datapath ${datapath} of the running director (restart the director: --datapath auto then chooses live)`,
  );
}

/** The table of probes, and what would be chosen; lines for people. */
export function describe(probed: Probed): string[] {
  const all = new Map(
    [...probed.tc, ...probed.xdp, ...probed.other].map((feature) => [feature.name, feature]),
  );
  const width = Math.max(...[...all.keys()].map((name) => name.length));
  const { datapath, why } = choose('auto', probed, false);
  return [
    ...[...all.values()].map(
      ({ name, missing }) => `${name.padEnd(width)}  ${missing === undefined ? 'yes' : `no: ${missing}`}`,
    ),
    `--datapath auto is ${datapath}: ${why}`,
  ];
}
