/** `lvs-director compile`: a configuration file as rules for ipvsadm, as commands, as plain YAML or as a script. */
import { writeScript } from '../../config/script.ts';
import { writeYaml } from '../../config/yaml/write-yaml.ts';
import { ruleLine } from '../../ipvsadm/rule-line.ts';
import type { Command } from '../../model/command.ts';
import { LvsError } from '../../model/errors.ts';
import { type Configured, configured } from '../../runtime/configuration.ts';

export const FORMATS = ['ipvsadm', 'json', 'yaml', 'script'] as const;
export type Format = (typeof FORMATS)[number];

/** Prints the file in another form; 0: done, 2: it has mistakes. What a form cannot say goes to `complain`. */
export async function compileConfig(
  path: string,
  format: Format,
  print: (text: string) => void,
  complain: (line: string) => void,
): Promise<0 | 2> {
  let config: Configured;
  try {
    config = await configured(path);
  } catch (error) {
    if (!(error instanceof LvsError)) throw error;
    complain(error.message);
    return 2;
  }
  for (const warning of config.warnings) complain(warning);
  print(await formatted(config, format));
  if (format === 'ipvsadm')
    for (const command of config.commands) {
      const why = unsaid(command);
      if (why) complain(`${path}: ${why}`);
    }
  if (format === 'script' && !config.document.director.inside)
    complain(`${path}: the script knows the director by director.inside, which is missing`);
  return 0;
}

async function formatted({ document, commands }: Configured, format: Format): Promise<string> {
  switch (format) {
    case 'ipvsadm':
      return (await linesOf(commands)).map((line) => `${line}\n`).join('');
    case 'json':
      return `${JSON.stringify(commands, null, 2)}\n`;
    case 'yaml':
      return writeYaml(document);
    case 'script':
      return writeScript(document, await linesOf(commands));
    default:
      return format satisfies never;
  }
}

/** Returns the lines of `ipvsadm -R` that the commands have one for. */
export async function linesOf(commands: readonly Command[]): Promise<string[]> {
  const lines: string[] = [];
  for (const command of commands) {
    const line = await ruleLine(command);
    if (line !== undefined) lines.push(line);
  }
  return lines;
}

/** What a rule cannot say, and how it is said instead. */
function unsaid(command: Command): string | undefined {
  if (command.op === 'set')
    return `a setting is no rule: sysctl -w net.ipv4.vs.${command.name}=${command.value}`;
  if (command.op !== 'set-marks') return undefined;
  return 'marks are no rules: a firewall gives them where the kernel does the work';
}
