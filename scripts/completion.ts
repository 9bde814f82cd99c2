/**
 * Writes completion for bash and zsh to a folder, from the options of the programs: node dist/scripts/completion.js
 * FOLDER. The files are static, so that a completion does not wait for the start of Node.js.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command, Option } from 'commander';
import { program as director } from '../src/cli/director/program.ts';
import { program as realserver } from '../src/cli/realserver/program.ts';
import { SPELLINGS, type Spelling } from '../src/ipvsadm/options.ts';
import { schedulers } from '../src/schedulers/index.ts';
import { meaningOf } from './ipvsadm-help.ts';

type Value = { readonly choices: readonly string[] } | 'file' | 'text' | 'none';

/** Returns what follows an option. */
function valueAfter({ argChoices, flags, required, optional }: Option): Value {
  if (argChoices) return { choices: argChoices };
  if (/<(?:file|path|folder)>/.test(flags)) return 'file';
  return required || optional ? 'text' : 'none';
}

const commandsOf = (program: Command): Command[] => program.commands.filter((each) => each.name() !== 'help');
const optionsOf = (command: Command): readonly Option[] => command.createHelp().visibleOptions(command);
const namesOf = ({ short, long }: Option): string[] => [short, long].filter((name) => name !== undefined);
const takesFile = (command: Command): boolean =>
  command.registeredArguments.some((argument) => argument.name() === 'file');

function bash(program: Command): string {
  const name = program.name();
  const fn = `_${name.replaceAll('-', '_')}`;
  const commands = commandsOf(program);
  const cases = commands.map((command) => {
    const values = optionsOf(command).flatMap((option) => {
      const value = valueAfter(option);
      if (value === 'none') return [];
      const words = namesOf(option).join('|');
      if (value === 'text') return [`      ${words}) return ;;`];
      return typeof value === 'object'
        ? [`      ${words}) COMPREPLY=($(compgen -W '${value.choices.join(' ')}' -- "$current")); return ;;`]
        : [
            `      ${words}) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$current")); return ;;`,
          ];
    });
    const files = takesFile(command)
      ? [
          '    [[ $current == -* ]] || { compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$current")); return; }',
        ]
      : [];
    const all = optionsOf(command).flatMap(namesOf).join(' ');
    return [
      `  ${command.name()})`,
      ...(values.length > 0 ? ['    case $previous in', ...values, '    esac'] : []),
      ...files,
      `    COMPREPLY=($(compgen -W '${all}' -- "$current")) ;;`,
    ].join('\n');
  });
  return `# bash completion for ${name}
${fn}() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]}
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    COMPREPLY=($(compgen -W '${[...commands.map((each) => each.name()), '--help', '--version'].join(' ')}' -- "$current"))
    return
  fi
  case \${COMP_WORDS[1]} in
${cases.join('\n')}
  esac
}
complete -F ${fn} ${name}
`;
}

/** Text within a single-quoted specification of _arguments. */
const zshText = (text: string): string =>
  text.replace(/[[\]:\\]/g, (character) => `\\${character}`).replaceAll("'", "'\\''");

function zshOption(option: Option): string {
  const value = valueAfter(option);
  const action = {
    none: '',
    text: `:${option.attributeName()}: `,
    file: `:${option.attributeName()}:_files`,
  };
  const words =
    typeof value === 'object'
      ? `:${option.attributeName()}:(${value.choices.join(' ')})`
      : action[value as Exclude<Value, object>];
  const names = namesOf(option);
  const first = names.length > 1 ? `'(${names.join(' ')})'{${names.join(',')}}` : `'${names[0]}`;
  const open = names.length > 1 ? "'" : '';
  return `        ${first}${open}[${zshText(option.description)}]${words}'`;
}

function zsh(program: Command): string {
  const name = program.name();
  const commands = commandsOf(program);
  const list = commands.map((each) => `      '${each.name()}:${zshText(each.description())}'`);
  const cases = commands.map((command) =>
    [
      `    ${command.name()})`,
      '      _arguments \\',
      [...optionsOf(command).map(zshOption), ...(takesFile(command) ? ["        '1:file:_files'"] : [])].join(
        ' \\\n',
      ),
      '      ;;',
    ].join('\n'),
  );
  return `#compdef ${name}
# zsh completion for ${name}
local state line
_arguments -C '1:command:->command' '*::argument:->argument'
case $state in
  command)
    local -a commands=(
${list.join('\n')}
    )
    _describe command commands
    ;;
  argument)
    case $words[1] in
${cases.join('\n')}
    esac
    ;;
esac
`;
}

/** Values of options of ipvsadm that are one of a few. */
const IPVSADM_CHOICES: Readonly<Record<string, readonly string[]>> = {
  scheduler: Object.keys(schedulers),
  pe: ['sip'],
  'tun-type': ['ipip', 'gue', 'gre'],
  'start-daemon': ['master', 'backup'],
  'stop-daemon': ['master', 'backup'],
};
const spellingsOf = ({ long, short }: Spelling): string[] => [...(short ? [`-${short}`] : []), `--${long}`];

function bashIpvsadm(): string {
  const values = SPELLINGS.filter(({ argument }) => argument === 'required').map((spelling) => {
    const choices = IPVSADM_CHOICES[spelling.long];
    const reply = choices ? `COMPREPLY=($(compgen -W '${choices.join(' ')}' -- "$current")); ` : '';
    return `    ${spellingsOf(spelling).join('|')}) ${reply}return ;;`;
  });
  return `# bash completion for ipvsadm
_ipvsadm() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]}
  COMPREPLY=()
  case $previous in
${values.join('\n')}
  esac
  COMPREPLY=($(compgen -W '${[...new Set(SPELLINGS.flatMap(spellingsOf))].join(' ')}' -- "$current"))
}
complete -F _ipvsadm ipvsadm
`;
}

function zshIpvsadm(): string {
  const specifications = SPELLINGS.flatMap((spelling) => {
    const { long, argument } = spelling;
    const values = IPVSADM_CHOICES[long];
    const value = argument === 'required' ? `:${long}:${values ? `(${values.join(' ')})` : ' '}` : '';
    return spellingsOf(spelling).map((name) => `  '${name}[${zshText(meaningOf(long))}]${value}'`);
  });
  return `#compdef ipvsadm
# zsh completion for ipvsadm
_arguments \\
${[...new Set(specifications)].join(' \\\n')}
`;
}

/** Returns the files by their names below the folder. */
export const completions = (): Readonly<Record<string, string>> => ({
  ...Object.fromEntries(
    [director, realserver].flatMap((program) => [
      [`bash/${program.name()}`, bash(program)],
      [`zsh/_${program.name()}`, zsh(program)],
    ]),
  ),
  'bash/ipvsadm': bashIpvsadm(),
  'zsh/_ipvsadm': zshIpvsadm(),
});

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = process.argv[2] ?? 'dist/completion';
  for (const shell of ['bash', 'zsh']) mkdirSync(join(folder, shell), { recursive: true });
  for (const [name, text] of Object.entries(completions())) writeFileSync(join(folder, name), text);
}
