/** Converts the options of a command line to a command for the director, and checks their combination. */
import type { Command } from '../model/command.ts';
import type { DestinationOptions, TunnelOptions } from '../model/destination.ts';
import type { ServiceOptions } from '../model/service.ts';
import { type Draft, serviceOf } from './draft.ts';
import { checkTunnelOptions, TUNNEL_OPTIONS } from './matrix.ts';
import { dotted } from './numbers.ts';
import type { CommandName } from './options.ts';
import { Refusal } from './refusal.ts';

type Applied = Exclude<CommandName, 'list' | 'save' | 'restore'>;

/** Returns the command. Throws a Refusal for contradicting options. */
export function commandOf(draft: Draft, name: Applied): Command {
  switch (name) {
    case 'add-service':
    case 'edit-service':
      return { op: name, service: serviceOf(draft), options: serviceOptions(draft) };
    case 'delete-service':
      return { op: name, service: serviceOf(draft) };
    case 'add-server':
    case 'edit-server': {
      const options = destinationOptions(draft);
      const destination = { address: draft.server!.address, port: destinationPort(draft) };
      const op = name === 'add-server' ? 'add-destination' : 'edit-destination';
      return { op, service: serviceOf(draft), destination, options };
    }
    case 'delete-server': {
      const { address, port } = draft.server!;
      return { op: 'delete-destination', service: serviceOf(draft), destination: { address, port } };
    }
    case 'flush':
      return { op: 'flush' };
    case 'zero':
      return draft.given.has('service-address') ? { op: 'zero', service: serviceOf(draft) } : { op: 'zero' };
    case 'set': {
      const [tcp, tcpFin, udp] = draft.timeouts;
      return { op: 'set-timeouts', timeouts: { tcp, tcpFin, udp } };
    }
    case 'start-daemon':
      return { op: name, daemon: daemonOf(draft) };
    case 'stop-daemon':
      return { op: name, role: draft.role };
  }
}

function serviceOptions(draft: Draft): ServiceOptions {
  if (draft.mark === 0 && draft.port === 0 && draft.persistent === 0)
    throw new Refusal('Zero port specified for non-persistent service');
  const ops = draft.given.has('ops');
  if (ops && draft.mark === 0 && draft.protocol !== 'udp')
    throw new Refusal('One-Packet Scheduling is only for UDP virtual services');
  return {
    scheduler: draft.scheduler,
    ...(draft.flags !== 0 && { schedulerFlags: draft.flags }),
    ...(draft.persistent !== 0 && { persistent: draft.persistent, ...granularity(draft) }),
    ...(draft.engine !== '' && { engine: draft.engine }),
    ...(ops && { ops }),
  };
}

function granularity({ mask, family }: Draft): Partial<ServiceOptions> {
  if (mask === undefined) return {};
  if (family === 6) return mask === 128 ? {} : { persistencePrefix: mask };
  const bits = Math.clz32(~mask);
  if (bits === 32) return {};
  const isPrefix = (mask << bits) >>> 0 === 0;
  return isPrefix ? { persistencePrefix: bits } : { persistenceMask: dotted(mask) };
}

function destinationOptions(draft: Draft): DestinationOptions {
  const { method, given } = draft;
  if (draft.server!.family !== draft.family && method !== 'tunnel')
    throw new Refusal('Different address family is allowed only for tunneling servers');
  if (method !== 'tunnel' && TUNNEL_OPTIONS.some((option) => given.has(option)))
    throw new Refusal('Tunnel options conflict with forward method');
  if (method === 'tunnel') checkTunnelOptions(draft.tunnelType, given);
  return {
    method,
    weight: draft.weight,
    upperThreshold: draft.upper,
    lowerThreshold: draft.lower,
    ...(method === 'tunnel' && { tunnel: tunnelOf(draft) }),
  };
}

function tunnelOf({ given, tunnelType, tunnelPort }: Draft): TunnelOptions {
  const checksum = given.has('tun-csum') ? 'csum' : given.has('tun-remcsum') ? 'remcsum' : 'none';
  return { type: tunnelType, port: tunnelPort, checksum };
}

/** Returns the destination's port: without address translation, that of the service. */
const destinationPort = (draft: Draft): number =>
  draft.mark !== 0 || draft.method === 'nat' ? draft.server!.port : draft.port;

const daemonOf = (draft: Draft) => ({
  role: draft.role,
  syncId: draft.syncId,
  interface: draft.interface,
  ...(draft.maxLength !== 0 && { maxLength: draft.maxLength }),
  ...(draft.group !== '' && { group: draft.group }),
  ...(draft.mcastPort !== 0 && { port: draft.mcastPort }),
  ...(draft.ttl !== 0 && { ttl: draft.ttl }),
});
