/** `lvs-director check` and `lvs-director compile`: check a configuration file, and print it in another form. */
import { writeScript } from '../../config/script.ts';
import { writeYaml } from '../../config/yaml/write-yaml.ts';
import { daemonLine, ruleLine } from '../../ipvsadm/rule-line.ts';
import type { Command } from '../../model/command.ts';
import { LvsError } from '../../model/errors.ts';
import { formatService } from '../../model/naming.ts';
import { type Loaded, loadConfiguration } from '../../runtime/configuration/configuration.ts';
import type { Format } from './formats.ts';

/**
 * Prints the file in another format; returns 0, or 2 for an invalid file. Passes to `complain` what the
 * format cannot express.
 */
export async function compileConfig(
  path: string,
  format: Format,
  print: (text: string) => void,
  complain: (line: string) => void,
): Promise<0 | 2> {
  let config: Loaded;
  try {
    config = await loadConfiguration(path);
  } catch (error) {
    if (!(error instanceof LvsError)) throw error;
    complain(error.message);
    return 2;
  }
  for (const warning of config.warnings) complain(warning);
  print(await formatted(config, format));
  if (format === 'ipvsadm')
    for (const command of config.commands) {
      const why = notARule(command);
      if (why) complain(`${path}: ${why}`);
    }
  if (format !== 'yaml')
    for (const { service, sorry, quorum, notify, deny, allow } of config.document.services) {
      const lost = [
        ...[sorry && 'sorry servers', quorum && 'the quorum', notify && 'programs for events'],
        (deny || allow) && 'deny and allow lists',
      ];
      const names = lost.filter(Boolean).join(', ');
      if (names !== '')
        complain(
          `${path}: ${formatService(service)}: ${names}: not rules (lvs-director run carries them out)`,
        );
    }
  if (format !== 'yaml' && (config.document.deny || config.document.allow))
    complain(`${path}: deny and allow lists: not rules (lvs-director run carries them out)`);
  if (format === 'script' && !config.document.director.inside)
    complain(`${path}: director.inside is missing: the script detects the director by it`);
  return 0;
}

async function formatted({ document, commands }: Loaded, format: Format): Promise<string> {
  switch (format) {
    case 'ipvsadm':
      return (await linesOf(commands)).map((line) => `${line}\n`).join('');
    case 'json':
      return `${JSON.stringify(commands, null, 2)}\n`;
    case 'yaml':
      return writeYaml(document);
    case 'script':
      return writeScript(
        document,
        await linesOf(commands),
        commands.flatMap((each) => (each.op === 'start-daemon' ? daemonLine(each.daemon) : [])),
      );
    default:
      return format satisfies never;
  }
}

/** Returns the commands as lines of `ipvsadm -R`, as far as it has a form for them. */
export async function linesOf(commands: readonly Command[]): Promise<string[]> {
  const lines: string[] = [];
  for (const command of commands) {
    const line = await ruleLine(command);
    if (line !== undefined) lines.push(line);
  }
  return lines;
}

/** Returns how to configure what a rule cannot express; undefined for a rule. */
function notARule(command: Command): string | undefined {
  if (command.op === 'set')
    return `setting ${command.name} is not a rule (sysctl -w net.ipv4.vs.${command.name}=${command.value})`;
  if (command.op === 'start-daemon')
    return `the ${command.daemon.role} sync daemon is not a rule (ipvsadm ${daemonLine(command.daemon)})`;
  if (command.op !== 'set-marks') return undefined;
  return 'marks are not rules (set them in the firewall)';
}

/** Prints all warnings and errors; returns 0 for a valid file, 2 otherwise. */
export async function checkConfig(
  path: string,
  print: (line: string) => void,
  complain: (line: string) => void,
): Promise<0 | 2> {
  try {
    const { warnings, document, commands } = await loadConfiguration(path, { isCheck: true });
    for (const warning of warnings) complain(warning);
    if (document.cluster) {
      const { hosts, rules } = document.cluster;
      print(
        `${path}: mode nlb, ${hosts.length} hosts, ${rules.length - 1} port rules, ${warnings.length} warnings`,
      );
      return 0;
    }
    const destinations = commands.filter(({ op }) => op === 'add-destination').length;
    print(
      `${path}: ${document.services.length} services, ${destinations} destinations, ${warnings.length} warnings`,
    );
    return 0;
  } catch (error) {
    if (!(error instanceof LvsError)) throw error;
    complain(error.message);
    return 2;
  }
}
