/** The grammar of ipvsadm 1.31: commands, options, their spellings and arguments. */

/** none: a switch; required: takes the next word; optional: takes it unless it begins with `-`. */
export type Argument = 'none' | 'required' | 'optional';

export const COMMANDS = [
  'add-service',
  'edit-service',
  'delete-service',
  'flush',
  'restore',
  'save',
  'add-server',
  'edit-server',
  'delete-server',
  'list',
  'zero',
  'set',
  'start-daemon',
  'stop-daemon',
] as const;

/** A command, by its name in messages. */
export type CommandName = (typeof COMMANDS)[number];

/** All options, by their names in messages, in the order in which they are checked. */
export const OPTIONS = [
  'numeric',
  'connection',
  'service-address',
  'scheduler',
  'persistent',
  'netmask',
  'real-server',
  'forwarding-method',
  'weight',
  'u-threshold',
  'l-threshold',
  'mcast-interface',
  'timeout',
  'daemon',
  'stats',
  'rate',
  'thresholds',
  'persistent-conn',
  'nosort',
  'syncid',
  'exact',
  'ops',
  'pe',
  'sched-flags',
  'mcast-group',
  'mcast-port',
  'mcast-ttl',
  'sync-maxlen',
  'tun-info',
  'tun-type',
  'tun-port',
  'tun-nocsum',
  'tun-csum',
  'tun-remcsum',
] as const;

/** An option, by its name in messages. Several spellings may exist. */
export type OptionName = (typeof OPTIONS)[number];

/** One spelling on the command line. */
export interface Spelling {
  readonly long: string;
  /** One letter, or empty. */
  readonly short: string;
  readonly argument: Argument;
  readonly meaning:
    | { readonly command: CommandName | 'help' | 'version' }
    | { readonly option: OptionName; readonly value?: string }
    /** May be repeated. */
    | { readonly free: 'ipv6' | 'sort' };
}

const command = (
  long: string,
  short: string,
  name: CommandName | 'help' | 'version',
  argument: Argument = 'none',
): Spelling => ({ long, short, argument, meaning: { command: name } });

const option = (
  long: string,
  short: string,
  argument: Argument,
  name: OptionName = long as OptionName,
  value?: string,
): Spelling => ({
  long,
  short,
  argument,
  meaning: value === undefined ? { option: name } : { option: name, value },
});

// biome-ignore format: a table
export const SPELLINGS: readonly Spelling[] = [
  command('add-service', 'A', 'add-service'),
  command('edit-service', 'E', 'edit-service'),
  command('delete-service', 'D', 'delete-service'),
  command('clear', 'C', 'flush'),
  command('list', 'L', 'list'),
  command('list', 'l', 'list'),
  command('zero', 'Z', 'zero'),
  command('add-server', 'a', 'add-server'),
  command('edit-server', 'e', 'edit-server'),
  command('delete-server', 'd', 'delete-server'),
  command('set', '', 'set'),
  command('help', 'h', 'help'),
  command('version', 'v', 'version'),
  command('restore', 'R', 'restore'),
  command('save', 'S', 'save'),
  command('start-daemon', '', 'start-daemon', 'required'),
  command('stop-daemon', '', 'stop-daemon', 'required'),
  option('tcp-service', 't', 'required', 'service-address', 'tcp'),
  option('udp-service', 'u', 'required', 'service-address', 'udp'),
  option('sctp-service', '', 'required', 'service-address', 'sctp'),
  option('fwmark-service', 'f', 'required', 'service-address', 'mark'),
  option('scheduler', 's', 'required'),
  option('persistent', 'p', 'optional'),
  option('netmask', 'M', 'required'),
  option('real-server', 'r', 'required'),
  option('masquerading', 'm', 'none', 'forwarding-method', 'nat'),
  option('ipip', 'i', 'none', 'forwarding-method', 'tunnel'),
  option('gatewaying', 'g', 'none', 'forwarding-method', 'dr'),
  option('weight', 'w', 'required'),
  option('u-threshold', 'x', 'required'),
  option('l-threshold', 'y', 'required'),
  option('numeric', 'n', 'none'),
  option('connection', 'c', 'none'),
  option('mcast-interface', '', 'required'),
  option('mcast-group', '', 'required'),
  option('mcast-port', '', 'required'),
  option('mcast-ttl', '', 'required'),
  option('syncid', '', 'required'),
  option('sync-maxlen', '', 'required'),
  option('timeout', '', 'none'),
  option('daemon', '', 'none'),
  option('stats', '', 'none'),
  option('rate', '', 'none'),
  option('thresholds', '', 'none'),
  option('persistent-conn', '', 'none'),
  option('nosort', '', 'none'),
  option('exact', 'X', 'none'),
  option('ops', 'o', 'none'),
  option('pe', '', 'required'),
  option('sched-flags', 'b', 'required'),
  option('tun-info', '', 'none'),
  option('tun-type', '', 'required'),
  option('tun-port', '', 'required'),
  option('tun-nocsum', '', 'none'),
  option('tun-csum', '', 'none'),
  option('tun-remcsum', '', 'none'),
  { long: 'ipv6', short: '6', argument: 'none', meaning: { free: 'ipv6' } },
  { long: 'sort', short: '', argument: 'none', meaning: { free: 'sort' } },
];
