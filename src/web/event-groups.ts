/** Groups events of one cause, so that a failed server of many services is one entry. */
import type { LogEvent } from './events.ts';

/** Time between the first and the last event of a group, ms. */
const WINDOW_MS = 60_000;
/** Fields that name the object of an event: they differ within a group. */
const OBJECT = [
  'service',
  'service-name',
  'destination',
  'destination-name',
  'weight',
  'suppressed',
] as const;

export interface EventGroup {
  /** Oldest first, at least one. */
  readonly events: readonly LogEvent[];
  /** What the events have in common. */
  readonly common: LogEvent['fields'];
}

/** Returns the groups of events, the newest group first. `events`: newest last. */
export function groupsOf(events: readonly LogEvent[], most: number): EventGroup[] {
  const groups: {
    readonly key: string;
    readonly from: number;
    readonly events: LogEvent[];
    common: LogEvent['fields'];
  }[] = [];
  for (const event of events) {
    const key = keyOf(event);
    const time = Date.parse(event.time);
    const known = groups.findLast((group) => group.key === key && time - group.from <= WINDOW_MS);
    if (!known) groups.push({ key, from: time, events: [event], common: event.fields });
    else {
      known.events.push(event);
      known.common = commonOf(known.common, event.fields);
    }
  }
  return groups.sort((a, b) => b.events.at(-1)!.id - a.events.at(-1)!.id).slice(0, most);
}

/** Returns the text of an event without its object: equal for events of one cause. */
function keyOf({ event, level, fields }: LogEvent): string {
  const cause = Object.entries(fields).filter(([name]) => !OBJECT.some((each) => each === name));
  return JSON.stringify([event, level, cause]);
}

const commonOf = (one: LogEvent['fields'], other: LogEvent['fields']): LogEvent['fields'] =>
  Object.fromEntries(Object.entries(one).filter(([name, value]) => other[name] === value));
