/** A destination that joined: its state, and the weight that follows from it. Times are ms of one clock. */
import type { DestinationAddress, DestinationOptions } from '../model/destination.ts';
import type { JoinedSource, JoinedState } from '../model/joined.ts';
import type { ServiceAddress } from '../model/service.ts';
import type { ServerState } from './member.ts';

/** Steps of a slow start. */
const STEP_MS = 1000;

/** A server that joined. */
export interface Server {
  readonly name: string;
  /** The run of its agent, and the state that this announced last. */
  run: string;
  state: ServerState;
  /** What has brought its last announcement. */
  source: JoinedSource;
  /** By service and endpoint. */
  readonly placements: Map<string, Placement>;
}

export interface Placement {
  readonly server: Server;
  readonly service: ServiceAddress;
  /** The name of the service. */
  readonly serviceName: string;
  readonly destination: DestinationAddress;
  /** As configured. */
  options: DestinationOptions;
  /** As announced, within the limit of the configuration. */
  weight: number;
  /** When its slow start began; undefined: it takes no connections. */
  since: number | undefined;
  /** Since when it has its state. */
  stateSince: number;
  /** When its server was lost. */
  lostAt: number | undefined;
  /** It takes connections although its server is lost. */
  isKept: boolean;
  /** While it is kept: since when its checks fail. */
  failingSince: number | undefined;
  /** When it is removed at the latest, and at the earliest if it has no connections; undefined: it stays. */
  end: { readonly earliest: number; readonly latest: number } | undefined;
  /** The weight that the director has, before checks change it; undefined: the director does not have the destination. */
  applied: number | undefined;
  /** Someone has removed it from the director's rules: it joins again with the next run of the agent. */
  isRemoved: boolean;
}

export function stateOf({ server, lostAt, isKept, end }: Placement): JoinedState {
  if (isKept) return 'kept';
  if (!end) return server.state;
  return lostAt === undefined || server.state === 'leaving' ? 'leaving' : 'silent';
}

/** Reports whether the weight of a destination is still growing. */
export const isStarting = (placement: Placement, slowStart: number, now: number): boolean =>
  stateOf(placement) === 'up' && weightOf(placement, slowStart, now) < placement.weight;

/** Returns the weight that a destination is to have. `slowStart`: ms in which it grows. */
export function weightOf(placement: Placement, slowStart: number, now: number): number {
  const { server, weight, since, end } = placement;
  if (server.state !== 'up' || end || since === undefined) return 0;
  const grown = Math.floor((now - since) / STEP_MS + 1) * STEP_MS;
  if (weight === 0 || grown >= slowStart) return weight;
  return Math.max(1, Math.round((weight * grown) / slowStart));
}
