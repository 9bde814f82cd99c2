/** Measures response times of a director under a flood of datagrams: metrics, status page and ipvsadm. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Lab } from '../test/support/lab.ts';
import { ipvsadm, startAgent, startDirector } from '../test/support/lvs-programs.ts';
import { built } from '../test/support/project.ts';
import type { Effort } from './measure.ts';

/** Offered packets per second; 0: the baseline. */
const RATES = [0, 50_000, 100_000] as const;
const DATAPATHS = ['live', 'auto'] as const;
const WEB = '127.0.0.1:9112';

export interface LatencyFigure {
  readonly look: string;
  /** The datapath: this process, or the kernel if possible. */
  readonly datapath: (typeof DATAPATHS)[number];
  /** Packets per second: offered, and forwarded. */
  readonly offered: number;
  readonly forwarded: number;
  /** ms. */
  readonly median: number;
  readonly p99: number;
  readonly looks: number;
}

const CONFIG = `method: dr
vips:
  - { interface: eth0, address: 192.168.0.101, prefix: 24 }
director: { inside: { interface: eth0, address: 192.168.0.1, prefix: 24 } }
services:
  - { udp: 192.168.0.101:9, scheduler: rr, destinations: [192.168.0.3, 192.168.0.4] }
`;

export async function runLatency({ quick }: Effort): Promise<LatencyFigure[]> {
  const looks = quick ? 20 : 200;
  await using lab = await Lab.create({ offloads: 'off' });
  const config = join(lab.folder, 'lvs.yaml');
  writeFileSync(config, CONFIG);
  for (const host of lab.servers) {
    await startAgent(host, '--vip', lab.vip);
    // Dropped on arrival, so that replies of the servers cause no load.
    await host.exec(
      `nft 'add table ip discard; add chain ip discard in { type filter hook prerouting priority -300; }; add rule ip discard in udp dport 9 drop'`,
    );
  }
  const figures: LatencyFigure[] = [];
  for (const datapath of DATAPATHS) {
    await using _director = await startDirector(
      lab.director,
      config,
      '--metrics',
      WEB,
      '--datapath',
      datapath,
    );
    figures.push(...(await underLoad(lab, datapath, looks)));
  }
  return figures;
}

async function underLoad(
  lab: Lab,
  datapath: LatencyFigure['datapath'],
  looks: number,
): Promise<LatencyFigure[]> {
  const figures: LatencyFigure[] = [];
  for (const offered of RATES) {
    const commands = {
      metrics: `curl -sS -o /dev/null -w '%{time_total}\\n' http://${WEB}/metrics`,
      page: `curl -sS -o /dev/null -w '%{time_total}\\n' http://${WEB}/`,
      'ipvsadm -L': timed([...ipvsadm, '-L', '-n']),
    };
    for (const [look, command] of Object.entries(commands)) {
      const count = look === 'ipvsadm -L' ? Math.ceil(looks / 5) : looks;
      const seconds = 600;
      const before = await forwarded(lab);
      const flood = offered > 0 ? lab.client.spawn(generator(lab, offered, seconds)) : undefined;
      const from = performance.now();
      const text = await lab.director.exec(`for i in $(seq ${count}); do ${command}; sleep 0.03; done`, {
        limit: seconds * 1000,
      });
      const took = (performance.now() - from) / 1000;
      await flood?.stop('SIGKILL');
      const times = text.split('\n').map((line) => Number(line) * 1000);
      times.sort((a, b) => a - b);
      figures.push({
        look,
        datapath,
        offered,
        forwarded: ((await forwarded(lab)) - before) / took,
        median: times[times.length >> 1]!,
        p99: times[Math.floor(times.length * 0.99)]!,
        looks: count,
      });
    }
  }
  return figures;
}

/** Returns a command that prints the duration of `command`, seconds. */
const timed = (command: readonly string[]): string =>
  `s=$(date +%s%N); ${command.join(' ')} > /dev/null; e=$(date +%s%N); awk "BEGIN { print ($e - $s) / 1000000000 }"`;

const generator = (lab: Lab, rate: number, seconds: number): string[] => [
  ...built('bench/load/udp-generator'),
  ...['--from', lab.client.address, '--to', lab.vip, '--rate', String(rate), '--seconds', String(seconds)],
];

async function forwarded(lab: Lab): Promise<number> {
  const text = await lab.director.exec(`curl -sS http://${WEB}/metrics`);
  return Number(/^lvs_incoming_packets_total (\d+)$/m.exec(text)?.[1]);
}

export const formatLatency = (figures: readonly LatencyFigure[]): string =>
  [
    'ms to an answer                 offered/s  forwarded/s    median   99th percentile',
    ...figures.map(
      ({ look, datapath, offered, forwarded: went, median, p99 }) =>
        `  ${`${look}, ${datapath}`.padEnd(26)}${String(offered).padStart(13)}${String(Math.round(went)).padStart(13)}${median.toFixed(1).padStart(10)}${p99.toFixed(1).padStart(10)}`,
    ),
  ].join('\n');
