/** `lvs-director announcements`, `withdraw` and `announce`: lists the VIPs that are announced to routers, and stops it. */
import { isIP } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { OperationsApi } from '../../control/operations-api.ts';
import type { AnnouncementListing } from '../../model/announcement.ts';
import { LvsError } from '../../model/errors.ts';

/** ms between two looks at the director. */
const LOOK_MS = 200;

export type ListingFormat = 'text' | 'json' | 'exabgp';

/** The routes that one session of ExaBGP can carry. */
export interface ExabgpRoutes {
  /** An address, or `self`. */
  readonly nextHop: string;
  /** IP version of the VIPs: a session over IPv4 carries no routes of IPv6 whose next hop is `self`. */
  readonly version: 4 | 6;
}

type Api = Pick<OperationsApi, 'announcements'>;

/** Returns the listing as text, a line for each VIP. */
export function formatListing({ isWithdrawn, held, vips, sessions, error }: AnnouncementListing): string {
  const lines = [
    ...(isWithdrawn ? ['all VIPs are withdrawn by command (lvs-director announce)'] : []),
    ...(held ? [`all VIPs are withdrawn: this director is ${held} in its cluster`] : []),
    ...vips.map(({ vip, isReady, isWanted, isAnnounced, isSpare }) => {
      const state = (isAnnounced ?? isWanted) ? 'announced' : 'withdrawn';
      const differs = isAnnounced !== undefined && isAnnounced !== isWanted;
      const wanted = differs ? `, to be ${isWanted ? 'announced' : 'withdrawn'}` : '';
      return `${vip}: ${state}${wanted}: ${isReady ? 'ready' : 'not ready'}${isSpare ? ', spare' : ''}`;
    }),
    ...(sessions ? [`BGP sessions: ${sessions.established} of ${sessions.all} established`] : []),
    ...(error ? [`${error.kind}: ${error.text}`] : []),
  ];
  return lines.length === 0 ? 'no VIPs are announced\n' : `${lines.join('\n')}\n`;
}

/**
 * Returns the lines for the API of ExaBGP that turn the routes `before` into those of `now`, and changes `before`. Routes are
 * withdrawn first.
 */
export function exabgpLines(before: Set<string>, now: readonly string[], nextHop: string): string[] {
  const wanted = new Set(now);
  const route = (vip: string) => `route ${vip}/${vip.includes(':') ? 128 : 32} next-hop ${nextHop}`;
  const withdrawn = [...before].filter((vip) => !wanted.has(vip));
  const announced = now.filter((vip) => !before.has(vip));
  for (const vip of withdrawn) before.delete(vip);
  for (const vip of announced) before.add(vip);
  return [
    ...withdrawn.map((vip) => `withdraw ${route(vip)}`),
    ...announced.map((vip) => `announce ${route(vip)}`),
  ];
}

/**
 * Prints lines for ExaBGP whenever announcements change, until the signal aborts. A director that cannot be asked announces
 * nothing: it ended, or hangs. ExaBGP keeps what an earlier process has announced that was killed, so VIPs that are not to be
 * announced are withdrawn when they are seen first.
 */
export async function followForExabgp(
  api: Api & { close(): void },
  { nextHop, version }: ExabgpRoutes,
  print: (text: string) => void,
  complain: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const announced = new Set<string>();
  const seen = new Set<string>();
  const change = (vips: readonly string[]) => {
    const lines = exabgpLines(announced, vips, nextHop);
    if (lines.length > 0) print(`${lines.join('\n')}\n`);
  };
  let lastError: string | undefined;
  while (!signal.aborted) {
    let vips: readonly string[] = [];
    try {
      const all = await api.announcements();
      const listed = all.vips.filter(({ vip }) => isIP(vip) === version);
      vips = listed.flatMap(({ vip, isWanted }) => (isWanted ? vip : []));
      for (const { vip, isWanted } of listed) {
        if (!isWanted && !seen.has(vip)) announced.add(vip);
        seen.add(vip);
      }
      lastError = undefined;
    } catch (error) {
      if (!(error instanceof LvsError)) throw error;
      api.close();
      if (error.message !== lastError) complain(error.message);
      lastError = error.message;
    }
    change(vips);
    await sleep(LOOK_MS, undefined, { signal }).catch(() => {});
  }
  change([]);
}
