/** Checks the capabilities of this process that forwarding packets requires. */
import { readFileSync } from 'node:fs';

/** Bits of CapEff in /proc/self/status (linux/capability.h). */
const CAPABILITIES = { CAP_NET_ADMIN: 12, CAP_NET_RAW: 13 } as const;
const KERNEL_PATH_CAPABILITIES = { CAP_PERFMON: 38, CAP_BPF: 39 } as const;
/** Includes the capabilities of the kernel path (Linux 5.8). */
const CAP_SYS_ADMIN = 21;

/** Returns the names of the missing capabilities; `status`: /proc/<pid>/status. */
export const missingCapabilities = (status: string): string[] => missing(status, CAPABILITIES);

/** Returns the names of the missing capabilities for loading programs into the kernel. */
export const missingKernelPathCapabilities = (status: string): string[] =>
  has(effective(status), CAP_SYS_ADMIN) ? [] : missing(status, KERNEL_PATH_CAPABILITIES);

/** Returns /proc/self/status. */
export const ownStatus = (): string => readFileSync('/proc/self/status', 'latin1');

const effective = (status: string): bigint =>
  BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
const has = (set: bigint, bit: number): boolean => ((set >> BigInt(bit)) & 1n) === 1n;

function missing(status: string, needed: Readonly<Record<string, number>>): string[] {
  const set = effective(status);
  return Object.entries(needed)
    .filter(([, bit]) => !has(set, bit))
    .map(([name]) => name);
}

/** Returns a message about missing capabilities; undefined: none is missing. */
export function privilegeError(): string | undefined {
  const names = missingCapabilities(ownStatus());
  return names.length === 0
    ? undefined
    : `missing capabilities: ${names.join(' and ')}, which forwarding packets requires (run as root, or set AmbientCapabilities= in the systemd unit)`;
}
