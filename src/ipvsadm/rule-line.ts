/** Formats a command as a line for `ipvsadm -R`, thresholds included; numbers, no names. */
import type { Command, SyncDaemon } from '../model/command.ts';
import type { DestinationOptions } from '../model/destination.ts';
import type { ServiceAddress } from '../model/service.ts';
import { joinEndpoint } from '../wire/address.ts';
import { destinationText, optionsText, serviceText } from './rules.ts';

const PLAIN = { type: 'ipip', port: 0, checksum: 'none' } as const;

/** Returns the line; undefined when the rules cannot express the command. */
export async function ruleLine(command: Command): Promise<string | undefined> {
  switch (command.op) {
    case 'add-service':
      return `-A ${await nameText(command.service)}${optionsText(command)}`;
    case 'add-destination': {
      const { service, destination, options } = command;
      const at = await joinEndpoint(destination.address, destination.port);
      return `-a ${await nameText(service)} -r ${at}${destinationOptionsText(options)}`;
    }
    case 'set-timeouts': {
      const { tcp, tcpFin, udp } = command.timeouts;
      return `--set ${tcp} ${tcpFin} ${udp}`;
    }
    default:
      return undefined;
  }
}

/** Returns the arguments of ipvsadm that start a sync daemon. */
export function daemonLine({ role, interface: device, syncId, ...daemon }: SyncDaemon): string {
  const { group, port, ttl, maxLength } = daemon;
  const options = { 'mcast-group': group, 'mcast-port': port, 'mcast-ttl': ttl, 'sync-maxlen': maxLength };
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  const rest = given.map(([name, value]) => ` --${name} ${value}`).join('');
  return `--start-daemon ${role} --mcast-interface ${device} --syncid ${syncId}${rest}`;
}

/**
 * Returns the name as in -S, except for marks above 2147483647: they are negative there, and no ipvsadm
 * accepts that.
 */
const nameText = async (service: ServiceAddress): Promise<string> =>
  'mark' in service
    ? `-f ${service.mark}${service.family === 6 ? ' -6' : ''}`
    : await serviceText(service, joinEndpoint);

function destinationOptionsText({
  method,
  weight = 1,
  tunnel = PLAIN,
  upperThreshold = 0,
  lowerThreshold = 0,
}: DestinationOptions): string {
  const text = destinationText({ method, weight, tunnel });
  const upper = upperThreshold > 0 ? ` -x ${upperThreshold}` : '';
  const lower = lowerThreshold > 0 ? ` -y ${lowerThreshold}` : '';
  return `${text}${upper}${lower}`;
}
