/** Sets up, inspects and removes a laboratory: scripts/lab setup [--shape dr|nat|tunnel|all|ecmp] [--ipv6], status, exec HOST COMMAND..., teardown. */
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import { Lab, type LabOptions } from '../test/support/lab.ts';
import { built } from '../test/support/project.ts';

const NAME = 'lab';
const USAGE = `usage: scripts/lab setup [--shape dr|nat|tunnel|all|ecmp] [--ipv6] [--offloads on|off]
       scripts/lab status
       scripts/lab exec client|vs1|rs1|rs2 COMMAND...
       scripts/lab teardown`;

class UsageError extends Error {}

function options(args: string[]): LabOptions {
  const { values } = parseArgs({
    args,
    options: {
      shape: { type: 'string', default: 'dr' },
      ipv6: { type: 'boolean', default: false },
      offloads: { type: 'string', default: 'on' },
    },
  });
  const { shape, offloads, ipv6 } = values;
  if (shape !== 'dr' && shape !== 'nat' && shape !== 'tunnel' && shape !== 'all' && shape !== 'ecmp')
    throw new UsageError(`invalid --shape '${shape}': expected dr, nat, tunnel, all or ecmp`);
  if (offloads !== 'on' && offloads !== 'off')
    throw new UsageError(`invalid --offloads '${offloads}': expected on or off`);
  return { shape, offloads, ipv6 };
}

async function attached(): Promise<Lab> {
  const lab = await Lab.attach(NAME);
  if (!lab) throw new Error('no laboratory exists (create one with scripts/lab setup)');
  return lab;
}

async function setup(args: string[]): Promise<number> {
  const chosen = options(args);
  if (await Lab.attach(NAME))
    throw new Error('a laboratory already exists (remove it with scripts/lab teardown)');
  const lab = await Lab.create({ ...chosen, name: NAME });
  for (const [i, server] of lab.servers.entries()) {
    const name = `real server #${i + 1}`;
    server.leave(
      [...built('test/support/server'), '--name', name, '--http', '80', '--banner', '23'],
      'server.log',
    );
    await server.listening(80);
  }
  return status();
}

async function status(): Promise<number> {
  const lab = await Lab.attach(NAME);
  if (!lab) {
    console.log('no laboratory exists');
    return 1;
  }
  for (const host of lab.hosts) {
    const addresses = await host.exec('ip -br address show | grep -v "^lo *UNKNOWN *127.0.0.1/8 ::1/128 *$"');
    console.log(`${host.name} (ip netns exec ${host.namespace})`);
    for (const line of addresses.split('\n')) console.log(`    ${line.trimEnd()}`);
  }
  return 0;
}

async function exec([host, ...command]: string[]): Promise<number> {
  if (host === undefined || command.length === 0) throw new UsageError('exec: expected a host and a command');
  const [file, ...args] = (await attached()).host(host).argv(command);
  return spawnSync(file!, args, { stdio: 'inherit' }).status ?? 1;
}

async function teardown(): Promise<number> {
  (await attached()).remove();
  return 0;
}

const [verb, ...rest] = process.argv.slice(2);
const verbs: Record<string, (args: string[]) => Promise<number>> = { setup, status, exec, teardown };
try {
  const act = verbs[verb ?? ''];
  if (!act) throw new UsageError(verb === undefined ? 'missing command' : `unknown command '${verb}'`);
  process.exitCode = await act(rest);
} catch (error) {
  console.error(
    error instanceof UsageError ? `${error.message}\n${USAGE}` : `lab: ${(error as Error).message}`,
  );
  process.exitCode = 2;
}
