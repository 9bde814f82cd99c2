/** Runs the programs of the configuration when the health of a destination or a service changes. */
import type { ServiceEvent } from '../checks/members.ts';
import type { Notifier, NotifyFailure } from '../checks/notifier.ts';
import type { Policy } from '../checks/policy.ts';
import type { HealthEvent } from '../checks/watch.ts';
import { formatDestination, formatService } from '../model/naming.ts';
import type { ServiceAddress } from '../model/service.ts';
import type { ConfiguredNames } from './configuration/configured-names.ts';
import type { Log } from './log.ts';

/** Runs the program of a destination that went down or came up; other changes of its weight have none. */
export function notifyDestination(
  notifier: Notifier,
  { service, destination, from, to, weight, cause }: HealthEvent,
  policy: Policy | undefined,
  names: ConfiguredNames,
): void {
  if ((from === 'down') === (to === 'down')) return;
  const event = to === 'down' ? 'destination-down' : 'destination-up';
  const endpoint = formatDestination(destination);
  const own = policy?.destinationNotify?.get(endpoint);
  notifier.run(own?.[event] ? own : policy?.notify, {
    event,
    object: `${formatService(service)} ${endpoint}`,
    facts: {
      ...serviceFacts(service, names),
      LVS_DESTINATION: endpoint,
      LVS_DESTINATION_NAME: names.of(service, destination).server ?? '',
      LVS_DESTINATION_ADDRESS: destination.address,
      LVS_DESTINATION_PORT: String(destination.port),
      LVS_WEIGHT: String(weight),
      // The server may have sent it; a NUL would end the variable.
      LVS_CAUSE: cause.replaceAll('\0', ''),
    },
  });
}

/** Runs the program of a service whose quorum or last destination has changed. */
export function notifyService(
  notifier: Notifier,
  { service, event, weight, policy }: ServiceEvent,
  names: ConfiguredNames,
): void {
  notifier.run(policy.notify, {
    event,
    object: formatService(service),
    facts: { ...serviceFacts(service, names), LVS_WEIGHT: String(weight), LVS_QUORUM: String(policy.quorum) },
  });
}

/** Logs a program that failed. */
export const logNotifyFailure = ({ event, object, program, why }: NotifyFailure, log: Log): void =>
  log('error', 'notify-failed', { for: event, object, program, error: why });

function serviceFacts(service: ServiceAddress, names: ConfiguredNames): Readonly<Record<string, string>> {
  const name = { LVS_SERVICE: formatService(service), LVS_SERVICE_NAME: names.of(service).service ?? '' };
  return 'mark' in service
    ? { ...name, LVS_MARK: String(service.mark) }
    : {
        ...name,
        LVS_PROTOCOL: service.protocol,
        LVS_VIRTUAL_ADDRESS: service.address,
        LVS_VIRTUAL_PORT: String(service.port),
      };
}
