/** The executables of the project, started on hosts of the laboratory and awaited until they are ready. */
import { join } from 'node:path';
import type { LabHost } from './lab-host.ts';
import type { Program } from './program.ts';
import { built, PROJECT } from './project.ts';

export const director = built('src/cli/director');
export const realserver = built('src/cli/realserver');
export const ipvsadm = built('src/cli/ipvsadm');
export const conf = (name: string): string => join(PROJECT, 'conf', name);

/** The datapath that the laboratory's directors are started with: LVS_DATAPATH, for running all tests with another one. */
const datapath = process.env['LVS_DATAPATH'];

export async function startDirector(host: LabHost, config: string, ...more: string[]): Promise<Program> {
  if (datapath !== undefined && !more.includes('--datapath')) more.push('--datapath', datapath);
  const program = host.spawn([...director, 'run', '--config', config, ...more]);
  await program.line(/\bready\b/);
  return program;
}

export async function startAgent(host: LabHost, ...options: string[]): Promise<Program> {
  const program = host.spawn([...realserver, 'run', ...options]);
  await program.line(/: ready$/);
  return program;
}

/** HTTP on 80, a banner on 23, UDP echo on 7, answering as "real server #<number>". */
export async function startServers(
  host: LabHost,
  number: number,
  echoes: readonly string[] = [],
): Promise<Program> {
  const name = `real server #${number}`;
  const addresses = echoes.flatMap((address) => ['--address', address]);
  const echo = echoes.length > 0 ? ['--echo', '7', ...addresses] : [];
  const program = host.spawn([
    ...built('test/support/server'),
    '--name',
    name,
    '--http',
    '80',
    '--banner',
    '23',
    ...echo,
  ]);
  await program.line(/^ready$/);
  return program;
}
