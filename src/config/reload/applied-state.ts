/** What the commands of a document set, in a form that can be compared with what runs. */
import type { Command, MarkRule } from '../../model/command.ts';
import type { DestinationAddress, DestinationOptions } from '../../model/destination.ts';
import { formatService } from '../../model/naming.ts';
import type { ServiceAddress, ServiceOptions } from '../../model/service.ts';
import type { SettingName, Timeouts } from '../../model/settings.ts';
import type { Snapshot } from '../../model/snapshot.ts';

/** A service with its destinations as a director runs them: a part of its snapshot. */
export interface Rule {
  readonly service: ServiceAddress;
  readonly options: ServiceOptions;
  readonly destinations: readonly RuleDestination[];
}
export interface RuleDestination extends DestinationAddress {
  readonly options: DestinationOptions;
  /** It is the director itself: which method was asked for cannot be seen, and does not matter. */
  readonly local?: boolean;
}

export interface Applied {
  readonly rules: readonly Rule[];
  readonly settings: Readonly<Partial<Record<SettingName, number>>>;
  /** Those that are not left as they are. */
  readonly timeouts: Readonly<Partial<Timeouts>>;
  readonly marks: readonly MarkRule[];
}

/** What a fresh director has that these commands, those of a document, were applied to. */
export function appliedOf(commands: readonly Command[]): Applied {
  const rules = new Map<string, Rule & { readonly destinations: RuleDestination[] }>();
  const settings: Partial<Record<SettingName, number>> = {};
  let timeouts: Partial<Timeouts> = {};
  let marks: readonly MarkRule[] = [];
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
      default: // a document has no others
    }
  return { rules: [...rules.values()], settings, timeouts, marks };
}

/** The rules that a director runs. */
export function rulesRunning(snapshot: Pick<Snapshot, 'services'>): Rule[] {
  return snapshot.services.map(({ service, options, destinations }) => ({
    service,
    options,
    destinations: destinations.map((each) => {
      const { address, port, method, upperThreshold, lowerThreshold, tunnel } = each;
      // What a health check makes of the weight is not what was asked for.
      const weight = each.check?.weight ?? each.weight;
      const options = { method, weight, upperThreshold, lowerThreshold, tunnel };
      return { address, port, options };
    }),
  }));
}
