/** What changes while the kernel path has a connection: the director with it does what the director alone does. */
import { describe, expect, test } from 'vitest';
import { Alone, expectSame, Offloaded } from './pair.ts';

const CLIENT = '203.0.113.1:4000';
const WEB = 'tcp 192.0.2.80:80';
const SERVER = '10.0.0.1:80';
const HANDSHAKE = [`${CLIENT} > 192.0.2.80:80 SYN`, `${CLIENT} > 192.0.2.80:80 ACK DF`];
const DATA = `${CLIENT} > 192.0.2.80:80 ACK DF len=9`;

function established(one: Alone, method: 'dr' | 'tunnel'): void {
  one.serve(WEB, [SERVER], { method });
  one.settle();
  for (const line of [...HANDSHAKE, DATA, DATA]) one.receive(line);
}

const STORIES: readonly [string, (one: Alone) => void][] = [
  [
    'its tunnel becomes one of another kind',
    (one) => {
      established(one, 'tunnel');
      one.edit(WEB, SERVER, { method: 'tunnel', tunnel: { type: 'gre', port: 0, checksum: 'none' } });
      one.settle();
      one.receive(DATA);
    },
  ],
  [
    'its tunnel’s packets may be fragmented from now on',
    (one) => {
      established(one, 'tunnel');
      one.set('pmtu_disc', 0);
      one.settle();
      one.receive(DATA);
    },
  ],
  [
    'a router says that its tunnel is narrower',
    (one) => {
      established(one, 'tunnel');
      one.receive(
        `198.51.100.9 > 10.0.0.254 ICMP frag-needed mtu=1200 [10.0.0.254 > 10.0.0.1 IPIP DF [${DATA}]]`,
      );
      one.sweep();
      for (const length of [1140, 1141]) one.receive(`${CLIENT} > 192.0.2.80:80 ACK DF len=${length}`);
    },
  ],
  [
    'its director becomes a backup that does not forward',
    (one) => {
      one.set('backup_only', 1);
      established(one, 'dr');
      const daemon = { role: 'backup', interface: 'eth0', syncId: 0 } as const;
      one.director.apply({ op: 'start-daemon', daemon }, one.now);
      one.settle();
      one.receive(DATA);
      one.director.apply({ op: 'stop-daemon', role: 'backup' }, one.now);
      one.receive(DATA);
    },
  ],
  [
    'counters are read, and begin anew',
    (one) => {
      established(one, 'dr');
      one.sweep();
      one.wait(1.9);
      one.receive(DATA);
      one.wait(0.1);
      one.director.apply({ op: 'zero' }, one.now);
      one.receive(DATA);
      one.sweep();
      one.wait(2);
    },
  ],
  [
    'time-outs become shorter',
    (one) => {
      established(one, 'dr');
      one.director.apply({ op: 'set-timeouts', timeouts: { tcp: 30, tcpFin: 0, udp: 0 } }, one.now);
      one.wait(20);
      one.receive(DATA);
      one.sweep();
      one.wait(20);
    },
  ],
  [
    'another service has its client’s port and its server in common with it',
    (one) => {
      for (const name of ['udp 192.0.2.80:53', 'udp 192.0.2.81:53']) one.serve(name, ['10.0.0.1:53']);
      one.settle();
      const reply = `10.0.0.1:53 > ${CLIENT} UDP len=3`;
      const first = `${CLIENT} > 192.0.2.80:53 UDP len=1`;
      const second = `${CLIENT} > 192.0.2.81:53 UDP len=2`;
      for (const line of [first, reply, reply, second, reply, reply, first, reply]) one.receive(line);
      one.sweep();
      one.wait(200);
      one.receive(first);
      one.sweep();
      one.wait(200);
      for (const line of [reply, reply, second, reply, reply]) one.receive(line);
    },
  ],
];

describe.each(['xdp', 'tc'] as const)('%s', (hook) => {
  test.each(STORIES)('%s', (_what, tell) => {
    const [alone, offloaded] = [new Alone(), new Offloaded(hook)];
    for (const one of [alone, offloaded]) tell(one);
    expectSame(alone, offloaded);
    expect(offloaded.offload.counts.installed).toBeGreaterThan(0);
  });
});
