/**
 * Re-creates the captures in test/fixtures with kernels in a laboratory: the packets that a director would receive.
 *
 *   node dist/test/support/capture.js test/fixtures
 *
 * dr-*: a host that has the VIP receives from a client. nat: a kernel translates, and both sides are captured where
 * they arrive. Needs root, tcpdump, nft, curl and ping; run manually, not in tests.
 */
import { join } from 'node:path';
import { Lab } from './lab.ts';
import type { LabHost } from './lab-host.ts';

const folder = process.argv[2] ?? 'test/fixtures';
const SERVER = new URL('./server.js', import.meta.url).pathname;

/** Captures what arrives at `host` while `talk` goes on; `any` interface makes a Linux cooked file. */
async function capture(
  host: LabHost,
  file: string,
  device: string,
  filter: string,
  talk: () => Promise<unknown>,
): Promise<void> {
  const path = join(folder, `${file}.pcap`);
  const type = device === 'any' ? 'LINUX_SLL' : 'EN10MB';
  const tcpdump = host.spawn(
    `tcpdump -Z root -n -U --immediate-mode -i ${device} -Q in -y ${type} -s 0 -w '${path}' '${filter}'`,
  );
  await tcpdump.line(/listening on/);
  await talk();
  await tcpdump.stop('SIGINT');
}

/** Sends one UDP datagram of letters and reads the answer, or gives up after a second. */
const datagram = (from: LabHost, to: string, port: number, octets: number) =>
  from.run([
    process.execPath,
    '-e',
    `const socket = require('node:dgram').createSocket('udp4');
     const end = () => process.exit();
     socket.on('message', end).on('error', end);
     socket.connect(${port}, '${to}', () => socket.send('abcdefgh'.repeat(${octets / 8})));
     setTimeout(end, 1000);`,
  ]);

/** Reads what the telnet port says. */
const telnet = (from: LabHost, to: string) =>
  from.exec([process.execPath, '-e', `require('node:net').connect(23, '${to}').pipe(process.stdout)`]);

async function serve(host: LabHost, ...words: string[]): Promise<void> {
  const program = host.spawn([
    process.execPath,
    SERVER,
    '--name=real server #1',
    '--http=80',
    '--banner=23',
    ...words,
  ]);
  await program.line(/listening: banner/);
  if (words.length > 0) await program.line(/listening: echo/);
}

async function dr(): Promise<void> {
  await using lab = await Lab.create({ shape: 'dr', servers: 1, ipv6: true, offloads: 'off' });
  const server = lab.servers[0]!;
  await server.exec(`ip address add ${lab.vip}/32 dev eth0`);
  await server.exec(`ip address add ${lab.vip6}/128 dev eth0 nodad`);
  await serve(server);
  await capture(server, 'dr-http-telnet', 'eth0', `dst host ${lab.vip}`, async () => {
    await lab.client.exec(`curl -s http://${lab.vip}/ http://${lab.vip}/big?octets=6000`);
    await lab.client.exec(`curl -s -T - http://${lab.vip}/upload`, { input: 'upload '.repeat(1000) });
    await telnet(lab.client, lab.vip);
  });
  await capture(server, 'dr-http6', 'eth0', `dst host ${lab.vip6} and not icmp6`, () =>
    lab.client.exec(`curl -s -g http://[${lab.vip6}]/`),
  );
}

async function nat(): Promise<void> {
  await using lab = await Lab.create({ shape: 'nat', servers: 1, offloads: 'off' });
  const { client, director, vip } = lab;
  const server = lab.servers[0]!;
  await director.exec(`ip address add ${vip}/32 dev eth0`);
  await director.exec('sysctl -qw net.ipv4.ip_forward=1');
  await director.exec('nft -f -', {
    input: `table ip lvs {
      chain to { type nat hook prerouting priority dstnat; ip daddr ${vip} meta l4proto { tcp, udp } dnat to ${server.address}; }
    }`,
  });
  await serve(server, '--echo=7');
  await capture(director, 'nat-http-telnet', 'any', 'tcp', async () => {
    await client.exec(`curl -s http://${vip}/ http://${vip}/big?octets=6000`);
    await telnet(client, vip);
    await client.run(`curl -s http://${vip}:81/`); // refused
  });
  await capture(director, 'nat-udp', 'any', 'udp or (ip[6:2] & 0x1fff != 0)', async () => {
    await datagram(client, vip, 7, 64);
    await datagram(client, vip, 7, 4000); // three fragments each way
  });
  await capture(director, 'nat-icmp', 'any', 'icmp or udp', async () => {
    await client.exec(`ping -c 2 -i 0.2 ${vip}`);
    await datagram(client, vip, 9, 64); // port unreachable
  });
}

await dr();
await nat();
