import { describe, expect, test } from 'vitest';
import { Lab } from '../support/lab.ts';
import { startAgent, startServers } from '../support/lvs-programs.ts';
import { probeNamespaces } from '../support/namespaces.ts';
import { PATIENCE } from '../support/program.ts';
import { built, notBuilt } from '../support/project.ts';

const missing = probeNamespaces();
const why = missing
  ? `${missing.what}: ${missing.why}`
  : notBuilt('src/cli/realserver', 'test/support/arp-watch', 'test/support/server');

test('the required programs and privileges are available', ({ skip }) => skip(why !== undefined, why));

const VIPS = ['192.168.0.101', 'fd00::101'];

/** Settings by which a kernel would speak of a new address. */
const LOUD = [
  'net.ipv4.conf.all.arp_notify=1',
  'net.ipv4.conf.default.arp_notify=1',
  'net.ipv4.conf.lo.arp_notify=1',
  'net.ipv4.conf.eth0.arp_notify=1',
  'net.ipv4.conf.all.arp_accept=1',
  'net.ipv6.conf.all.ndisc_notify=1',
  'net.ipv6.conf.lo.ndisc_notify=1',
  'net.ipv6.conf.eth0.ndisc_notify=1',
  'net.ipv6.conf.all.accept_dad=1',
  'net.ipv6.conf.lo.accept_dad=1',
  'net.ipv6.conf.eth0.accept_dad=1',
];

/** A client that asks for the VIP without a pause. */
const ASK = (vip: string) => [
  process.execPath,
  '-e',
  `const {connect} = require('node:net');
   const again = () => connect({host: '${vip}', port: 80}).on('connect', () => console.log('ANSWERED')).on('error', again).setTimeout(40, function () { this.destroy(); again(); });
   again();`,
];

describe.skipIf(why !== undefined).each([
  ['as it comes', [], 'dr'],
  ['set to speak of new addresses', LOUD, 'dr'],
  ['set to speak of new addresses', LOUD, 'tunnel'],
] as const)('a kernel %s', (_how, settings, method) => {
  test(`sends nothing about the VIPs when the agent starts, runs and stops (${method})`, async () => {
    await using lab = await Lab.create({ ipv6: true, servers: 1 });
    const rs = lab.host('rs1');
    if (settings.length > 0) await rs.exec(['sysctl', '-qw', ...settings]);
    await startServers(rs, 1);
    await using watch = rs.spawn([...built('test/support/arp-watch'), 'eth0']);
    await watch.line(/^watching$/);
    // So it looks when a host does speak of an address.
    await rs.exec('ip address add 192.168.0.102/32 dev eth0; ip address add fd00::102/128 dev eth0 nodad');
    await lab.client.exec('ping -c 1 -W 2 192.168.0.102; ping -c 1 -W 2 fd00::102');
    await watch.line(/^reply 192\.168\.0\.102 /);
    await watch.line(/^advertisement \S+ fd00::102$/);
    const asking = VIPS.map((vip) => lab.client.spawn(ASK(vip)));
    /** Resolves when both VIPs have been requested again. */
    const asked = async () => {
      const from = watch.lines.length;
      await watch.line(/^request 192\.168\.0\.200 192\.168\.0\.101$/, PATIENCE, from);
      await watch.line(/^solicitation \S+ fd00::101$/, PATIENCE, from);
    };
    await asked();
    const agent = await startAgent(rs, '--vip', VIPS.join(','), '--method', method);
    await asked();
    // The server sends from the VIPs to unresolved neighbors.
    const from = watch.lines.length;
    await rs.exec('ip neigh flush all');
    const speaking = [
      rs.spawn('curl -s --interface 192.168.0.101 http://192.168.0.1:9/'),
      rs.spawn("curl -gs --interface fd00::101 'http://[fd00:0:0:0::1]:9/'"),
    ];
    await watch.line(/^request 192\.168\.0\.3 192\.168\.0\.1$/, PATIENCE, from);
    await watch.line(/^request 192\.168\.0\.1 192\.168\.0\.101$/, PATIENCE, from);
    await watch.line(/^solicitation fe80::\S+ fd00::1$/, PATIENCE, from);
    // Its peer sends an ARP request for the VIP, unlike the director, and gets no reply.
    await agent.stop();
    await asked();
    await Promise.all([...asking, ...speaking].map((each) => each.stop()));
    expect(asking.map(({ output }) => output)).toEqual(['', '']);
    const spoken = watch.lines.filter(
      (line) =>
        /^(reply|advertisement) \S+ (192\.168\.0\.101|fd00::101)$/.test(line) ||
        /^\S+ (192\.168\.0\.101|fd00::101) /.test(line) ||
        // Its own search for duplicates asks from nowhere.
        /^solicitation :: fd00::101$/.test(line),
    );
    expect(spoken).toEqual([]);
  });
});
