/** The state of a host in a cluster without a director, for `lvs-realserver status`. */
import type { HealthState } from '../../model/check.ts';
import type { RuleHosts } from '../../model/nlb.ts';

export interface RuleStatus {
  readonly rule: string;
  readonly hosts: RuleHosts;
  readonly isDrained: boolean;
  /** This host ignores all packets of the rule. */
  readonly isSuspended: boolean;
  /** Health of the service on this host; missing: the rule has no check. */
  readonly service?: HealthState;
  /** Percentage of the clients by host. */
  readonly shares: Readonly<Record<string, number>>;
}

export interface ClusterStatus {
  readonly host: string;
  readonly id: number;
  readonly addresses: readonly string[];
  readonly mac: string;
  readonly state: 'active' | 'muted' | 'duplicate' | 'mismatch' | 'suspended';
  readonly isConverged: boolean;
  readonly epoch: number;
  readonly coordinator: string;
  readonly members: readonly string[];
  /** Hosts whose heartbeats arrive. */
  readonly received: readonly string[];
  readonly rules: readonly RuleStatus[];
  /** Open connections to the cluster's addresses on this host. */
  readonly connections: number;
  /** Packets by what the filter did with them. */
  readonly packets: Readonly<Record<string, number>>;
  readonly heartbeats: Readonly<Record<string, number>>;
}

/** Returns percentages by host, to one decimal place. */
export function sharesOf(
  owners: Uint8Array | undefined,
  nameOf: (id: number) => string,
): Record<string, number> {
  const counts = new Map<number, number>();
  for (const id of owners ?? []) if (id !== 0) counts.set(id, (counts.get(id) ?? 0) + 1);
  return Object.fromEntries(
    [...counts]
      .sort(([a], [b]) => a - b)
      .map(([id, count]) => [nameOf(id), Math.round((1000 * count) / owners!.length) / 10]),
  );
}

/** Returns the status as text. */
export function formatClusterStatus(status: ClusterStatus): string {
  const { host, id, addresses, mac, state, isConverged, epoch, coordinator, members } = status;
  const view =
    members.length === 0
      ? 'not a member of a cluster yet'
      : `${isConverged ? 'converged' : 'converging'}: epoch ${epoch} by ${coordinator}, members ${members.join(', ')}`;
  const shares = (each: RuleStatus) =>
    Object.entries(each.shares)
      .map(([name, share]) => `${name} ${share} %`)
      .join(', ') || (each.hosts === 'disabled' ? 'disabled' : 'no host');
  const counts = (record: Readonly<Record<string, number>>) =>
    Object.entries(record)
      .map(([name, count]) => `${count} ${name}`)
      .join(', ');
  return [
    `${host} (id ${id}) of the cluster ${addresses.join(', ')} at ${mac}: ${state}`,
    `  ${view}`,
    ...status.rules.map(
      (each) =>
        `  ${each.rule}: ${shares(each)}${each.isSuspended ? ' (suspended here)' : each.isDrained ? ' (drained here)' : ''}${each.service ? ` (service here: ${each.service})` : ''}`,
    ),
    `  open connections: ${status.connections}`,
    `  packets: ${counts(status.packets)}`,
    `  heartbeats: ${counts(status.heartbeats)}`,
  ].join('\n');
}
