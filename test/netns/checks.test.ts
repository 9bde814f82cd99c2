import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ControlClient } from '../../src/control/client.ts';
import { clusterMissing } from '../support/cluster.ts';
import { Lab } from '../support/lab.ts';
import { startAgent, startDirector, startServers } from '../support/lvs-programs.ts';
import { PATIENCE } from '../support/program.ts';

const why = clusterMissing();

test('the required programs and privileges are available', ({ skip }) => skip(why !== undefined, why));

/** A process that each run of the command check leaves behind in another session. */
const SLEEP = `sleep 86400${process.pid}`;
const LEFT = `setsid ${SLEEP} > /dev/null 2>&1`;

/** A service a check; the VIP and the servers are those of the laboratory's shape. */
const file = (method: string, inside: string, servers: string) => `method: ${method}
vips: [{ interface: eth0, address: 192.168.0.101, prefix: 24 }]
director: { inside: ${inside} }
defaults: { check: { type: tcp, interval: 0.2, timeout: 5, fall: 2, rise: 1 } }
groups: { all: [${servers}] }
services:
  - { tcp: '192.168.0.101:80', destinations: all, check: { type: http, interval: 0.2, timeout: 5, expect: real server } }
  - { tcp: '192.168.0.101:23', destinations: all }
  - { tcp: '192.168.0.101:81', destinations: all }
  - { udp: '192.168.0.101:7', destinations: all, check: { type: udp, send: ping, expect: ping, interval: 0.2, timeout: 5 } }
  - tcp: 192.168.0.101:82
    destinations: all
    check: { type: command, command: [sh, -c, '${LEFT} & echo "$ADDRESS $PORT"; test "$PORT" = 82'], interval: 0.2, timeout: 5 }
`;

describe.skipIf(why !== undefined)('checks of every kind, seen through the control socket:', () => {
  test.each([
    ['dr', '{ interface: eth0, address: 192.168.0.1, prefix: 24 }', 0, ['--vip', '192.168.0.101']],
    [
      'nat',
      '{ interface: eth1, address: 192.168.1.1, prefix: 24 }',
      1,
      ['--method', 'nat', '--gateway', '192.168.1.1'],
    ],
    [
      'tunnel',
      '{ interface: eth0, address: 192.168.0.1, prefix: 24 }',
      2,
      ['--vip', '192.168.0.101', '--method', 'tunnel'],
    ],
  ] as const)('%s', async (shape, inside, segment, agent) => {
    await using lab = await Lab.create({ shape, servers: 1 });
    const [server] = lab.servers;
    const address = `192.168.${segment}.3`;
    await startAgent(server!, ...agent);
    await startServers(server!, 1, [address]);
    const config = join(lab.folder, 'lvs.yaml');
    writeFileSync(config, file(shape, inside, address));
    const director = await startDirector(lab.director, config);
    using client = new ControlClient(join(lab.director.folder, 'run/director.sock'));
    const states = async () => {
      const { services } = await client.snapshot({ services: true });
      return services.map(({ service, destinations }) => {
        const { weight, check } = destinations[0]!;
        const port = 'port' in service ? service.port : 0;
        return `${port} ${check?.type} ${check?.state} ${weight}: ${check?.message}`;
      });
    };
    const wanted = [
      '80 http up 1: status 200, as expected',
      '23 tcp up 1: connected',
      '81 tcp down 0: connection refused',
      '7 udp up 1: answered',
      `82 command up 1: ${address} 82`,
    ];
    await expect.poll(states, { timeout: PATIENCE, interval: 100 }).toEqual(wanted);
    // Clients are served as ever, and a port whose server is out refuses.
    const get = (port: number) =>
      lab.client.run(['curl', '-sS', '--max-time', '30', `http://${lab.vip}:${port}/`]);
    expect((await get(80)).stdout).toBe('I am real server #1\n');
    expect((await get(81)).status).toBe(7);
    // A director that ends takes the processes of its command checks along.
    expect(await director.stop()).toBe(0);
    expect(await lab.director.run(['pgrep', '-f', `^${SLEEP}$`])).toMatchObject({ status: 1, stdout: '' });
  });
});
