/** What this process may do, and what it lacks for forwarding packets. */
import { readFileSync } from 'node:fs';

/** Bits of CapEff in /proc/self/status (linux/capability.h). */
const CAPABILITIES = { CAP_NET_ADMIN: 12, CAP_NET_RAW: 13 } as const;

/** Names of the missing capabilities; `status`: /proc/<pid>/status. */
export function missingCapabilities(status: string): string[] {
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
  return Object.entries(CAPABILITIES)
    .filter(([, bit]) => ((effective >> BigInt(bit)) & 1n) === 0n)
    .map(([name]) => name);
}

/** One line for people; undefined: nothing is missing. */
export function lackingPrivileges(): string | undefined {
  const missing = missingCapabilities(readFileSync('/proc/self/status', 'latin1'));
  return missing.length === 0
    ? undefined
    : `forwarding packets needs ${missing.join(' and ')}: run it as root, or give them to it (systemd: AmbientCapabilities=)`;
}
