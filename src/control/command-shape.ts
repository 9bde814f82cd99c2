/** Validates the shape of commands from the socket. The director validates their values. */
import type { Command } from '../model/command.ts';
import type { ServiceAddress } from '../model/service.ts';
import { VRRP_STATES, VRRP_TYPES } from '../model/vrrp.ts';
import type { DenyRequest } from './operations-api.ts';

type Check = (value: unknown) => boolean;

/** Maximum length of a text, characters; names and addresses are shorter. */
const MAX_TEXT_CHARACTERS = 255;
const MAX_MARK_RULES = 10_000;

const text: Check = (value) => typeof value === 'string' && value.length <= MAX_TEXT_CHARACTERS;
const flag: Check = (value) => typeof value === 'boolean';
const whole: Check = (value) => Number.isSafeInteger(value);
const natural: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
const port: Check = (value) => natural(value) && (value as number) <= 0xffff;
const oneOf =
  (...values: readonly unknown[]): Check =>
  (value) =>
    values.includes(value);
const either =
  (...checks: readonly Check[]): Check =>
  (value) =>
    checks.some((check) => check(value));
const listOf =
  (check: Check, max: number): Check =>
  (value) =>
    Array.isArray(value) && value.length <= max && value.every(check);

/** Returns a check for an object with these fields and no others; a field whose name ends in `?` is optional. */
function record(fields: Readonly<Record<string, Check>>): Check {
  const checks = new Map(Object.entries(fields).map(([name, check]) => [name.replace('?', ''), check]));
  const required = Object.keys(fields).filter((name) => !name.endsWith('?'));
  return (value) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
    return (
      required.every((name) => Object.hasOwn(value, name)) &&
      Object.entries(value).every(([name, field]) => checks.get(name)?.(field) === true)
    );
  };
}

const protocol = oneOf('tcp', 'udp', 'sctp');
const service = either(
  record({ protocol, address: text, port }),
  record({ mark: natural, family: oneOf(4, 6) }),
);
const destination = record({ address: text, port });
const serviceOptions = record({
  scheduler: text,
  'schedulerFlags?': natural,
  'persistent?': natural,
  'persistencePrefix?': natural,
  'persistenceMask?': text,
  'engine?': text,
  'ops?': flag,
  'helper?': oneOf('ftp', 'none'),
});
const destinationOptions = record({
  method: oneOf('nat', 'dr', 'tunnel'),
  'weight?': natural,
  'upperThreshold?': natural,
  'lowerThreshold?': natural,
  'tunnel?': record({
    type: oneOf('ipip', 'gue', 'gre'),
    port,
    checksum: oneOf('none', 'csum', 'remcsum'),
  }),
});
const markRule = record({
  mark: natural,
  'to?': text,
  'from?': text,
  'protocol?': oneOf('tcp', 'udp', 'sctp', 'icmp', 'icmpv6'),
  'port?': either(port, (value) => Array.isArray(value) && value.length === 2 && value.every(port)),
});
const role = oneOf('master', 'backup');
const daemon = record({
  role,
  syncId: natural,
  interface: text,
  'maxLength?': natural,
  'group?': text,
  'port?': port,
  'ttl?': natural,
});

const vrrpInstance = record({
  type: oneOf(...VRRP_TYPES),
  name: text,
  state: oneOf(...VRRP_STATES),
  'priority?': natural,
});

const withService = { op: text, service, options: serviceOptions };
const withDestination = { op: text, service, destination, options: destinationOptions };

const COMMANDS: Readonly<Record<Command['op'], Check>> = {
  'add-service': record(withService),
  'edit-service': record(withService),
  'delete-service': record({ op: text, service }),
  'add-destination': record(withDestination),
  'edit-destination': record(withDestination),
  'delete-destination': record({ op: text, service, destination }),
  flush: record({ op: text }),
  zero: record({ op: text, 'service?': service }),
  'set-timeouts': record({
    op: text,
    timeouts: record({ tcp: natural, tcpFin: natural, udp: natural }),
  }),
  set: record({ op: text, name: text, value: whole }),
  'set-marks': record({ op: text, rules: listOf(markRule, MAX_MARK_RULES) }),
  'start-daemon': record({ op: text, daemon }),
  'stop-daemon': record({ op: text, role }),
  notify: record({ op: text, instance: vrrpInstance, at: natural }),
};

/** Reports whether a value has the shape of a command. */
export function isCommand(value: unknown): value is Command {
  if (typeof value !== 'object' || value === null || !('op' in value)) return false;
  const { op } = value;
  return typeof op === 'string' && Object.hasOwn(COMMANDS, op) && COMMANDS[op as Command['op']](value);
}

/** Reports whether a value has the shape of a service address. */
export const isServiceAddress = (value: unknown): value is ServiceAddress => service(value);

const denyRequest = record({
  address: text,
  'service?': service,
  'seconds?': natural,
  'newOnly?': oneOf(true),
});

export const isDenyRequest = (value: unknown): value is DenyRequest => denyRequest(value);
