/** The commands of lvs-director that read a configuration file: check, convert, preview and reload it. */
import { type Command, Option } from 'commander';
import { ControlClient } from '../../control/client.ts';
import { socketPath } from '../../control/socket-path.ts';
import { print } from './command-process.ts';
import { FORMATS, type Format, SOURCES } from './formats.ts';
import type { ImportOptions } from './import.ts';
import { askReload } from './reload.ts';

/** Adds the commands. */
export function addConfigurationCommands(program: Command): void {
  program
    .command('check')
    .description('check a configuration file; exit status: 0 valid, 2 invalid')
    .argument('<file>', 'lvs.conf, or lvs.yaml; - reads the standard input')
    .action(async (file: string) => {
      const { checkConfig } = await import('./compile.ts');
      process.exitCode = await checkConfig(file, console.log, console.error);
    });

  program
    .command('compile')
    .description('print a configuration file as rules for ipvsadm -R, or in another format')
    .argument('<file>', 'lvs.conf, or lvs.yaml; - reads the standard input')
    .addOption(new Option('--format <form>', 'output format').choices([...FORMATS]).default('ipvsadm'))
    .action(async (file: string, { format }: { format: Format }) => {
      const { compileConfig } = await import('./compile.ts');
      process.exitCode = await compileConfig(file, format, print, console.error);
    });

  program
    .command('import')
    .description('print the configuration of another program as lvs.yaml, and on stderr what was left out')
    .argument('<file>', 'file to convert; - reads the standard input')
    .addOption(
      new Option('--from <program>', 'program of the file (default: detected)').choices([...SOURCES]),
    )
    .option('--config-id <name>', "keepalived: the config id of '@name' lines (default: the host's name)")
    .addOption(
      new Option(
        '--keepalived <file>',
        'keepalived: also write the keepalived.conf that remains, without virtual servers',
      ).conflicts('vips'),
    )
    .option('--vips', 'keepalived: take the VIPs of VRRP instances over; keepalived must not run then')
    .action(async (file: string, options: ImportOptions) => {
      const { importConfig } = await import('./import.ts');
      await importConfig(file, options, print, console.error);
    });

  program
    .command('plan')
    .description('print what a reload of the running director with this file would change')
    .argument('<file>', 'lvs.conf, or lvs.yaml; - reads the standard input')
    .option('--socket <path>', 'control socket of the director', socketPath(process.env))
    .option('--json', 'print JSON', false)
    .action(async (file: string, { socket, json }: { socket: string; json: boolean }) => {
      using api = new ControlClient(socket);
      const { printPlan } = await import('./plan.ts');
      await printPlan(file, json, api, print, console.error);
    });

  program
    .command('reload')
    .description('make the running director reload its file; an invalid file changes nothing')
    .option('--socket <path>', 'control socket of the director', socketPath(process.env))
    .action(async ({ socket }: { socket: string }) => {
      using api = new ControlClient(socket);
      await askReload(api, print, console.error);
    });
}
