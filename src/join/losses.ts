/**
 * Decides what becomes of servers whose announcements are missing. A few have failed. When most of a service's are lost at once, it is
 * rather the network between them and this director: all are kept, and checks decide. Times are ms.
 */
import type { Placement } from './placement.ts';

/** When more than half of a service's servers are lost within this time, all of these are kept. */
const LOSS_WINDOW_MS = 10_000;
/** Keys of servers that fail at the same time vanish from etcd within this time: leases are kept alive every 1.5 s. */
const LEASES_END_MS = 2500;

export interface LossOptions {
  /** From a loss to its effect: others that are lost at the same time are known by then. */
  readonly patience: number;
  /** After which a lost server is removed despite its connections. */
  readonly drain: number;
  /** Reports whether the checks of a destination fail. */
  readonly isDown: (placement: Placement) => boolean;
}

/** Decides about the lost placements of one service. Reports whether most are lost now, and were not before. */
export function judge(all: Iterable<Placement>, now: number, options: LossOptions): boolean {
  const { patience, drain, isDown } = options;
  const recent: Placement[] = [];
  const due: Placement[] = [];
  let present = 0;
  let kept = 0;
  for (const each of all) {
    const { lostAt, end, isKept, server } = each;
    const isRecent = lostAt !== undefined && now - lostAt < LOSS_WINDOW_MS;
    // A server that drains is not missed.
    if (server.state === 'up' && (!end || isRecent)) {
      present++;
      if (isRecent) recent.push(each);
    }
    if (isKept) {
      kept++;
      each.failingSince = isDown(each) ? (each.failingSince ?? now) : undefined;
      if (each.failingSince !== undefined && now - each.failingSince >= drain)
        Object.assign(each, { isKept: false, end: { earliest: now, latest: now } });
    } else if (lostAt !== undefined && !end && now - lostAt >= patienceFor(each)) due.push(each);
  }
  const isMass = due.length > 0 && recent.length * 2 > present;
  if (isMass) for (const each of recent) Object.assign(each, { isKept: true, end: undefined });
  for (const each of due)
    if (!each.isKept) each.end = { earliest: each.lostAt! + LOSS_WINDOW_MS, latest: now + drain };
  return isMass && kept === 0;

  function patienceFor({ server }: Placement): number {
    return server.source === 'etcd' ? Math.max(patience, LEASES_END_MS) : patience;
  }
}
