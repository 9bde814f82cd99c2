/** Finds and releases guards whose director was killed: they outlive it, so that the host resets no client. */
import { INSTANCE, instancesIn, unixSockets } from './director-instances.ts';
import { runProgram } from './run-program.ts';
import { removeExpiringVips } from './vip-addresses.ts';

/** Begins the names of the tables of all guards. */
const PREFIX = 'lvs_director_';

/** Returns the table of a director's guard; `generation` distinguishes those that it creates in turn. */
export const guardTable = (generation: number): string => `${PREFIX}${INSTANCE}_${generation}`;

/** Answer of `nft -j list tables` and `nft -j list set`. */
interface Listing {
  readonly nftables: readonly {
    readonly table?: { readonly family: string; readonly name: string };
    readonly set?: { readonly elem?: readonly string[] };
  }[];
}
const parse = (json: string): Listing['nftables'] => (JSON.parse(json) as Partial<Listing>).nftables ?? [];

/**
 * Returns the tables of guards without a living director. `tables`: answer of `nft -j list tables netdev`; `sockets`: the
 * contents of /proc/net/unix.
 */
export function orphansIn(tables: string, sockets: string): string[] {
  const living = new Set(instancesIn(sockets));
  return parse(tables).flatMap(({ table }) => {
    const [, instance] = /^lvs_director_(\d+_[0-9a-z]+)_\d+$/.exec(table?.name ?? '') ?? [];
    return instance !== undefined && !living.has(instance) ? [table!.name] : [];
  });
}

/** Resolves with the tables of guards whose director was killed. Throws LvsError where nft fails. */
export async function orphanedGuards(): Promise<string[]> {
  return orphansIn(await runProgram('nft', ['-j', 'list', 'tables', 'netdev']), unixSockets());
}

/**
 * Removes the VIPs that a killed director left, except those in `kept`, and then its guard, so that the host never answers
 * for a VIP. Throws LvsError.
 */
export async function releaseGuard(table: string, kept: ReadonlySet<string>): Promise<void> {
  const vips: string[] = [];
  for (const set of ['held4', 'held6']) {
    const answer = parse(await runProgram('nft', ['-j', 'list', 'set', 'netdev', table, set]));
    vips.push(...answer.flatMap((each) => each.set?.elem ?? []));
  }
  await removeExpiringVips(new Set(vips.filter((vip) => !kept.has(vip))));
  await runProgram('nft', ['delete', 'table', 'netdev', table]);
}
