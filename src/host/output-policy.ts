/** Finds the chains of nftables and iptables that drop what this host sends unless a rule accepts it. */
import { execFile } from 'node:child_process';

/** How long nft or iptables may take, ms. */
const TIMEOUT_MS = 5000;
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;

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
export function droppingChains(listing: string, hook: 'input' | 'output'): string[] {
  let chains: Listing = {};
  try {
    chains = JSON.parse(listing || '{}') as Listing;
  } catch {
    // Not JSON: an nft without it.
  }
  return (chains.nftables ?? []).flatMap(({ chain }) =>
    chain?.hook === hook && chain.policy === 'drop' ? [`${chain.family} ${chain.table} ${chain.name}`] : [],
  );
}

/** Resolves with what the program prints; with an empty text where it is missing or fails. */
const outputOf = (file: string, args: readonly string[]): Promise<string> =>
  new Promise((resolve) =>
    execFile(file, args, { timeout: TIMEOUT_MS, maxBuffer: MAX_OUTPUT_BYTES }, (error, stdout) =>
      resolve(error ? '' : stdout),
    ),
  );
