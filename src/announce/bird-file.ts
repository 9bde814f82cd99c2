/** The file that bird.conf includes: a static protocol for each VIP, which is disabled while the VIP is not announced. */

/** Begins the names of the protocols. */
export const PROTOCOL_PREFIX = 'lvs_';
/** The name of every protocol, as a pattern of BIRD. */
export const EVERY_PROTOCOL = `"${PROTOCOL_PREFIX}*"`;

/** VIPs, as canonical text, with whether each is announced. */
export type WantedVips = ReadonlyMap<string, boolean>;

/** Returns the same VIPs, none of which is announced. */
export const withdrawn = (vips: { keys(): Iterable<string> }): WantedVips =>
  new Map([...vips.keys()].map((vip) => [vip, false]));

/** Returns the name of the protocol of a VIP: lvs_192_0_2_1. Names of different VIPs differ. */
export const protocolOf = (vip: string): string => `${PROTOCOL_PREFIX}${vip.replace(/[.:]/g, '_')}`;

/** Returns the first line, by which a director, and what it leaves behind, recognizes its file. */
export const ownerLine = (owner: string): string => `# written by lvs-director ${owner}`;

/**
 * Returns the text. An unreachable route is in no table of the kernel unless BIRD exports it there, and it is announced with
 * the address of the session as the next hop.
 */
export function birdFile(owner: string, vips: WantedVips): string {
  const protocols = [...vips].map(([vip, isAnnounced]) => {
    const [channel, bits] = vip.includes(':') ? ['ipv6', 128] : ['ipv4', 32];
    return `protocol static ${protocolOf(vip)} { disabled ${isAnnounced ? 'no' : 'yes'}; ${channel}; route ${vip}/${bits} unreachable; }\n`;
  });
  return `${ownerLine(owner)}\n${protocols.join('')}`;
}

const PROTOCOL_LINE =
  /^protocol static lvs_\w+ \{ disabled (yes|no); ipv[46]; route (\S+)\/\d+ unreachable; \}$/gm;

/** Returns the VIPs of a text that `birdFile` made. */
export const announcedIn = (text: string): WantedVips =>
  new Map([...text.matchAll(PROTOCOL_LINE)].map(([, disabled, vip]) => [vip!, disabled === 'no']));

/**
 * Returns the line for bird.conf. A name without a wildcard, or a pattern in a folder that does not exist, would keep BIRD
 * from starting before the director has written the file.
 */
export const includeLine = (file: string): string => `include "${file.replace(/\/([^/]+)$/, '*/$1')}";`;
