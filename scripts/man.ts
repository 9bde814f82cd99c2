/**
 * Writes the manual pages to a folder, from the help texts of the programs, the schema of lvs.yaml and the table of
 * directives in docs/configuration.md: node dist/scripts/man.js FOLDER. The pages use a dozen macros of man(7), which
 * needs no package.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { program as director } from '../src/cli/director/program.ts';
import { program as realserver } from '../src/cli/realserver/program.ts';
import { schema } from '../src/config/schema.ts';
import { RESTORE_HELP, SAVE_HELP } from '../src/ipvsadm/scripts.ts';
import { version } from '../src/runtime/version.ts';
import { sections, usage } from './ipvsadm-help.ts';

/** Text without requests and escapes of roff. */
export const plain = (text: string): string =>
  text.replaceAll('\\', '\\e').replaceAll('-', '\\-').replaceAll("'", '\\(aq').replace(/^\./gm, '\\&.');
const bold = (text: string): string => `\\fB${plain(text)}\\fR`;
const italic = (text: string): string => `\\fI${plain(text)}\\fR`;
const section = (title: string, ...lines: readonly string[]): string[] => [`.SH ${title}`, ...lines];
/** A tagged paragraph: the term, and what it means. */
const entry = (term: string, ...text: readonly string[]): string[] => ['.TP', term, ...text.filter(Boolean)];
/** Flags with the words that users replace in italics. */
const flagsOf = (flags: string): string =>
  flags
    .split(/([<[][^>\]]+[>\]])/)
    .map((part) => (/^[<[]/.test(part) ? italic(part) : part && bold(part)))
    .join('');

function synopsis(command: Command, path: string): string {
  const usage = command.createHelp().commandUsage(command).replace(/^\S+/, '').trim();
  return `${bold(path)} ${plain(usage.replace(/^.*?(?=\[options\])/, ''))}`;
}

function optionsOf(command: Command): string[] {
  const help = command.createHelp();
  return help
    .visibleOptions(command)
    .filter(({ long }) => long !== '--help')
    .flatMap((option) => entry(flagsOf(option.flags), plain(help.optionDescription(option))));
}

const sentence = (text: string): string => `${text[0]!.toUpperCase()}${text.slice(1)}`;
const head = (name: string, number: number, purpose: string): string[] => [
  `.TH ${name.toUpperCase()} ${number} "" "lvs ${version()}"`,
  ...section('NAME', `${plain(name)} \\- ${plain(purpose)}`),
];
const seeAlso = (...pages: readonly (readonly [string, number])[]): string[] =>
  section('SEE ALSO', pages.map(([name, number]) => `.BR ${plain(name)} (${number})`).join(' ,\n'));

interface ProgramPage {
  readonly purpose: string;
  readonly exitStatus: readonly (readonly [string, string])[];
  readonly files: readonly (readonly [string, string])[];
  readonly related: readonly (readonly [string, number])[];
}

/** The page of a program with commands. */
function programPage(program: Command, { purpose, exitStatus, files, related }: ProgramPage): string[] {
  const name = program.name();
  const commands = program.commands.filter((command) => command.name() !== 'help');
  return [
    ...head(name, 8, purpose),
    ...section(
      'SYNOPSIS',
      ...commands.flatMap((command) => [synopsis(command, `${name} ${command.name()}`), '.br']),
    ),
    ...section('DESCRIPTION', plain(program.description())),
    ...section('COMMANDS'),
    ...commands.flatMap((command) => [
      `.SS ${name} ${command.name()}`,
      `${plain(sentence(command.description()))}.`,
      ...command.registeredArguments
        .filter(({ description }) => description)
        .flatMap((argument) => entry(italic(`<${argument.name()}>`), plain(argument.description))),
      ...optionsOf(command),
    ]),
    ...section(
      'EXIT STATUS',
      ...exitStatus.flatMap(([status, meaning]) => entry(bold(status), plain(meaning))),
    ),
    ...section('FILES', ...files.flatMap(([file, meaning]) => entry(italic(file), plain(meaning)))),
    ...seeAlso(...related),
  ];
}

const SOCKET: readonly string[] = [
  ...section('ENVIRONMENT', ...entry(bold('LVS_SOCKET'), 'unix socket of the director')),
  ...section('FILES', ...entry(italic('/run/lvs/director.sock'), 'the socket without LVS_SOCKET')),
];

const ipvsadmPage = (): string[] => [
  ...head('ipvsadm', 8, 'list and change the rules of a director'),
  ...section('SYNOPSIS', '.nf', ...usage.map(plain), '.fi'),
  ...section(
    'DESCRIPTION',
    plain(
      'Accepts the commands and options of ipvsadm 1.31 for the kernel, with the same output and exit status. The rules are those of lvs-director(8), not of the kernel.',
    ),
  ),
  ...sections.flatMap(({ title, entries }) =>
    section(
      title.toUpperCase(),
      ...entries.flatMap(({ words, meaning }) =>
        entry(
          words.map((word) => (word.startsWith('-') ? bold(word) : italic(word))).join(' '),
          plain(meaning),
        ),
      ),
    ),
  ),
  ...SOCKET,
  ...seeAlso(['ipvsadm-save', 8], ['ipvsadm-restore', 8], ['lvs-director', 8]),
];

/** The page of a script whose help text has one sentence and one line per option. */
function scriptPage(name: string, purpose: string, help: string): string[] {
  const [first = '', ...lines] = help.trimEnd().split('\n');
  const options = lines.map((line) => line.trim().split(/ {2,}/));
  const about = first.replace(/^\S+: /, '');
  return [
    ...head(name, 8, purpose),
    ...section('SYNOPSIS', [bold(name), ...options.map(([flag = '']) => `[${bold(flag)}]`)].join(' ')),
    ...section('DESCRIPTION', plain(sentence(about))),
    ...options.flatMap(([flag = '', meaning = '']) => entry(bold(flag), plain(meaning))),
    ...SOCKET,
    ...seeAlso(['ipvsadm', 8], ['lvs-director', 8]),
  ];
}

/** The part of JSON Schema that the schema of lvs.yaml uses. */
interface Schema {
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly additionalProperties?: boolean | Schema;
  readonly oneOf?: readonly Schema[];
  readonly required?: readonly string[];
}

const formOf = ({ type, enum: values, items, oneOf }: Schema): string => {
  if (values) return values.join(' | ');
  if (type === 'array') return 'list';
  if (oneOf && !type) return [...new Set(oneOf.map(formOf).filter(Boolean))].join(' or ');
  return type === 'object' ? 'map' : (type ?? (items ? 'list' : ''));
};

/** The keys of a map, of the elements of a list, or of each alternative. */
function keysOf(part: Schema): string[] {
  const { properties = {}, items, additionalProperties, oneOf, required = [] } = part;
  return [
    ...Object.entries(properties).flatMap(([key, value]) => {
      const must = required.includes(key) ? ', required' : '';
      const inner = keysOf(value);
      return [
        ...entry(`${bold(key)}: ${italic(`${formOf(value)}${must}`)}`, plain(value.description ?? '')),
        ...(inner.length === 0 ? [] : ['.RS', ...inner, '.RE']),
      ];
    }),
    ...(items ? keysOf(items) : []),
    ...(typeof additionalProperties === 'object' ? keysOf(additionalProperties) : []),
    ...(oneOf ?? []).flatMap(keysOf),
  ];
}

const yamlPage = (): string[] => [
  ...head('lvs.yaml', 5, 'configuration of a Linux Virtual Server cluster'),
  ...section(
    'DESCRIPTION',
    plain(
      'One file describes a cluster: the director and the agents of the real servers read the same one. A file is read in this syntax when its name ends in .yaml or .yml. Anchors, aliases and merge keys of YAML are supported. "lvs-director check FILE" reports every mistake with its line and column.',
    ),
  ),
  ...section('KEYS', ...keysOf(schema as unknown as Schema)),
  ...section(
    'EXAMPLE',
    '.nf',
    ...[
      'method: dr',
      'vips:',
      '  - { interface: eth0, address: 192.0.2.1, prefix: 24 }',
      'services:',
      '  - tcp: 192.0.2.1:80',
      '    scheduler: wlc',
      '    check: { type: http, path: / }',
      '    destinations: [192.0.2.11, 192.0.2.12]',
    ].map(plain),
    '.fi',
  ),
  ...seeAlso(['lvs-director', 8], ['lvs-realserver', 8], ['lvs.conf', 5], ['ipvsadm', 8]),
];

const PROJECT = (folder: string): string =>
  readable(join(folder, 'docs/configuration.md')) ?? PROJECT(dirname(folder));
function readable(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

/** Rows of the table of directives: names and meaning. */
function directives(): (readonly [string, string])[] {
  const text = PROJECT(dirname(fileURLToPath(import.meta.url)));
  const chapter = text.split('## The classic syntax')[1]!;
  return [...chapter.matchAll(/^\| (`[A-Z_`, ]+`) \| (.*) \|$/gm)].map(
    ([, names, meaning]) =>
      [names!.replaceAll('`', ''), meaning!.replaceAll('`', '').replaceAll('\\|', '|')] as const,
  );
}

const confPage = (): string[] => [
  ...head('lvs.conf', 5, 'configuration of a Linux Virtual Server cluster, classic syntax'),
  ...section(
    'DESCRIPTION',
    plain(
      'A line holds one directive as NAME=value; # starts a comment. The host that reads the file resolves names of hosts and ports. Every file that does not end in .yaml or .yml is read in this syntax. "lvs-director compile --format yaml FILE" prints the same cluster as lvs.yaml(5), which has more features.',
    ),
  ),
  ...section('DIRECTIVES', ...directives().flatMap(([names, meaning]) => entry(bold(names), plain(meaning)))),
  ...seeAlso(['lvs.yaml', 5], ['lvs-director', 8], ['lvs-realserver', 8]),
];

/** Returns the pages by their file names. */
export const manualPages = (): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Object.entries({
      'lvs-director.8': programPage(director, {
        purpose: 'director of a Linux Virtual Server, a layer-4 load balancer',
        exitStatus: [
          ['0', 'success; run: ended by a signal'],
          ['1', 'failure at run time; explain: the packet is dropped'],
          ['2', 'wrong arguments or an invalid file'],
        ],
        files: [
          ['/etc/lvs/lvs.yaml', 'configuration that the systemd unit lvs-director.service uses'],
          ['/etc/default/lvs-director', 'LVS_CONFIG and LVS_OPTIONS of the unit'],
          ['/run/lvs/director.sock', 'control socket; LVS_SOCKET names another one for ipvsadm'],
        ],
        related: [
          ['lvs-realserver', 8],
          ['ipvsadm', 8],
          ['lvs.yaml', 5],
          ['lvs.conf', 5],
        ],
      }),
      'lvs-realserver.8': programPage(realserver, {
        purpose: 'agent of a real server of a Linux Virtual Server',
        exitStatus: [
          ['0', 'success'],
          ['1', 'failure; doctor: problems found'],
          ['2', 'wrong arguments or an invalid file; doctor: it failed'],
          ['3', 'status: no agent runs'],
        ],
        files: [
          ['/etc/lvs/lvs.yaml', 'configuration that the systemd unit lvs-realserver.service uses'],
          ['/etc/default/lvs-realserver', 'LVS_CONFIG and LVS_OPTIONS of the unit'],
          ['/run/lvs/', 'record of the changes to this host'],
        ],
        related: [
          ['lvs-director', 8],
          ['lvs.yaml', 5],
          ['lvs.conf', 5],
        ],
      }),
      'ipvsadm.8': ipvsadmPage(),
      'ipvsadm-save.8': scriptPage('ipvsadm-save', 'save the rules of a director', SAVE_HELP),
      'ipvsadm-restore.8': scriptPage('ipvsadm-restore', 'restore the rules of a director', RESTORE_HELP),
      'lvs.yaml.5': yamlPage(),
      'lvs.conf.5': confPage(),
    }).map(([name, lines]) => [name, `${lines.join('\n')}\n`]),
  );

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = process.argv[2] ?? 'dist/man';
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of Object.entries(manualPages())) writeFileSync(join(folder, name), text);
}
