/** Every forwarding method by name. */
import type { ForwardingMethodName } from '../model/destination.ts';
import { dr } from './dr.ts';
import { local } from './local.ts';
import type { ForwardingMethod } from './method.ts';
import { nat } from './nat.ts';
import { tunnel } from './tunnel.ts';

export const forwardingMethods: Readonly<Record<ForwardingMethodName, ForwardingMethod>> = {
  masq: nat,
  gatewaying: dr,
  ipip: tunnel,
  local,
};
