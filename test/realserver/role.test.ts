import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { describe as inWords } from '../../src/realserver/agent.ts';
import type { Machine } from '../../src/realserver/machine.ts';
import { plan } from '../../src/realserver/plan.ts';
import { documentOf, type RoleOptions, rolesOf } from '../../src/realserver/role.ts';

const folder = mkdtempSync(join(tmpdir(), 'lvs-role-'));
afterAll(() => rmSync(folder, { recursive: true }));
const config = join(folder, 'lvs.yaml');
writeFileSync(
  config,
  `method: dr
vips:
  - { interface: eth0, address: 192.0.2.1, prefix: 24 }
  - { interface: eth0, address: 192.0.2.2, prefix: 24 }
  - { interface: eth0, address: 192.0.2.3, prefix: 24 }
director: { inside: { interface: eth1, address: 10.0.0.254, prefix: 24 } }
services:
  - { tcp: '192.0.2.1:80', destinations: [10.0.0.1, 10.0.0.2] }
  - tcp: '192.0.2.2:80'
    destinations:
      - { server: 10.0.0.1, method: tunnel, tunnel: { type: gre } }
      - { server: 10.0.0.3, method: tunnel }
  - { tcp: '192.0.2.3:80', method: nat, destinations: [10.0.0.1, 10.0.0.4] }
`,
);
const rolesAt = async (own: readonly string[], options: RoleOptions = {}) =>
  rolesOf({ config, ...options }, await documentOf({ config }, () => {}), new Set(own));

describe('the roles of a real server', () => {
  test('are those with which services name its addresses, each with its VIPs and tunnel types', async () => {
    expect(await rolesAt(['10.0.0.1', '127.0.0.1'])).toEqual([
      { method: 'dr', vips: ['192.0.2.1'], device: 'lo' },
      { method: 'tunnel', vips: ['192.0.2.2'], device: 'lo', encapsulations: [{ type: 'gre' }] },
      { method: 'nat', vips: [], device: 'lo', gateway: '10.0.0.254' },
    ]);
    expect(await rolesAt(['10.0.0.2'])).toEqual([{ method: 'dr', vips: ['192.0.2.1'], device: 'lo' }]);
    expect(await rolesAt(['10.0.0.3'])).toEqual([
      { method: 'tunnel', vips: ['192.0.2.2'], device: 'lo', encapsulations: [{ type: 'ipip' }] },
    ]);
    // A real server behind nat must not have the VIP.
    expect(await rolesAt(['10.0.0.4'])).toEqual([
      { method: 'nat', vips: [], device: 'lo', gateway: '10.0.0.254' },
    ]);
  });

  test('come from the command line, or from the cluster for a host that no service names', async () => {
    expect(await rolesAt(['10.0.0.1'], { method: 'dr', vip: ['192.0.2.9'] })).toEqual([
      { method: 'dr', vips: ['192.0.2.9'], device: 'lo' },
    ]);
    expect(await rolesAt(['10.0.0.99'])).toEqual([
      { method: 'dr', vips: ['192.0.2.1', '192.0.2.2', '192.0.2.3'], device: 'lo' },
    ]);
  });

  test('are planned together: each change once, and the default route stays when other roles need it', async () => {
    const link = { ifname: 'lo', mtu: 65_536, flags: ['LOOPBACK', 'UP'] };
    const machine: Machine = {
      run: async (argv) =>
        argv.includes('show')
          ? { status: 0, stdout: JSON.stringify([link]), stderr: '' }
          : { status: argv[0] === 'nft' ? 0 : 1, stdout: '', stderr: '' },
      setting: async () => '0',
      set: async () => {},
    };
    const { changes, notes, tunnelEnd } = await plan(await rolesAt(['10.0.0.1']), machine);
    expect(changes.map(inWords)).toEqual([
      'net.ipv4.conf.all.arp_ignore = 1',
      'net.ipv4.conf.all.arp_announce = 2',
      'VIP 192.0.2.1 on lo',
      'VIP 192.0.2.2 on lo',
      'maximum segment size of 192.0.2.2 reduced for the tunnel',
    ]);
    expect(notes.join('\n')).toContain(
      'ip rule add from ADDRESS lookup 100; ip route add default via 10.0.0.254',
    );
    expect(tunnelEnd).toMatchObject({ vips: ['192.0.2.2'], encapsulations: [{ type: 'gre' }] });
  });
});
