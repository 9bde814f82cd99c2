/** The demo without network namespaces: replays captured packets through a director in this process. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Director } from '../src/director/director.ts';
import { ReplayIo } from '../src/io/replay.ts';
import { type Address, addressFromV4, formatAddress } from '../src/wire/address.ts';
import { ETHERNET_HEADER, ETHERTYPE_IPV4 } from '../src/wire/ethernet.ts';
import type { Frame } from '../src/wire/frame.ts';
import { printFrame } from '../src/wire/print.ts';
import { PROJECT } from '../test/support/project.ts';
import type { Finding } from './demo.ts';

const VIP = '192.168.0.101';
/** 192.168.0.1: the address of the director in the captures. */
const SOURCE = addressFromV4(0xc0a80001);
const MTU = 1500;
const SERVERS = { dr: ['192.168.0.3', '192.168.0.4'], nat: ['192.168.1.3'] } as const;
/** The captures contain HTTP, telnet, and a port without a server. */
const PORTS = [80, 23, 81];
/** Maximum number of packets of each capture that are printed. */
const MAX_SHOWN = 12;

/** Replays both captures, prints the first packets, and returns the claims. */
export function replayDemo(): Finding[] {
  return [...replay('dr-http-telnet.pcap', 'dr'), ...replay('nat-http-telnet.pcap', 'nat')];
}

function replay(file: string, method: keyof typeof SERVERS): Finding[] {
  console.log(`\n=== ${file}\n`);
  const servers = SERVERS[method];
  const sent = new Map<string, number>();
  let shown = 0;
  const transmit = (frame: Frame, nextHop: Address) => {
    const to = formatAddress(nextHop);
    sent.set(to, (sent.get(to) ?? 0) + 1);
    if (shown++ < MAX_SHOWN) console.log(`  ${printFrame(frame)}  via ${to}`);
    return true;
  };
  const host = {
    transmit,
    route: () => ({ mtu: MTU, source: SOURCE }),
    isLocal: (address: Address) => formatAddress(address) === VIP,
  };
  const director = new Director({ host });
  for (const port of PORTS) {
    const service = { protocol: 'tcp', address: VIP, port } as const;
    director.apply({ op: 'add-service', service, options: { scheduler: 'rr' } }, 0);
    for (const address of servers)
      director.apply(
        { op: 'add-destination', service, destination: { address, port }, options: { method, weight: 1 } },
        0,
      );
  }

  const io = new ReplayIo(readFileSync(join(PROJECT, 'test/fixtures', file)));
  let packets = 0;
  const handle = (frame: Frame) => {
    if (io.medium === 'ethernet') {
      const type = frame.view.getUint16(frame.start + ETHERNET_HEADER - 2);
      if (type !== ETHERTYPE_IPV4) return;
      frame.start += ETHERNET_HEADER;
    }
    packets++;
    director.handle(frame, Math.floor(frame.at));
  };
  while (io.receive(handle, 64) > 0);

  for (const [to, count] of sent) console.log(`  ${count} packets to ${to}`);
  const all = [...sent.values()].reduce((a, b) => a + b, 0);
  return [
    { where: file, claim: `its ${packets} packets are forwarded`, held: packets > 0 && all === packets },
    {
      where: file,
      claim: 'every real server receives packets',
      held: servers.every((server) => (sent.get(server) ?? 0) > 0),
    },
  ];
}
