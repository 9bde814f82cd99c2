import { describe, expect, test } from 'vitest';
import { describe as inWords } from '../../src/realserver/agent.ts';
import type { Machine } from '../../src/realserver/machine.ts';
import { segmentSize } from '../../src/realserver/mss.ts';
import { plan, type Role } from '../../src/realserver/plan.ts';

/** A kernel with these devices; `modules`: device types that it can make. */
function machine(devices: readonly string[], modules: readonly string[] = []): Machine {
  const links = () =>
    devices.map((ifname) => ({
      ifname,
      mtu: ifname === 'lo' ? 65_536 : 1_500,
      flags: ifname === 'lo' ? ['LOOPBACK', 'UP'] : ['BROADCAST', 'UP'],
    }));
  const ok = (stdout = '') => ({ status: 0, stdout, stderr: '' });
  const no = (stderr: string) => ({ status: 1, stdout: '', stderr });
  return {
    async run(argv) {
      const line = argv.join(' ');
      const shown = /^ip -j link show dev (\S+)$/.exec(line)?.[1];
      if (shown !== undefined) {
        const link = links().find(({ ifname }) => ifname === shown);
        return link ? ok(JSON.stringify([link])) : no('Device does not exist.');
      }
      if (line === 'ip -j link show up') return ok(JSON.stringify(links()));
      const type = /^ip link add \S+ type (\S+)$/.exec(line)?.[1];
      if (type !== undefined) return modules.includes(type) ? ok() : no('Error: Unknown device type.');
      if (line.startsWith('modprobe')) return no('');
      return ok();
    },
    setting: async () => '0',
    set: async () => {},
  };
}

const VIP = '192.168.0.101';
const role = (partial: Partial<Role>): Role => ({ method: 'dr', vips: [VIP], device: 'lo', ...partial });
const planned = async (partial: Partial<Role>, on: Machine) => {
  const { changes, ...rest } = await plan([role(partial)], on);
  return { changes: changes.map(inWords), ...rest };
};
const SILENT = ['net.ipv4.conf.all.arp_ignore = 1', 'net.ipv4.conf.all.arp_announce = 2'];

// What this needs of a kernel (dummy, ipip) not every kernel has, so it is played here.
describe('on a kernel that has the device', () => {
  test('the VIP is added to dummy0 after ARP for it is disabled', async () => {
    expect(await planned({ device: 'dummy0' }, machine(['lo', 'eth0'], ['dummy']))).toEqual({
      changes: [...SILENT, 'device dummy0', `VIP ${VIP} on dummy0`],
      notes: [],
    });
  });

  test('the kernel decapsulates tunnels, for IPv4 only', async () => {
    const on = machine(['lo', 'eth0', 'tunl0']);
    const vips = [VIP, 'fd00::101'];
    expect(await planned({ method: 'tunnel', device: 'tunl0', vips }, on)).toEqual({
      changes: [
        ...SILENT,
        'device tunl0',
        'net.ipv4.conf.tunl0.rp_filter = 2',
        `VIP ${VIP} on tunl0`,
        'VIP fd00::101 on tunl0',
        `maximum segment size of ${VIP}, fd00::101 reduced for the tunnel`,
      ],
      notes: [],
      tunnelEnd: { vips, encapsulations: [{ type: 'ipip' }], kernel: true },
    });
  });
});

test.each(['lo', 'lo:0', 'dummy0'])('with the VIP on %s, the tunnel device gets it too', async (device) => {
  const on = machine(['lo', 'eth0', 'tunl0', 'dummy0']);
  const vips = [VIP, 'fd00::101'];
  const { changes } = await planned({ method: 'tunnel', device, vips }, on);
  expect(changes.filter((change) => change.startsWith('VIP'))).toEqual([
    `VIP ${VIP} on ${device}`,
    `VIP fd00::101 on ${device}`,
    `VIP ${VIP} on tunl0`,
  ]);
});

test('a kernel that decapsulates IPv4 in IPv4 needs no agent for it', async () => {
  const on = machine(['lo', 'eth0', 'tunl0']);
  const { tunnelEnd } = await planned({ method: 'tunnel', device: 'tunl0' }, on);
  expect(tunnelEnd).toBeUndefined();
});

describe('a plan on a kernel without a device names the replacement', () => {
  test('for dummy0', async () => {
    const { changes, notes } = await planned({ device: 'dummy0' }, machine(['lo', 'eth0']));
    expect(changes).toEqual([...SILENT, `VIP ${VIP} on lo:0`]);
    expect(notes).toEqual(['dummy0 is not available (Unknown device type.); using lo:0']);
  });

  test('for tunl0', async () => {
    const { changes, notes, tunnelEnd } = await planned(
      { method: 'tunnel', device: 'tunl0' },
      machine(['lo', 'eth0']),
    );
    expect(changes).toContain(`VIP ${VIP} on lo:0`);
    expect(notes.join('\n')).toMatch(/no ipip module.*\n.*tunl0 is not available/);
    expect(tunnelEnd).toEqual({ vips: [VIP], encapsulations: [{ type: 'ipip' }], kernel: false });
  });
});

test.each(['eth0', 'eth0:1', 'eth7'])('%s carries no VIP', async (device) => {
  await expect(plan([role({ device })], machine(['lo', 'eth0']))).rejects.toThrow(
    /device eth0 of the VIP: answers ARP|device eth7 of the VIP: not found/,
  );
});

test('nat changes only the default route, when one is given', async () => {
  const on = machine(['lo', 'eth0']);
  expect((await planned({ method: 'nat', gateway: '192.168.1.1' }, on)).changes).toEqual([
    'default route via 192.168.1.1',
  ]);
  expect(await planned({ method: 'nat' }, on)).toEqual({
    changes: [],
    notes: ['nat: no gateway is configured, so the default route stays unchanged'],
  });
});

// The outer header is of the inner one's family: 20 or 40 octets less than RFC 9293 section 3.7.1 would offer.
test.each([
  [VIP, 1_500, 1_440],
  ['fd00::101', 1_500, 1_400],
  [VIP, 9_000, 8_940],
])('segments for %s over links of %d bytes have %d', (vip, mtu, size) => {
  expect(segmentSize(vip, mtu)).toBe(size);
});
