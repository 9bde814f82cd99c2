/** All forwarding methods by name. */
import type { ConnectionMethod } from '../model/destination.ts';
import { dr } from './dr.ts';
import type { ForwardingMethod } from './method.ts';
import { nat } from './nat.ts';
import { tunnel } from './tunnel.ts';

export const forwardingMethods: Readonly<Record<ConnectionMethod, ForwardingMethod>> = {
  nat,
  dr,
  tunnel,
  /** The destination is the director itself: its network stack receives the packet. */
  local: { request: () => 'pass', reply: () => 'pass' },
};
