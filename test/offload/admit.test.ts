/** Programs make connections as the director does: rows, counts, octets. What they leave to it is as without them. */
import { describe, expect, test } from 'vitest';
import { assemble } from '../../src/ebpf/assemble.ts';
import { exit, mov, R0, R1, storeImm, W } from '../../src/ebpf/instruction.ts';
import { CONTEXT, tc, xdp } from '../../src/offload/hooks.ts';
import { callAdmit, loadScratch, SCRATCH } from '../../src/offload/scratch.ts';
import { SCHEDULER } from '../../src/table/record-layout.ts';
import { parseAddress } from '../../src/wire/address.ts';
import { ADDRESS_BITS } from '../../src/wire/prefix.ts';
import { DESCRIPTORS } from './shared-table.ts';
import { Alone, expectSame, Offloaded } from './two-directors.ts';

const HOOKS = { xdp, tc } as const;

/** A scheduler that selects the destination of that number. */
const selecting = (hook: keyof typeof HOOKS, destination: number): Uint8Array<ArrayBuffer> =>
  assemble([
    mov.reg(CONTEXT, R1),
    loadScratch(DESCRIPTORS, 'pass'),
    storeImm(W, R0, SCRATCH.destination, destination),
    callAdmit(DESCRIPTORS),
    { ...mov.imm(R0, HOOKS[hook].pass), labels: ['pass'] },
    exit(),
  ]);

const SERVICES = {
  'tcp 192.0.2.80:80': '10.0.0.1:8080',
  'udp 192.0.2.80:53': '10.0.0.2:53',
  'tcp [2001:db8::80]:80': '[fd00::1]:8080',
  'udp [2001:db8::80]:53': '[fd00::2]:53',
} as const;
type Name = keyof typeof SERVICES;

/** Two directors with one service of one destination, whose client is known to the programs of one of them. */
function pair(hook: keyof typeof HOOKS, name: Name, options: Parameters<Alone['serve']>[2] = {}) {
  const alone = new Alone();
  const offloaded = new Offloaded(hook);
  if (!options.ops) offloaded.programs.set(SCHEDULER.rr, selecting(hook, 1));
  for (const one of [alone, offloaded]) {
    one.serve(name, [SERVICES[name]], { scheduler: 'rr', ...options });
    one.settle();
    one.receive(first(name, 3999));
  }
  return { alone, offloaded };
}

const first = (name: Name, port: number, extras = ''): string => {
  const [protocol, to] = name.split(' ');
  const client = to!.startsWith('[') ? '[2001:db8:1::1]' : '203.0.113.1';
  return `${client}:${port} > ${to} ${protocol === 'tcp' ? 'TCP SYN' : 'UDP len=9'} DF ${extras}`;
};

/** A connection of the client's port that the client has ended. */
const ended = (port: number): string[] => [
  `203.0.113.1:${port} > 192.0.2.80:80 TCP SYN DF`,
  `203.0.113.1:${port} > 192.0.2.80:80 TCP ACK DF`,
  `203.0.113.1:${port} > 192.0.2.80:80 TCP RST DF`,
];

const METHODS = ['nat', 'dr', 'tunnel'] as const;

describe.each(['xdp', 'tc'] as const)('%s', (hook) => {
  test.each(
    Object.keys(SERVICES).flatMap((name) => METHODS.map((method) => [name as Name, method] as const)),
  )('makes connections of %s by %s', (name, method) => {
    const { alone, offloaded } = pair(hook, name, { method, upperThreshold: 3 });
    const forwarded = offloaded.forwarded;
    for (const one of [alone, offloaded]) one.receive(first(name, 4000));
    expect(offloaded.forwarded - forwarded).toBe(1);
    expect(offloaded.log).toEqual(alone.log);
    expectSame(alone, offloaded);
    // The last one that the threshold admits.
    for (const one of [alone, offloaded]) one.receive(first(name, 4001));
    expectSame(alone, offloaded);
  });

  test.each(
    Object.keys(SERVICES)
      .filter((name) => name.startsWith('udp'))
      .flatMap((name) => METHODS.map((method) => [name as Name, method] as const)),
  )('forwards packets of the one-packet service %s by %s without a row', (name, method) => {
    const { alone, offloaded } = pair(hook, name, { method, ops: true, upperThreshold: 1 });
    const { forwarded } = offloaded;
    for (const one of [alone, offloaded])
      for (const port of [4000, 4000, 4001]) one.receive(first(name, port));
    expect(offloaded.forwarded - forwarded).toBe(3);
    expect(offloaded.log).toEqual(alone.log);
    expect(offloaded.connections).toEqual([]);
    expectSame(alone, offloaded);
  });

  test.each(METHODS)('replaces a connection that is over, by %s', (method) => {
    const { alone, offloaded } = pair(hook, 'tcp 192.0.2.80:80', { method, upperThreshold: 2 });
    const pairOf = [alone, offloaded];
    for (const one of pairOf) for (const packet of ended(4000)) one.receive(packet);
    expectSame(alone, offloaded);
    expect([...offloaded.director.connections(offloaded.now)].map(({ state }) => state)).toContain('CLOSE');
    // The former connection counts until the new one does: the destination is overloaded, and recovers.
    for (const one of pairOf) {
      one.edit('tcp 192.0.2.80:80', SERVICES['tcp 192.0.2.80:80'], { method, upperThreshold: 4 });
      one.settle();
    }
    const { forwarded } = offloaded;
    for (const one of pairOf) one.receive(ended(4000)[0]!);
    expect(offloaded.forwarded - forwarded).toBe(1);
    expectSame(alone, offloaded);
    expect(offloaded.director.snapshot(offloaded.now).counts.reused).toBe(1);
  });

  test.each(METHODS.flatMap((method) => [1, 3].map((mode) => [method, mode] as const)))(
    'handles a SYN after the FIN of a client of %s alone, with conn_reuse_mode %i',
    (method, mode) => {
      const { alone, offloaded } = pair(hook, 'tcp 192.0.2.80:80', { method });
      const [syn, ack] = ended(4000);
      for (const one of [alone, offloaded]) {
        one.set('conn_reuse_mode', mode);
        for (const packet of [syn!, ack!, '203.0.113.1:4000 > 192.0.2.80:80 TCP FIN ACK DF'])
          one.receive(packet);
      }
      expectSame(alone, offloaded);
      const { forwarded } = offloaded;
      for (const one of [alone, offloaded]) one.receive(syn!);
      expect(offloaded.forwarded - forwarded).toBe(1);
      expectSame(alone, offloaded);
    },
  );

  test.each(METHODS)('a client whose neighbor is unknown is admitted if replies bypass: %s', (method) => {
    const alone = new Alone();
    const offloaded = new Offloaded(hook);
    const unknown = '203.0.113.200';
    offloaded.missing.add(unknown);
    const on = { to: parseAddress('203.0.113.0')!, bits: ADDRESS_BITS - 8, interfaceIndex: 1, nextHop: 0 };
    offloaded.clients.setRoutes([on]);
    for (const one of [alone, offloaded]) {
      one.serve('tcp 192.0.2.80:80', ['10.0.0.1:8080'], { scheduler: 'rr', method });
      one.settle();
      one.receive(`${unknown}:4000 > 192.0.2.80:80 TCP SYN DF`);
    }
    expect(offloaded.forwarded).toBe(method === 'nat' ? 0 : 1);
    expectSame(alone, offloaded);
    // By another interface, such a client is the director's matter.
    offloaded.clients.setRoutes([{ ...on, interfaceIndex: 2 }]);
    const { forwarded } = offloaded;
    for (const one of [alone, offloaded]) one.receive(`${unknown}:4001 > 192.0.2.80:80 TCP SYN DF`);
    expect(offloaded.forwarded).toBe(forwarded);
    expectSame(alone, offloaded);
  });

  test('sends a SYN for a connection that is over up, without conn_reuse_mode', () => {
    const { alone, offloaded } = pair(hook, 'tcp 192.0.2.80:80');
    for (const one of [alone, offloaded]) {
      one.set('conn_reuse_mode', 0);
      for (const packet of ended(4000)) one.receive(packet);
    }
    const { forwarded } = offloaded;
    for (const one of [alone, offloaded]) one.receive(ended(4000)[0]!);
    expect(offloaded.forwarded).toBe(forwarded);
    expectSame(alone, offloaded);
  });
});
