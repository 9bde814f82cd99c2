/**
 * Every command that README.md and docs/ print is accepted by the program, script or unit that it names.
 * netns/printed-commands.test.ts runs them.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { describe, expect, test } from 'vitest';
import { program as director } from '../../src/cli/director/program.ts';
import { program as realserver } from '../../src/cli/realserver/program.ts';
import { parseYaml } from '../../src/config/yaml/parse-yaml.ts';
import { schedulers } from '../../src/schedulers/index.ts';
import { labNames } from '../support/documents.ts';
import { commandsOf, pages, textOf } from '../support/printed-commands.ts';
import { PROJECT } from '../support/project.ts';

const { scripts } = JSON.parse(textOf('package.json')) as { scripts: Record<string, string> };

/** Programs of the host, which these pages use as their manuals describe. */
const OF_THE_HOST = /^(?:apt|apt-get|podman|systemctl|dpkg-divert|ln|rm|npm (?:pack|test|install)|npx)\b/;
const UNITS = readdirSync(join(PROJECT, 'conf/systemd')).map((name) => name.replace('.service', ''));

/** Parses arguments without running the command. */
async function accept(program: Command, args: readonly string[]): Promise<void> {
  const disarm = (command: Command): void => {
    if (command.commands.length === 0) command.action(() => {});
    for (const each of command.commands) disarm(each);
  };
  disarm(program);
  await program.parseAsync([...args], { from: 'user' });
}

/** Commands within sentences, which may omit what the sentence is not about. */
const mentionsOf = (page: string): string[] =>
  [...textOf(page).matchAll(/`(lvs-(?:director|realserver) [^`]+)`/g)].map(([, line]) =>
    line!.replaceAll('\n', ' '),
  );
const INCOMPLETE =
  /^commander\.(?:optionMissingArgument|missingArgument|missingMandatoryOptionValue|invalidArgument|helpDisplayed|version)$/;

const all = pages.flatMap((page) => commandsOf(page).map((command) => [page, command] as const));

test('the pages print commands', () => expect(all.length).toBeGreaterThan(40));

test.each(all)('%s: %s', async (_, line) => {
  const [name, ...args] = line
    .replace(/ [>|] .*$/, '')
    .replaceAll("'", '')
    .split(/ +/) as [string, ...string[]];
  if (name === 'lvs-director') await accept(director, args);
  else if (name === 'lvs-realserver') await accept(realserver, args);
  else if (name === 'npm' && args[0] === 'run')
    expect(scripts).toHaveProperty([args.find((a) => a !== 'run' && a !== '-s')!]);
  else if (name.startsWith('scripts/')) expect(existsSync(join(PROJECT, name))).toBe(true);
  else if (name === 'systemctl') expect(UNITS).toContain(args.at(-1));
  else expect(line).toMatch(/^ipvsadm /.test(line) ? /./ : OF_THE_HOST);
});

const mentions = pages.flatMap((page) => mentionsOf(page).map((command) => [page, command] as const));

test.each(mentions)('%s mentions %s, whose options exist', async (_, line) => {
  const [name, ...args] = line.split(/ +/) as [string, ...string[]];
  const error = await accept(name === 'lvs-director' ? director : realserver, args).catch((thrown) => thrown);
  if (error !== undefined) expect(error).toMatchObject({ code: expect.stringMatching(INCOMPLETE) });
});

const examples = pages.flatMap((page) =>
  [...textOf(page).matchAll(/^( *)```yaml\n(.*?)^ *```$/gms)].map(
    ([, indent, yaml], i) => [page, i + 1, yaml!.replace(new RegExp(`^${indent}`, 'gm'), '')] as const,
  ),
);

describe('the YAML examples', () => {
  test.each(examples.filter(([, , yaml]) => yaml.includes('vips:')))(
    '%s %d is valid',
    async (_, __, yaml) => {
      const names = { ...labNames, port: () => undefined };
      const { problems } = await parseYaml(yaml, 'lvs.yaml', names, Object.keys(schedulers));
      expect(problems).toEqual([]);
    },
  );
});
