/**
 * Formats the director's rules as command lines for `ipvsadm -R`: `ipvsadm -S`. Like the original, omits
 * thresholds.
 */
import type { TunnelOptions } from '../model/destination.ts';
import { familyOfService } from '../model/naming.ts';
import type { ServiceAddress, ServiceOptions } from '../model/service.ts';
import { type DestinationSnapshot, inRules, type Snapshot } from '../model/snapshot.ts';
import { sortDestinations, sortServices } from './order.ts';
import { formatSchedulerFlags } from './scheduler-flags.ts';
import { type EndpointText, markText, maskText, protocolOf } from './text.ts';

/** Yields one service with its destinations at a time. */
export async function* saveRules(
  snapshot: Pick<Snapshot, 'services'>,
  text: EndpointText,
): AsyncGenerator<string> {
  for (const service of sortServices(inRules(snapshot.services))) {
    const name = await serviceText(service.service, text);
    let lines = `-A ${name}${optionsText(service)}\n`;
    for (const destination of sortDestinations(service.destinations)) {
      const at = await text(destination.address, destination.port, protocolOf(service.service));
      lines += `-a ${name} -r ${at}${destinationText(destination)}\n`;
    }
    yield lines;
  }
}

const SPELLED = { tcp: '-t', udp: '-u', sctp: '--sctp-service' } as const;

/** Returns the service in the form of -A and -a. */
export async function serviceText(service: ServiceAddress, text: EndpointText): Promise<string> {
  if ('mark' in service) return `-f ${markText(service.mark)}${service.family === 6 ? ' -6' : ''}`;
  return `${SPELLED[service.protocol]} ${await text(service.address, service.port, service.protocol)}`;
}

/** Returns the options of -A. */
export function optionsText({
  service,
  options,
}: {
  service: ServiceAddress;
  options: ServiceOptions;
}): string {
  const { scheduler, schedulerFlags = 0, persistent = 0, engine, ops } = options;
  const mask = maskText(options, familyOfService(service));
  return [
    ` -s ${scheduler}`,
    persistent !== 0 && ` -p ${persistent}`,
    mask !== undefined && ` -M ${mask}`,
    engine !== undefined && ` --pe ${engine}`,
    ops && ' -o',
    schedulerFlags !== 0 && ` -b ${formatSchedulerFlags(schedulerFlags, scheduler)}`,
  ]
    .filter((part) => typeof part === 'string')
    .join('');
}

/** The director itself as a destination is saved as -g: added again, it becomes local again. */
const METHOD = { nat: '-m', tunnel: '-i', dr: '-g' } as const;
const CHECKSUM = { none: '--tun-nocsum', csum: '--tun-csum', remcsum: '--tun-remcsum' } as const;

/** Returns the options of -a, without thresholds. */
export function destinationText({
  method,
  weight,
  tunnel,
}: Pick<DestinationSnapshot, 'method' | 'weight'> & { tunnel: TunnelOptions }): string {
  const text = ` ${METHOD[method]} -w ${weight}`;
  if (method !== 'tunnel') return text;
  if (tunnel.type === 'ipip') return `${text} --tun-type ipip`;
  const port = tunnel.type === 'gue' ? ` --tun-port ${tunnel.port}` : '';
  return `${text} --tun-type ${tunnel.type}${port} ${CHECKSUM[tunnel.checksum]}`;
}
