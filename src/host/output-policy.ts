/** Finds the chains of nftables and iptables that drop what this host sends unless a rule accepts it. */
import { runProgram } from './run-program.ts';

/** The part that is used of what `nft -j list chains` prints. */
interface Listing {
  readonly nftables?: readonly {
    readonly chain?: {
      readonly family: string;
      readonly table: string;
      readonly name: string;
      readonly hook?: string;
      readonly policy?: string;
    };
  }[];
}

/** Returns the chains with hook output and policy drop, such as `inet filter output`. Empty where nothing can be listed. */
export async function outputDrops(): Promise<string[]> {
  const nft = droppingChains(await outputOf('nft', ['-j', 'list', 'chains']), 'output');
  const legacy: string[] = [];
  for (const name of ['iptables-legacy', 'ip6tables-legacy'])
    if (/^-P OUTPUT DROP$/m.test(await outputOf(name, ['-S', 'OUTPUT']))) legacy.push(`${name} OUTPUT`);
  return [...nft, ...legacy];
}

/** Returns the chains of a listing of `nft -j list chains` with the hook that drop packets by policy. */
const droppingChains = (listing: string, hook: 'input' | 'output'): string[] =>
  hookedChains(listing, hook).flatMap(({ chain, dropsByPolicy }) => (dropsByPolicy ? [chain] : []));

export interface HookedChain {
  /** Family, table and name. */
  readonly chain: string;
  readonly dropsByPolicy: boolean;
}

/** Returns the chains of a listing of `nft -j list chains` with the hook. */
export function hookedChains(listing: string, hook: 'input' | 'output'): HookedChain[] {
  let chains: Listing = {};
  try {
    chains = JSON.parse(listing || '{}') as Listing;
  } catch {
    // Not JSON: an nft without it.
  }
  return (chains.nftables ?? []).flatMap(({ chain }) =>
    chain?.hook === hook
      ? [{ chain: `${chain.family} ${chain.table} ${chain.name}`, dropsByPolicy: chain.policy === 'drop' }]
      : [],
  );
}

/** Resolves with what the program prints; with an empty text where it is missing, fails or hangs. */
const outputOf = (file: string, args: readonly string[]): Promise<string> =>
  runProgram(file, args).catch(() => '');
