/** Measures the processor time of a scrape, a page, a snapshot and an explanation with a full table. */
import { Director } from '../src/director/director.ts';
import { exposition } from '../src/metrics/exposition.ts';
import type { DestinationAddress } from '../src/model/destination.ts';
import type { Surroundings } from '../src/model/surroundings.ts';
import { snapshotText } from '../src/web/api.ts';
import { Events } from '../src/web/events.ts';
import { History } from '../src/web/history.ts';
import { availabilityOf, type Observed } from '../src/web/observed.ts';
import { page } from '../src/web/page.ts';
import { addressFromV4, parseAddress } from '../src/wire/address.ts';
import { Frame } from '../src/wire/frame.ts';
import { ipv4 } from '../src/wire/ipv4.ts';
import { packetOfLine } from '../src/wire/packet-line.ts';
import type { Effort, Figure } from './measure.ts';

const SERVICE = { protocol: 'udp', address: '192.0.2.1', port: 53 } as const;
const ROUNDS = 9;

const SURROUNDINGS: Surroundings = {
  version: '0',
  node: process.version,
  uptime: 1,
  datapath: 'none',
  running: true,
  losses: {},
  sendFailures: {},
  access: { deny: 0, allow: 0, commanded: 0 },
  conditions: [],
  announcements: 0,
  restart: { keeps: false },
  eventLoopDelay: { mean: 0, p99: 0, max: 0 },
  longestTurn: 0,
  notify: { succeeded: 0, failed: 0, timedOut: 0, dropped: 0 },
  control: { clients: 0, requests: 0, failed: 0, refused: 0, timedOut: 0, vanished: 0 },
};

export async function observation(effort: Effort): Promise<Figure[]> {
  const figures: Figure[] = [];
  const cases = effort.quick
    ? ([
        [65_536, 10],
        [1000, 200],
      ] as const)
    : ([
        [1_048_576, 10],
        [1000, 2000],
      ] as const);
  for (const [connections, destinations] of cases) {
    const director = filled(connections, destinations);
    const observed: Observed = {
      snapshot: () => director.snapshot(1),
      summary: () => director.summary(1),
      services: () => director.services(1),
      availability: () => availabilityOf(director.context.services.all),
      surroundings: () => SURROUNDINGS,
      events: new Events(),
      history: new History(),
      now: () => new Date(),
    };
    const packet = packetOfLine(`203.0.113.1:4000 > ${SERVICE.address}:53 UDP len=1`);
    const looks: Readonly<Record<string, () => unknown>> = {
      scrape: () => exposition(director.snapshot(1), SURROUNDINGS),
      page: () => page(observed),
      'JSON snapshot': () => snapshotText(observed),
      history: () => observed.history.record(observed.summary().rates, observed.services()),
      explanation: () => director.explain(packet, 1),
    };
    for (const [name, look] of Object.entries(looks)) {
      const times: number[] = [];
      for (let round = 0; round <= ROUNDS; round++) {
        const begin = process.cpuUsage();
        await look();
        const { user, system } = process.cpuUsage(begin);
        if (round > 0) times.push((user + system) * 1e3);
      }
      times.sort((a, b) => a - b);
      figures.push({
        name: `observation: ${name}, ${destinations} destinations`,
        connections,
        value: times[ROUNDS >> 1]!,
        best: times[0]!,
        unit: 'ns',
      });
    }
  }
  return figures;
}

function filled(connections: number, destinations: number): Director {
  const director = new Director({
    host: {
      transmit: () => true,
      route: () => ({ mtu: 1500, source: parseAddress('192.0.2.254')! }),
      isLocal: () => false,
    },
    random: Math.random,
    maxConnections: connections + 1,
  });
  director.apply({ op: 'add-service', service: SERVICE, options: { scheduler: 'wlc' } }, 0);
  for (let i = 0; i < destinations; i++) {
    const destination: DestinationAddress = { address: `10.0.${i >> 8}.${i & 255}`, port: 53 };
    director.apply({ op: 'add-destination', service: SERVICE, destination, options: { method: 'dr' } }, 0);
  }
  const frame = new Frame();
  const octets = packetOfLine(`203.0.113.1:4000 > ${SERVICE.address}:53 UDP len=1`);
  for (let i = 0; i < connections; i++) {
    frame.load(octets);
    ipv4.setSrc(frame, frame.start, addressFromV4(0x0b000000 + i));
    director.handle(frame, 0);
  }
  if (director.snapshot(0).table.connections !== connections)
    throw new Error('the connection table is not full');
  return director;
}
