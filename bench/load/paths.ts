/** The compared paths from the client to the servers: direct, through this director, HAProxy and nftables. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Lab } from '../../test/support/lab.ts';
import type { LabHost } from '../../test/support/lab-host.ts';
import { ipvsadm, startAgent, startDirector } from '../../test/support/lvs-programs.ts';
import type { Program } from '../../test/support/program.ts';
import { datagramCounter, type Endpoint } from './generators.ts';

/** The endpoints that clients connect to. */
export interface Path {
  readonly name: string;
  readonly http: Endpoint;
  readonly iperf: Endpoint;
  readonly datagrams: Endpoint;
  /** HAProxy forwards no datagrams. */
  readonly udp: boolean;
  /** Only requests are measured: streams and datagrams are those of another path. */
  readonly requestsOnly?: boolean;
}

/** Paths that are open at the same time. `open` starts their programs, and is disposed before the next ones. */
export interface Way {
  readonly paths: readonly Path[];
  open(lab: Lab): Promise<AsyncDisposable>;
}

const HTTP = 80;
const IPERF = 5201;
/** RFC 863, and the ports after it: datagrams are counted and discarded. */
const DISCARD = 9;
/** The director's VIPs: a separate one for tunnels, whose clients are sent a smaller segment size. */
const VIP = '192.168.0.101';
const TUNNEL_VIP = '192.168.0.102';
const DIRECTOR = '192.168.0.1';
/** Ports of HAProxy and nftables on the director's address. */
const OTHER_HTTP = 8080;
const OTHER_IPERF = 5301;
/** Real servers on the clients' segment, and on the one that the director translates to. */
const OUTSIDE = ['192.168.0.3', '192.168.0.4'];
const INSIDE = ['192.168.1.3', '192.168.1.4'];

const path = (
  name: string,
  address: string,
  http: number,
  iperf: number,
  discard: number,
  udp = true,
): Path => ({
  name,
  http: { address, port: http },
  iperf: { address, port: iperf },
  datagrams: { address, port: discard },
  udp,
});

/** Offset of the ports on the VIP per method; the servers listen on all. */
const PORTS = { dr: 1, nat: 2, tunnel: 3 } as const;
const httpPort = (method: keyof typeof PORTS) => HTTP + PORTS[method];
const iperfPort = (method: keyof typeof PORTS) => IPERF + PORTS[method];
const discardPort = (method: keyof typeof PORTS) => DISCARD + PORTS[method];
/** Port of a service with persistence. */
const PERSISTENT_HTTP = HTTP + 4;

/** Client and server on one segment: the baseline of the others. */
export const direct: Way = {
  paths: [path('direct', OUTSIDE[0]!, HTTP, IPERF, DISCARD)],
  open: async () => nothing,
};
const nothing: AsyncDisposable = { [Symbol.asyncDispose]: async () => {} };

/** IP forwarding of the host only. */
export const routing: Way = {
  paths: [path('plain routing', INSIDE[0]!, HTTP, OTHER_IPERF, DISCARD)],
  async open(lab) {
    await lab.director.exec('sysctl -qw net.ipv4.ip_forward=1');
    await lab.client.exec(`ip route add 192.168.1.0/24 via ${DIRECTOR}`);
    return {
      [Symbol.asyncDispose]: async () => {
        await lab.client.exec(`ip route del 192.168.1.0/24 via ${DIRECTOR}`);
        await lab.director.exec('sysctl -qw net.ipv4.ip_forward=0');
      },
    };
  },
};

/** This director with a datapath. */
export const director = (datapath: 'live' | 'tc' | 'xdp'): Way => ({
  paths: [
    path(`${datapath}, NAT`, VIP, httpPort('nat'), iperfPort('nat'), discardPort('nat')),
    {
      ...path(`${datapath}, NAT, persistent`, VIP, PERSISTENT_HTTP, iperfPort('nat'), discardPort('nat')),
      requestsOnly: true,
    },
    path(`${datapath}, DR`, VIP, httpPort('dr'), iperfPort('dr'), discardPort('dr')),
    path(`${datapath}, tunnel`, TUNNEL_VIP, httpPort('tunnel'), iperfPort('tunnel'), discardPort('tunnel')),
  ],
  async open(lab) {
    const config = join(lab.folder, 'bench.conf');
    writeFileSync(config, BASE);
    const words = ['--interface', 'eth0', 'eth1', '--datapath', datapath];
    const program = await startDirector(lab.director, config, ...words);
    await lab.director.exec([...ipvsadm, '-R'], { input: rules() });
    return program;
  },
});

/** The configuration file; ipvsadm adds the rules. */
const BASE = `LVS_TYPE=VS_DR
INITIAL_STATE=on
VIP=eth0:101 ${VIP} 255.255.255.0 192.168.0.255
DIRECTOR_INSIDEIP=eth0 ${DIRECTOR} 192.168.0.0 255.255.255.0 192.168.0.255
SERVICE=t telnet rr rs1:telnet rs2:telnet
SERVER_VIP_DEVICE=lo:0
SERVER_NET_DEVICE=eth0
`;

function rules(): string {
  const lines: string[] = [];
  const methods = [
    ['dr', VIP, OUTSIDE, '-g'],
    ['nat', VIP, INSIDE, '-m'],
    ['tunnel', TUNNEL_VIP, OUTSIDE, '-i'],
  ] as const;
  for (const [method, vip, servers, flag] of methods) {
    const http = `-t ${vip}:${httpPort(method)}`;
    lines.push(`-A ${http} -s rr`);
    for (const server of servers) lines.push(`-a ${http} -r ${server}:${httpPort(method)} ${flag}`);
    const iperf = `-t ${vip}:${iperfPort(method)}`;
    lines.push(`-A ${iperf} -s rr`, `-a ${iperf} -r ${servers[0]}:${iperfPort(method)} ${flag}`);
    const datagrams = `-u ${vip}:${discardPort(method)}`;
    lines.push(`-A ${datagrams} -s rr`, `-a ${datagrams} -r ${servers[0]}:${discardPort(method)} ${flag}`);
  }
  const persistent = `-t ${VIP}:${PERSISTENT_HTTP}`;
  lines.push(`-A ${persistent} -s rr -p 300`);
  for (const server of INSIDE) lines.push(`-a ${persistent} -r ${server}:${PERSISTENT_HTTP} -m`);
  return `${lines.join('\n')}\n`;
}

export const haproxy: Way = {
  paths: [path('HAProxy, mode tcp', DIRECTOR, OTHER_HTTP, OTHER_IPERF, DISCARD, false)],
  async open(lab) {
    const config = join(lab.folder, 'haproxy-director.cfg');
    writeFileSync(
      config,
      `${HAPROXY}  mode tcp
listen http
  bind ${DIRECTOR}:${OTHER_HTTP}
  balance roundrobin
${INSIDE.map((server, i) => `  server rs${i + 1} ${server}:${HTTP}`).join('\n')}
listen iperf
  bind ${DIRECTOR}:${OTHER_IPERF}
  server rs1 ${INSIDE[0]}:${OTHER_IPERF}
`,
    );
    return await serve(lab.director, ['haproxy', '-db', '-f', config], OTHER_IPERF);
  },
};

export const nftables: Way = {
  paths: [path('nft DNAT', DIRECTOR, OTHER_HTTP, OTHER_IPERF, DISCARD)],
  async open(lab) {
    const script = `table ip bench {
  chain prerouting {
    type nat hook prerouting priority dstnat;
    ip daddr ${DIRECTOR} tcp dport ${OTHER_HTTP} dnat to numgen inc mod 2 map { 0 : ${INSIDE[0]}, 1 : ${INSIDE[1]} } : ${HTTP}
    ip daddr ${DIRECTOR} tcp dport ${OTHER_IPERF} dnat to ${INSIDE[0]}
    ip daddr ${DIRECTOR} udp dport ${DISCARD} dnat to ${INSIDE[0]}
  }
}
`;
    await lab.director.exec(['nft', '-f', '-'], { input: script });
    await lab.director.exec('sysctl -qw net.ipv4.ip_forward=1');
    return {
      [Symbol.asyncDispose]: async () => {
        await lab.director.exec('sysctl -qw net.ipv4.ip_forward=0; nft delete table ip bench');
      },
    };
  },
};

const HAPROXY = `global
  maxconn 4000
defaults
  maxconn 4000
  timeout connect 5s
  timeout client 30s
  timeout server 30s
`;

/** Starts a program and waits until it listens. */
async function serve(host: LabHost, command: readonly string[], port: number): Promise<Program> {
  const program = host.spawn(command);
  const ended = program.ended.then((how) => {
    throw new Error(`${program.command} exited with ${how}:\n${program.output}`);
  });
  await Promise.race([host.listening(port), ended]);
  ended.catch(() => {});
  return program;
}

/** Starts the servers for all paths on the real servers; they run until the laboratory is removed. */
export async function startServers(lab: Lab): Promise<Program[]> {
  const running: Program[] = [];
  for (const [i, host] of lab.servers.entries()) {
    await host.exec('sysctl -qw net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2');
    await host.exec(`ip address add ${VIP}/32 dev lo`);
    running.push(await startAgent(host, '--vip', TUNNEL_VIP, '--method', 'tunnel'));
    const config = join(lab.folder, `haproxy-${host.name}.cfg`);
    const ports = [HTTP, httpPort('dr'), httpPort('nat'), httpPort('tunnel'), PERSISTENT_HTTP];
    writeFileSync(
      config,
      `${HAPROXY}  mode http
frontend page
${ports.map((port) => `  bind :${port}`).join('\n')}
  http-request return status 200 content-type text/plain string "I am real server #${i + 1}"
`,
    );
    running.push(await serve(host, ['haproxy', '-db', '-f', config], PERSISTENT_HTTP));
  }
  const first = lab.servers[0]!;
  // Bound to the address that clients use: replies to datagrams must have it as their source.
  const listeners: [string, number][] = [
    [OUTSIDE[0]!, IPERF],
    [VIP, iperfPort('dr')],
    [INSIDE[0]!, iperfPort('nat')],
    [TUNNEL_VIP, iperfPort('tunnel')],
    [INSIDE[0]!, OTHER_IPERF],
  ];
  for (const [address, port] of listeners)
    running.push(await serve(first, ['iperf3', '-s', '-B', address, '-p', String(port)], port));
  await first.exec(['nft', '-f', '-'], { input: datagramCounter(DISCARD, discardPort('tunnel')) });
  await lab.director.exec(`ip address add ${TUNNEL_VIP}/32 dev eth0`);
  await lab.client.exec("sysctl -qw 'net.ipv4.ip_local_port_range=1024 65000'");
  return running;
}
