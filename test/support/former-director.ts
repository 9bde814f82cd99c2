/** A director with programs, rules and connections of every kind, in memory that outlives it. */
import { ConnectionTable } from '../../src/director/connections.ts';
import { NextHops } from '../../src/offload/next-hops.ts';
import { ProcessorCounters } from '../../src/table/counters.ts';
import { Ticks } from '../../src/table/ticks.ts';
import { parseAddress } from '../../src/wire/address.ts';
import { Directed } from './directed.ts';
import { CLOCK, COUNTED, LeftMemory, PROCESSORS } from './left-memory.ts';

export const WEB = 'tcp 192.0.2.80:80';
const FTP = 'tcp 192.0.2.80:21';
/** Connections of its table. */
export const LIMIT = 200;

/** Gives a director rules and connections. */
export function serveAll(director: Directed): void {
  director.serve(WEB, ['10.0.0.1:80', '10.0.0.2:80', '10.0.0.3:80'], { scheduler: 'wrr', weight: 3 });
  director.serve(FTP, ['10.0.0.1:21', '10.0.0.2:21'], { persistent: 300, persistencePrefix: 24 });
  director.serve('udp [2001:db8::80]:53', ['[fd00::1]:53'], { scheduler: 'mh', schedulerFlags: 2 });
  director.director.apply({ op: 'set-timeouts', timeouts: { tcp: 100, tcpFin: 20, udp: 50 } }, director.now);
  for (let client = 0; client < 40; client++) {
    director.receive(`203.0.113.${client}:4000 > 192.0.2.80:80 SYN`);
    director.receive(`203.0.113.${client}:4001 > 192.0.2.80:21 SYN`);
    director.receive(`[2001:db8::${client + 1}]:4000 > [2001:db8::80]:53 UDP`);
  }
}

/** Returns a director that is never stopped. Its memory has to be completed (`LeftMemory`). */
export function formerDirector(): { memory: LeftMemory; director: Directed; ticks: Ticks } {
  const memory = new LeftMemory();
  const ticks = new Ticks(CLOCK.tickMs);
  const table = new ConnectionTable({ limit: LIMIT, seed: 7, memory, ticks });
  new ProcessorCounters(memory, PROCESSORS, COUNTED);
  new NextHops(memory).numberOf(
    {
      ...{ interfaceIndex: 3, to: Uint8Array.of(2, 0, 0, 0, 0, 9), from: Uint8Array.of(2, 0, 0, 0, 0, 1) },
      ...{ vlan: 7, mtu: 1500, source: parseAddress('192.0.2.1')! },
    },
    parseAddress('10.0.0.1')!,
  );
  const director = new Directed({ memory, table, ticks });
  serveAll(director);
  return { memory, director, ticks };
}
