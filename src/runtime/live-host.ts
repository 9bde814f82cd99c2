/** The director's host as forwarding methods see it, over a live driver and the kernel's routing tables. */
import type { Host } from '../forwarding/method.ts';
import type { Routes } from '../host/routes.ts';
import type { SourceValidator } from '../host/source-validation.ts';
import type { PacketIo } from '../io/packet-io.ts';

export const liveHost = (
  sender: Pick<PacketIo, 'transmit'>,
  routes: Routes,
  sources: Pick<SourceValidator, 'isValid'>,
): Host => ({
  transmit: (frame, nextHop) => sender.transmit(frame, nextHop),
  route: (to) => routes.route(to),
  isLocal: (address) => routes.isLocal(address),
  isValidSource: (source, destination, ingress) => sources.isValid(source, destination, ingress),
});
