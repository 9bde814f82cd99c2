/** The options that each ipvsadm command, and each type of tunnel, allows. */
import { COMMANDS, type CommandName, OPTIONS, type OptionName } from './options.ts';
import { Refusal } from './refusal.ts';

/** x: not allowed. +: required. 1: excludes the other options with a 1 in its column. A dot: optional. */
const NO = 'x';
const MUST = '+';
const ALONE = '1';

// biome-ignore format: a table
const TABLE: Readonly<Record<OptionName, string>> = {
  //                   A E D C R S a e d L Z set start stop
  'numeric':           'x x x x x . x x x . x x   x     x',
  'connection':        'x x x x x x x x x 1 x x   x     x',
  'service-address':   '+ + + x x x + + + 1 . x   x     x',
  'scheduler':         '. . x x x x x x x x x x   x     x',
  'persistent':        '. . x x x x x x x x x x   x     x',
  'netmask':           '. . x x x x x x x x x x   x     x',
  'real-server':       'x x x x x x + + + x x x   x     x',
  'forwarding-method': 'x x x x x x . . x x x x   x     x',
  'weight':            'x x x x x x . . x x x x   x     x',
  'u-threshold':       'x x x x x x . . x x x x   x     x',
  'l-threshold':       'x x x x x x . . x x x x   x     x',
  'mcast-interface':   'x x x x x x x x x x x x   .     x',
  'timeout':           'x x x x x x x x x 1 x x   x     x',
  'daemon':            'x x x x x x x x x 1 x x   x     x',
  'stats':             'x x x x x x x x x . x x   x     x',
  'rate':              'x x x x x x x x x . x x   x     x',
  'thresholds':        'x x x x x x x x x . x x   x     x',
  'persistent-conn':   'x x x x x x x x x . x x   x     x',
  'nosort':            'x x x x x x x x x . x x   x     x',
  'syncid':            'x x x x x x x x x . x x   .     .',
  'exact':             'x x x x x x x x x . x x   x     x',
  'ops':               '. . x x x x x x x x x x   x     x',
  'pe':                '. . x x x x x x x x x x   x     x',
  'sched-flags':       '. . x x x x x x x x x x   x     x',
  'mcast-group':       'x x x x x x x x x x x x   .     x',
  'mcast-port':        'x x x x x x x x x x x x   .     x',
  'mcast-ttl':         'x x x x x x x x x x x x   .     x',
  'sync-maxlen':       'x x x x x x x x x x x x   .     x',
  'tun-info':          'x x x x x x x x x . x x   x     x',
  'tun-type':          'x x x x x x . . x x x x   x     x',
  'tun-port':          'x x x x x x . . x x x x   x     x',
  'tun-nocsum':        'x x x x x x . . x x x x   x     x',
  'tun-csum':          'x x x x x x . . x x x x   x     x',
  'tun-remcsum':       'x x x x x x . . x x x x   x     x',
};

export type TunnelType = 'ipip' | 'gue' | 'gre';
type TunnelOption = 'tun-port' | 'tun-nocsum' | 'tun-csum' | 'tun-remcsum';

// biome-ignore format: a table
const TUNNELS: Readonly<Record<TunnelOption, Readonly<Record<TunnelType, string>>>> = {
  'tun-port':    { ipip: 'x', gue: '+', gre: 'x' },
  'tun-nocsum':  { ipip: 'x', gue: '1', gre: '1' },
  'tun-csum':    { ipip: 'x', gue: '1', gre: '1' },
  'tun-remcsum': { ipip: 'x', gue: '1', gre: 'x' },
};

/** Options of tunnels. */
export const TUNNEL_OPTIONS: readonly OptionName[] = [
  'tun-type',
  ...(Object.keys(TUNNELS) as TunnelOption[]),
];

/** Returns the rule of an option and a command: `+`, `x`, `1` or `.`. */
export const ruleOf = (option: OptionName, command: CommandName): string =>
  TABLE[option].split(/ +/)[COMMANDS.indexOf(command)]!;

/** Throws the refusal of the first option that is missing, not allowed, or excluded by another one. */
export function checkOptions(command: CommandName, given: ReadonlySet<OptionName>): void {
  check(OPTIONS, given, (option) => ruleOf(option, command), `'${command}' command`);
  const special = given.has('connection') || given.has('timeout') || given.has('daemon');
  if (command !== 'list' || !special) return;
  const layouts: OptionName[] = ['stats', 'rate', 'thresholds'];
  if (!given.has('connection')) layouts.push('persistent-conn');
  if (layouts.some((layout) => given.has(layout))) throw new Refusal('options conflicts in the list command');
}

/** Returns the checks the options of a tunnel like `checkOptions`. */
export function checkTunnelOptions(type: TunnelType, given: ReadonlySet<OptionName>): void {
  const options = Object.keys(TUNNELS) as TunnelOption[];
  check(options, given, (option) => TUNNELS[option][type], `'${type}' tunnel type`);
}

function check<O extends OptionName>(
  options: readonly O[],
  given: ReadonlySet<OptionName>,
  rule: (option: O) => string,
  where: string,
): void {
  let exclusive: O | undefined;
  for (const option of options) {
    const is = rule(option);
    if (!given.has(option)) {
      if (is === MUST) throw new Refusal(`You need to supply the '${option}' option for the ${where}`);
      continue;
    }
    if (is === NO) throw new Refusal(`Illegal '${option}' option with the ${where}`);
    if (is !== ALONE) continue;
    if (exclusive !== undefined)
      throw new Refusal(`The option '${option}' conflicts with the '${exclusive}' option in the ${where}`);
    exclusive = option;
  }
}
