/** Finds servers that do not listen where the director sends clients, or may answer from another address. */

import { isIPv6 } from 'node:net';
import { joinEndpoint } from '../../wire/address.ts';
import type { Finding, Served } from './finding.ts';
import type { HostFacts, Listener } from './host-facts.ts';

/** Returns what is wrong with the servers that are to listen on the addresses and ports of `served`. */
export function listenerFindings(
  served: readonly Served[],
  { listeners }: Pick<HostFacts, 'listeners'>,
): Finding[] {
  return served.flatMap((each): Finding[] => {
    const { protocol, address, port, isDirect } = each;
    const end = joinEndpoint(address, port);
    const here = listeners.filter((one) => one.protocol === protocol && one.port === port);
    if (here.some((one) => one.address === address)) return [];
    if (!here.some((one) => hears(one, address)))
      return [
        {
          name: 'no-listener',
          what: `no program listens on ${protocol} ${end}`,
          remedy: `start the server of ${protocol} port ${port}, bound to ${address} or to every address`,
        },
      ];
    if (protocol !== 'udp' || !isDirect) return [];
    return [
      {
        name: 'udp-wildcard',
        what: `the server of udp port ${port} is bound to every address, not to ${address}`,
        remedy: `bind it to ${address}`,
      },
    ];
  });
}

/** Reports whether the listener receives connections to the VIP. ss (iproute2 6.1) prints a dual-stack socket as *, and an IPv6-only one as [::]. */
const hears = ({ address }: Listener, vip: string): boolean =>
  address === '*' || address === (isIPv6(vip) ? '::' : '0.0.0.0');
