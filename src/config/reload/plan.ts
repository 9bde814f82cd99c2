/** The steps of a reload, with the live connections that each step affects. */
import type { Command, SyncDaemon } from '../../model/command.ts';
import type { DestinationOptions } from '../../model/destination.ts';
import { formatDestination, formatRule, formatService } from '../../model/naming.ts';
import type { ServiceOptions } from '../../model/service.ts';
import type { DestinationSnapshot, ServiceSnapshot, Snapshot } from '../../model/snapshot.ts';
import { SYNC_DEFAULTS } from '../../model/sync-defaults.ts';
import type { Reconciliation } from './reconcile.ts';

export interface Step {
  readonly kind: 'add' | 'change' | 'remove';
  /** The object: `tcp 192.168.0.101:80 -> 192.168.0.3:80`. */
  readonly what: string;
  /** The change. */
  readonly how: string;
  /** Live connections of the object. */
  readonly connections: number;
}

export function stepsOf(snapshot: Snapshot, { commands, drains }: Reconciliation, drain: number): Step[] {
  const services = new Map(snapshot.services.map((each) => [formatService(each.service), each]));
  const removed = new Set(drains.map((each) => nameOf(each)));
  const steps = withoutRestarts(commands).flatMap(
    (command) => stepOf(command, snapshot, services, removed) ?? [],
  );
  for (const each of drains) {
    const service = services.get(formatService(each.service));
    const destination = each.destination && find(service, formatDestination(each.destination));
    const connections = destination ? live(destination) : 0;
    const how =
      each.destination === undefined
        ? 'when its destinations are removed'
        : connections > 0
          ? `no new connections, removed when its connections end, at the latest after ${drain} s`
          : 'idle';
    steps.push({ kind: 'remove', what: nameOf(each), how, connections });
  }
  return steps;
}

function stepOf(
  command: Command,
  snapshot: Snapshot,
  services: ReadonlyMap<string, ServiceSnapshot>,
  removed: ReadonlySet<string>,
): Step | undefined {
  switch (command.op) {
    case 'add-service': {
      const how = serviceWords(command.options).join(', ');
      return { kind: 'add', what: formatService(command.service), how, connections: 0 };
    }
    case 'edit-service': {
      const service = services.get(formatService(command.service));
      const how = difference(service ? serviceWords(service.options) : [], serviceWords(command.options));
      const connections = (service?.destinations ?? []).reduce((sum, each) => sum + live(each), 0);
      return {
        kind: 'change',
        what: formatService(command.service),
        how: `${how}; connections are kept`,
        connections,
      };
    }
    case 'add-destination': {
      const how = destinationWords(command.options).join(', ');
      return { kind: 'add', what: nameOf(command), how, connections: 0 };
    }
    case 'edit-destination': {
      if (removed.has(nameOf(command))) return undefined; // part of a removal
      const now = find(services.get(formatService(command.service)), formatDestination(command.destination));
      const how = difference(now ? destinationWords(now) : [], destinationWords(command.options));
      const connections = now ? live(now) : 0;
      return { kind: 'change', what: nameOf(command), how: `${how}; connections are kept`, connections };
    }
    case 'set': {
      const how = `${snapshot.settings[command.name]} -> ${command.value}`;
      return { kind: 'change', what: `setting ${command.name}`, how, connections: 0 };
    }
    case 'set-timeouts': {
      const names = (['tcp', 'tcpFin', 'udp'] as const).filter((name) => command.timeouts[name] > 0);
      const how = names
        .map((name) => `${name} ${snapshot.timeouts[name]} s -> ${command.timeouts[name]} s`)
        .join(', ');
      return { kind: 'change', what: 'timeouts', how, connections: snapshot.table.connections };
    }
    case 'set-marks':
      return { kind: 'change', what: 'marks', how: `${command.rules.length} rules`, connections: 0 };
    case 'start-daemon': {
      const { daemon } = command;
      const now = snapshot.daemons.find(({ role }) => role === daemon.role);
      const how = now ? difference(daemonWords(now), daemonWords(daemon)) : daemonWords(daemon).join(', ');
      return { kind: now ? 'change' : 'add', what: daemonName(daemon.role), how, connections: 0 };
    }
    case 'stop-daemon':
      return { kind: 'remove', what: daemonName(command.role), how: 'connections are kept', connections: 0 };
    default:
      return undefined; // a reload has no other commands
  }
}

/** A daemon that is changed stops and starts: that is one step. */
function withoutRestarts(commands: readonly Command[]): readonly Command[] {
  const started = commands.flatMap((each) => (each.op === 'start-daemon' ? each.daemon.role : []));
  return commands.filter((each) => each.op !== 'stop-daemon' || !started.includes(each.role));
}

const daemonName = (role: SyncDaemon['role']): string => `${role} sync daemon`;

function daemonWords(daemon: SyncDaemon): string[] {
  const { group, port, ttl, syncId, interface: device, maxLength } = { ...SYNC_DEFAULTS, ...daemon };
  return [
    ...[`interface ${device}`, `syncid ${syncId}`, `group ${group}`, `port ${port}`, `ttl ${ttl}`],
    ...(maxLength === undefined ? [] : [`max-length ${maxLength}`]),
  ];
}

const nameOf = ({ service, destination }: Reconciliation['drains'][number]): string =>
  formatRule(service, destination);

const find = (service: ServiceSnapshot | undefined, endpoint: string): DestinationSnapshot | undefined =>
  service?.destinations.find((each) => formatDestination(each) === endpoint);

const live = ({ activeConnections, inactiveConnections }: DestinationSnapshot): number =>
  activeConnections + inactiveConnections;

/** Returns the words that differ. */
function difference(before: readonly string[], after: readonly string[]): string {
  const gone = before.filter((word) => !after.includes(word));
  const come = after.filter((word) => !before.includes(word));
  return `${gone.join(', ') || 'nothing'} -> ${come.join(', ') || 'nothing'}`;
}

function serviceWords(options: ServiceOptions): string[] {
  const { scheduler, schedulerFlags = 0, persistent = 0, persistencePrefix, engine, ops, helper } = options;
  return [
    scheduler,
    ...(schedulerFlags !== 0 ? [`flags ${schedulerFlags}`] : []),
    ...(persistent !== 0 ? [`persistent ${persistent} s`] : []),
    ...(persistent !== 0 && persistencePrefix !== undefined ? [`by /${persistencePrefix}`] : []),
    ...(engine ? [`by ${engine}`] : []),
    ...(ops ? ['one-packet'] : []),
    ...(helper === 'none' ? ['no helper'] : []),
  ];
}

function destinationWords(options: DestinationOptions): string[] {
  const { method, weight = 1, upperThreshold = 0, lowerThreshold = 0, tunnel } = options;
  const type = method === 'tunnel' && tunnel && tunnel.type !== 'ipip' ? ` ${tunnel.type}` : '';
  return [
    `${method}${type}${type && tunnel?.port ? `:${tunnel.port}` : ''}`,
    ...(type && tunnel?.checksum !== 'none' ? [`${tunnel?.checksum}`] : []),
    `weight ${weight}`,
    ...(upperThreshold > 0 ? [`upper threshold ${upperThreshold}`] : []),
    ...(lowerThreshold > 0 ? [`lower threshold ${lowerThreshold}`] : []),
  ];
}
