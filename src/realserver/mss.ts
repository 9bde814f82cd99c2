/** Limits the maximum segment size that clients are offered, so that their segments fit through the tunnel. */
import { isIPv6 } from 'node:net';
import { LvsError } from '../model/errors.ts';
import { type Machine, must } from './machine.ts';

export interface MssChange {
  readonly kind: 'mss';
  readonly addresses: readonly string[];
  /** MTU of the network device, bytes. */
  readonly mtu: number;
  /** Bytes between the outer and the inner IP header. */
  readonly overhead: number;
}

const TABLE = 'lvs_realserver';
/** Length of a header without options, bytes: RFC 791, RFC 8200, RFC 9293. */
const IPV4 = 20;
const IPV6 = 40;
const TCP = 20;

/** Returns the largest segment that fits through the tunnel, bytes; the outer header has the inner one's family. */
export const segmentSize = (address: string, mtu: number, overhead = 0): number =>
  mtu - 2 * (isIPv6(address) ? IPV6 : IPV4) - overhead - TCP;

const exists = async (machine: Machine): Promise<boolean> =>
  (await machine.run(['nft', 'list', 'table', 'inet', TABLE])).status === 0;

/** Resolves with the reason why the segment size cannot be limited; undefined if it can. */
export async function probeMss(machine: Machine): Promise<string | undefined> {
  try {
    const rules = script({ kind: 'mss', addresses: ['192.0.2.1'], mtu: 1500, overhead: 0 });
    const { status, stderr } = await machine.run(['nft', '--check', '-f', '-'], rules);
    return status === 0 ? undefined : `nft: ${stderr.trim().split('\n')[0]}`;
  } catch (error) {
    if (error instanceof LvsError) return error.message;
    throw error;
  }
}

function script({ addresses, mtu, overhead }: MssChange): string {
  const rules = addresses.map((address) => {
    const size = segmentSize(address, mtu, overhead);
    const family = isIPv6(address) ? 'ip6' : 'ip';
    return `${family} saddr ${address} tcp flags & (syn | rst) == syn tcp option maxseg size > ${size} tcp option maxseg size set ${size}`;
  });
  // Declared before it is deleted: deleting a missing table is an error.
  return `table inet ${TABLE} {}
delete table inet ${TABLE}
table inet ${TABLE} {
  chain output {
    type filter hook output priority mangle; policy accept;
    ${rules.join('\n    ')}
  }
}
`;
}

export const look = async (_change: MssChange, _machine: Machine): Promise<'absent'> => 'absent';

export async function make(change: MssChange, machine: Machine): Promise<void> {
  await must(machine, ['nft', '-f', '-'], script(change));
}

export async function undo(machine: Machine): Promise<void> {
  if (await exists(machine)) await must(machine, ['nft', 'delete', 'table', 'inet', TABLE]);
}

/** Resolves with the segment size to which the table limits connections of an address; undefined if it does not. */
export async function clampedSize(address: string, machine: Machine): Promise<number | undefined> {
  const { status, stdout } = await machine.run(['nft', 'list', 'table', 'inet', TABLE]);
  if (status !== 0) return undefined;
  const rule = stdout.split('\n').find((line) => line.includes(` saddr ${address} `));
  const size = /maxseg size set (\d+)/.exec(rule ?? '')?.[1];
  return size === undefined ? undefined : Number(size);
}
