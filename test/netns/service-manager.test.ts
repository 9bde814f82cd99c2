import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadSystem } from '../../src/sys/system.ts';
import { clusterMissing } from '../support/cluster.ts';
import { Lab } from '../support/lab.ts';
import { director, realserver } from '../support/lvs-programs.ts';
import { openNotifySocket } from '../support/notify-socket.ts';

const system = await loadSystem().catch(() => undefined);
const why = clusterMissing() ?? (system === undefined ? 'the package koffi is not installed' : undefined);

test('the required programs and privileges are available', ({ skip }) => skip(why !== undefined, why));

describe.skipIf(why !== undefined)('a service manager is sent', () => {
  /** The manager's socket, and what a service is started with by systemd. */
  function manager(lab: Lab) {
    const path = join(lab.folder, 'notify');
    const socket = openNotifySocket(system!, path);
    /** Waits for a datagram that begins with this line; signs of life may come before it. */
    const receives = async (line: string): Promise<string[]> => {
      let found: string[] | undefined;
      await expect
        .poll(
          () => {
            found = socket.next();
            return found?.[0];
          },
          { timeout: 60_000 },
        )
        .toBe(line);
      return found!;
    };
    return {
      receives,
      environment: ['env', `NOTIFY_SOCKET=${path}`, 'WATCHDOG_USEC=400000'],
      [Symbol.dispose]: () => socket[Symbol.dispose](),
    };
  }
  const yaml = `method: dr
vips: [{ interface: eth0, address: 192.168.0.101, prefix: 24 }]
services: [{ tcp: '192.168.0.101:80', destinations: [192.168.0.3] }]
`;

  test('start, signs of life, valid and invalid reloads and the end of a director', async () => {
    await using lab = await Lab.create({ shape: 'dr' });
    using systemd = manager(lab);
    const config = join(lab.folder, 'lvs.yaml');
    writeFileSync(config, yaml);
    const socket = join(lab.folder, 'director.sock');
    const program = lab.director.spawn([
      ...[...systemd.environment, ...director, 'run', '--config', config],
      ...['--socket', socket, '--datapath', 'live'],
    ]);
    expect(await systemd.receives('READY=1')).toContain('STATUS=forwarding: 1 services, datapath live');
    await systemd.receives('WATCHDOG=1');

    await lab.director.exec([...director, 'reload', '--socket', socket]);
    await systemd.receives('RELOADING=1');
    expect(await systemd.receives('READY=1')).toContain(
      'STATUS=forwarding: reloaded: 1 services, datapath live',
    );

    writeFileSync(config, 'services: 3\n');
    expect((await lab.director.run([...director, 'reload', '--socket', socket])).status).toBe(2);
    await systemd.receives('RELOADING=1');
    expect(await systemd.receives('READY=1')).toContain(
      'STATUS=forwarding: reload failed, unchanged, datapath live',
    );

    program.signal('SIGTERM');
    await systemd.receives('STOPPING=1');
    await program.ended;
  });

  test('start, signs of life and the end of an agent', async () => {
    await using lab = await Lab.create({ shape: 'dr' });
    using systemd = manager(lab);
    const config = join(lab.folder, 'lvs.yaml');
    writeFileSync(config, yaml);
    const program = lab.servers[0]!.spawn([
      ...[...systemd.environment, ...realserver, 'run', '--config', config],
      ...['--state', join(lab.folder, 'state.json')],
    ]);
    await systemd.receives('READY=1');
    await systemd.receives('WATCHDOG=1');
    program.signal('SIGTERM');
    await systemd.receives('STOPPING=1');
    await program.ended;
  });
});
