/**
 * Direct routing (-g): the packet is unchanged, and its next hop is the real server. Replies bypass the
 * director.
 */
import { enterHop, refuseUnreachable, sendOn } from './hop.ts';
import type { ForwardingMethod } from './method.ts';

export const dr: ForwardingMethod = {
  request(packet, connection, context) {
    const nextHop = connection.destination.address;
    const route = context.host.route(nextHop);
    if (route === undefined) return refuseUnreachable(packet, packet.dst, context);
    const refusal = enterHop(packet, route.mtu, false, packet.dst, context);
    return refusal ?? sendOn(packet.frame, nextHop, route.mtu, context);
  },
};
