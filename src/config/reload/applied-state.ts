/** The configuration that commands result in, in a form that can be compared with a running director. */
import type { Command, MarkRule, SyncDaemon } from '../../model/command.ts';
import type { DestinationAddress, DestinationOptions } from '../../model/destination.ts';
import { formatService } from '../../model/naming.ts';
import type { ServiceAddress, ServiceOptions } from '../../model/service.ts';
import type { SettingName, Timeouts } from '../../model/settings.ts';
import type { ServiceSnapshot, Snapshot } from '../../model/snapshot.ts';

/** A service with its destinations: a part of a director's snapshot. */
export interface Rule {
  readonly service: ServiceAddress;
  readonly options: ServiceOptions;
  readonly destinations: readonly RuleDestination[];
}
export interface RuleDestination extends DestinationAddress {
  readonly options: DestinationOptions;
  /** Its server has joined: it is in no file, and not a manual change. */
  readonly isJoined?: true;
}

export interface Applied {
  readonly rules: readonly Rule[];
  readonly settings: Readonly<Partial<Record<SettingName, number>>>;
  /** Timeouts that are set. */
  readonly timeouts: Readonly<Partial<Timeouts>>;
  readonly marks: readonly MarkRule[];
  readonly daemons: readonly SyncDaemon[];
}

/** Returns the configuration of a new director after these commands of a document. */
export function appliedOf(commands: readonly Command[]): Applied {
  const rules = new Map<string, Rule & { readonly destinations: RuleDestination[] }>();
  const settings: Partial<Record<SettingName, number>> = {};
  let timeouts: Partial<Timeouts> = {};
  let marks: readonly MarkRule[] = [];
  const daemons: SyncDaemon[] = [];
  for (const command of commands)
    switch (command.op) {
      case 'add-service': {
        const { service, options } = command;
        rules.set(formatService(service), { service, options, destinations: [] });
        break;
      }
      case 'add-destination': {
        const { service, destination, options } = command;
        rules.get(formatService(service))?.destinations.push({ ...destination, options });
        break;
      }
      case 'set':
        settings[command.name] = command.value;
        break;
      case 'set-timeouts':
        timeouts = Object.fromEntries(Object.entries(command.timeouts).filter(([, seconds]) => seconds > 0));
        break;
      case 'set-marks':
        marks = command.rules;
        break;
      case 'start-daemon':
        daemons.push(command.daemon);
        break;
      default: // a document has no other commands
    }
  return { rules: [...rules.values()], settings, timeouts, marks, daemons };
}

/** Returns the rules that a director runs. */
export const rulesRunning = ({ services }: Pick<Snapshot, 'services'>): Rule[] => services.map(ruleOf);

/**
 * Returns a running service as a rule: as it is configured, not as health checks and quorum have changed it. Sorry
 * servers are no rules.
 */
export const ruleOf = ({ service, options, destinations }: ServiceSnapshot): Rule => ({
  service,
  options,
  destinations: destinations
    .filter((each) => !each.sorry)
    .map((each) => {
      const { address, port, method, upperThreshold, lowerThreshold, tunnel } = each;
      const weight = each.check?.weight ?? each.configuredWeight ?? each.weight;
      const options = { method, weight, upperThreshold, lowerThreshold, tunnel };
      return { address, port, options, ...(each.joined && { isJoined: true }) };
    }),
});
