/** Sends and receives heartbeats by UDP multicast on the cluster's segment, and joins the groups of its MAC address. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { isIPv6 } from 'node:net';
import { LvsError } from '../../model/errors.ts';
import type { NlbCluster, NlbHost } from '../../model/nlb.ts';
import { HEARTBEAT_PORT, heartbeatGroup } from '../../nlb/cluster-address.ts';
import { formatAddress, isV4, parseAddress } from '../../wire/address.ts';
import { solicitedNode } from '../../wire/ndp.ts';

/** Heartbeats do not leave the segment. */
const TTL = 1;

export interface HeartbeatSocket extends Disposable {
  send(datagram: Uint8Array): void;
}

export interface HeartbeatSocketOptions {
  readonly cluster: NlbCluster;
  readonly host: NlbHost;
  readonly receive: (datagram: Buffer, from: string) => void;
  /** Called with the reason when a heartbeat cannot be sent. */
  readonly failed: (reason: string) => void;
}

/** Throws LvsError IO if the port is in use, or the group cannot be joined. */
export async function openHeartbeatSocket(options: HeartbeatSocketOptions): Promise<HeartbeatSocket> {
  const { cluster, host, receive, failed } = options;
  const family = isIPv6(host.address) ? 6 : 4;
  const group = heartbeatGroup(cluster, family);
  const via = family === 6 ? `::%${cluster.device}` : host.address;
  const socket = createSocket({ type: family === 6 ? 'udp6' : 'udp4', reuseAddr: true });
  socket.on('message', (datagram, { address }) => receive(datagram, address));
  try {
    socket.bind(HEARTBEAT_PORT);
    await once(socket, 'listening');
    socket.addMembership(group, via);
    socket.setMulticastInterface(via);
    socket.setMulticastTTL(TTL);
    socket.setMulticastLoopback(false);
  } catch (cause) {
    socket.close();
    throw new LvsError(
      'IO',
      `heartbeats: cannot join ${group} on ${cluster.device}: ${(cause as Error).message}`,
      { cause },
    );
  }
  socket.on('error', ({ message }) => failed(message));
  const solicitations = joinSolicitedNodes(cluster);
  return {
    send(datagram) {
      socket.send(datagram, HEARTBEAT_PORT, group, (error) => {
        if (error) failed(error.message);
      });
    },
    [Symbol.dispose]() {
      socket.close();
      solicitations?.close();
    },
  };
}

/**
 * Neighbor solicitations for an address are sent to a group of it. The kernel joins the group of addresses of the device
 * only, and the cluster's are on the loopback device.
 */
function joinSolicitedNodes({ addresses, device }: NlbCluster): Socket | undefined {
  const targets = addresses.flatMap((text) => parseAddress(text) ?? []).filter((each) => !isV4(each));
  if (targets.length === 0) return undefined;
  const socket = createSocket('udp6');
  for (const target of targets) socket.addMembership(formatAddress(solicitedNode(target)), `::%${device}`);
  return socket;
}
