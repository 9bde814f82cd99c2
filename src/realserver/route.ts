/** Sets the default route of a real server under NAT to the director, which must translate the replies. */
import { isIPv6 } from 'node:net';
import { type Machine, must } from './machine.ts';

export interface RouteChange {
  readonly kind: 'route';
  readonly gateway: string;
}

const ip = (gateway: string): string[] => (isIPv6(gateway) ? ['ip', '-6'] : ['ip']);

/** Resolves with the default routes, as `ip route` prints and accepts them. */
async function defaults(gateway: string, machine: Machine): Promise<string[]> {
  const text = await must(machine, [...ip(gateway), 'route', 'show', 'default']);
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line.startsWith('default'));
}

const leadsTo = (line: string, gateway: string): boolean =>
  line.split(/\s+/).join(' ').startsWith(`default via ${gateway} `);
const metric = (line: string): number => Number(/ metric (\d+)/.exec(line)?.[1] ?? 0);

export async function look({ gateway }: RouteChange, machine: Machine): Promise<string[] | undefined> {
  const lines = await defaults(gateway, machine);
  const best = lines.reduce<string | undefined>(
    (a, b) => (a === undefined || metric(b) < metric(a) ? b : a),
    undefined,
  );
  return best !== undefined && leadsTo(best, gateway) ? undefined : lines;
}

export async function make({ gateway }: RouteChange, machine: Machine): Promise<void> {
  await must(machine, [...ip(gateway), 'route', 'replace', 'default', 'via', gateway]);
}

export async function undo(
  { gateway }: RouteChange,
  before: readonly string[],
  machine: Machine,
): Promise<void> {
  const lines = await defaults(gateway, machine);
  for (const line of lines)
    if (leadsTo(line, gateway) && !before.includes(line))
      await must(machine, [...ip(gateway), 'route', 'del', ...line.split(/\s+/)]);
  for (const line of before)
    if (!lines.includes(line)) await must(machine, [...ip(gateway), 'route', 'add', ...line.split(/\s+/)]);
}
