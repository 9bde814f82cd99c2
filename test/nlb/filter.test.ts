/** The filter's program, run by the kernel on single packets. */
import { describe, expect, test } from 'vitest';
import type { Bpf } from '../../src/ebpf/bpf.ts';
import { ATTACH_TCX_EGRESS, ATTACH_TCX_INGRESS } from '../../src/ebpf/link.ts';
import { BpfMap } from '../../src/ebpf/map.ts';
import { Program } from '../../src/ebpf/program.ts';
import { testRun } from '../../src/ebpf/test-run.ts';
import type { Affinity, PortRule } from '../../src/model/nlb.ts';
import { placeOf } from '../../src/nlb/client-hash.ts';
import { COUNTERS, RECENT_BYTES, SUSPENDED, TIMES_BYTES } from '../../src/nlb/filter/maps.ts';
import { filterCode } from '../../src/nlb/filter/program.ts';
import { resetCode } from '../../src/nlb/filter/resets.ts';
import { ACCEPTED, BEGINNING, ENDING } from '../../src/nlb/own-places.ts';
import { GROUP_SHIFT, GROUPS, PLACES } from '../../src/nlb/places.ts';
import { parseAddress } from '../../src/wire/address.ts';
import { formatMac, parseMac } from '../../src/wire/ethernet.ts';
import { packetOfLine } from '../../src/wire/packet-line.ts';
import { noKernel } from '../offload/datapaths.ts';
import { kernel } from '../support/ebpf/kernel.ts';
import { randomOf } from './segment.ts';

const PASS = -1;
const DROP = 2;
const REDIRECT = 7;
const SEED = 0x1234_5678;
const CLUSTER_MAC = parseMac('03:bf:c0:00:02:50')!;
const OWN_MAC = parseMac('02:00:00:00:00:07')!;
const CLIENT_MAC = parseMac('02:00:00:00:00:99')!;

const rule = (
  protocol: PortRule['protocol'],
  first: number,
  last: number,
  more: Partial<PortRule> = {},
): PortRule => ({
  protocol,
  first,
  last,
  hosts: 'multiple',
  affinity: 'single',
  stickiness: 0,
  weights: new Map(),
  priorities: [],
  ...more,
});
const RULES = [
  rule('tcp', 80, 90),
  rule('tcp', 1000, 1000, { affinity: 'none' }),
  rule('tcp', 2000, 2000, { affinity: 'network' }),
  rule('udp', 53, 53),
  rule('udp', 54, 54, { stickiness: 60 }),
  rule('tcp', 91, 91, { hosts: 'disabled' }),
  rule('tcp', 443, 443, { address: '192.0.2.81' }),
  rule('any', 0, 65_535, { hosts: 'single' }),
];
const STICKY = 4;
const LAST = RULES.length - 1;

class Filter {
  readonly #accepts: BpfMap;
  readonly #counters: BpfMap;
  readonly #times: BpfMap;
  readonly #recent: BpfMap;
  readonly #program: Program;

  constructor(addresses = ['192.0.2.80', '192.0.2.81', '2001:db8::80'], rules: readonly PortRule[] = RULES) {
    const array = (valueSize: number, entries: number) =>
      new BpfMap(kernel as Bpf, { type: 'array', keySize: 4, valueSize, entries });
    this.#accepts = array(PLACES, rules.length);
    this.#times = array(TIMES_BYTES, 1);
    this.#recent = array(rules.length * GROUPS * RECENT_BYTES, 1);
    this.#counters = array(8 * COUNTERS.length, 1);
    const code = filterCode({
      cluster: { addresses, rules },
      seed: SEED,
      maps: {
        accepts: this.#accepts.descriptor,
        times: this.#times.descriptor,
        recent: this.#recent.descriptor,
        counters: this.#counters.descriptor,
      },
      clusterMac: CLUSTER_MAC,
      ownMac: OWN_MAC,
    });
    this.#program = new Program(kernel as Bpf, {
      type: 'schedulerClassifier',
      name: 'nlb',
      code,
      attachType: ATTACH_TCX_INGRESS,
    });
    this.lease(2 ** 40);
  }

  /** ms of the monotonic clock. */
  lease(ms: number, ends = 0, begins = 0, suspended = 0): void {
    const end = new Uint8Array(TIMES_BYTES);
    const view = new DataView(end.buffer);
    for (const [i, time] of [ms, ends, begins].entries())
      view.setBigUint64(8 * i, BigInt(time) * 1_000_000n, true);
    view.setUint32(SUSPENDED, suspended, true);
    this.#times.update(new Uint8Array(4), end);
  }

  accept(index: number, ...places: readonly number[]): void {
    this.set(index, ACCEPTED, ...places);
  }

  /** Sets these places of a rule to a value, and the others to 0. */
  set(index: number, value: number, ...places: readonly number[]): void {
    const bytes = new Uint8Array(PLACES);
    for (const place of places) bytes[place] = value;
    this.#accepts.update(Uint8Array.of(index, 0, 0, 0), bytes);
  }

  /** Returns the groups of a rule that had accepted packets. */
  recent(index: number): number[] {
    const view = new DataView(this.#recent.lookup(new Uint8Array(4))!.buffer);
    const at = (group: number) => view.getUint32(RECENT_BYTES * (index * GROUPS + group), true);
    return Array.from({ length: GROUPS }, (_, group) => group).filter((group) => at(group) > 0);
  }

  #counts(): number[] {
    const view = new DataView(this.#counters.lookup(new Uint8Array(4))!.buffer);
    return COUNTERS.map((_, i) => Number(view.getBigUint64(8 * i, true)));
  }

  /** Returns what the program did with a frame, by its counter, and the frame afterwards. */
  run(frame: Uint8Array) {
    const before = this.#counts();
    const { result, packet } = testRun(kernel as Bpf, this.#program, frame);
    const after = this.#counts();
    return { result, packet, counted: COUNTERS.filter((_, i) => after[i] !== before[i]).join() };
  }

  /** The same for a packet line. */
  see(line: string) {
    const { result, counted } = this.run(frameOf(packetOfLine(line)));
    return [result, counted];
  }
}

const frameOf = (packet: Uint8Array): Uint8Array =>
  Uint8Array.of(...CLUSTER_MAC, ...CLIENT_MAC, ...(packet[0]! >> 4 === 6 ? [0x86, 0xdd] : [8, 0]), ...packet);

test('the kernel runs programs', ({ skip }) => skip(noKernel !== undefined, noKernel));

describe.skipIf(noKernel !== undefined)('the filter', () => {
  const filter = noKernel === undefined ? new Filter() : (undefined as never);
  const reset = () => {
    for (const i of RULES.keys()) filter.accept(i);
  };

  test.each<[Affinity, number, number]>([
    ['single', 0, 80],
    ['none', 1, 1000],
    ['network', 2, 2000],
  ])(
    'accepts the first packets of exactly its places, as placeOf computes them: %s',
    (affinity, index, port) => {
      reset();
      const random = randomOf(index + 1);
      const byte = () => 1 + Math.floor(random() * 250);
      for (let n = 0; n < 100; n++) {
        const client =
          n % 2 ? `198.${byte()}.${byte()}.${byte()}` : `2001:db8:${byte()}:${byte()}::${byte()}:7`;
        const from = 1024 + Math.floor(random() * 60_000);
        const place = placeOf(affinity, parseAddress(client)!, from, SEED);
        const line =
          n % 2
            ? `${client}:${from} > 192.0.2.80:${port} SYN`
            : `[${client}]:${from} > [2001:db8::80]:${port} SYN`;
        filter.accept(index, place);
        expect(filter.see(line)).toEqual([PASS, 'new']);
        filter.accept(index, place ^ 1);
        expect(filter.see(line)).toEqual([DROP, 'others']);
      }
    },
  );

  const CLIENT = '203.0.113.7';
  const all = () => {
    const place = placeOf('single', parseAddress(CLIENT)!, 0, SEED);
    for (const i of RULES.keys()) filter.accept(i, place);
  };

  test.each([
    ['203.0.113.7:4000 > 192.0.2.99:80 SYN', [PASS, '']],
    ['203.0.113.7:4000 > 192.0.2.80:80 ACK len=10', [DROP, 'unknown']],
    ['203.0.113.7:4000 > 192.0.2.80:91 SYN', [DROP, 'disabled']],
    ['203.0.113.7:4000 > 192.0.2.80:92 SYN', [PASS, 'default']],
    ['203.0.113.7:4000 > 192.0.2.81:443 SYN', [PASS, 'new']],
    ['203.0.113.7:4000 > 192.0.2.80:443 SYN', [PASS, 'default']],
    ['203.0.113.7:4000 > 192.0.2.80:53 UDP len=10', [PASS, 'new']],
  ])('decides about %s', (line, outcome) => {
    all();
    expect(filter.see(line)).toEqual(outcome);
  });

  test('accepts nothing new after the lease, or without places', () => {
    all();
    filter.lease(0);
    expect(filter.see('203.0.113.7:4000 > 192.0.2.80:80 SYN')).toEqual([DROP, 'lapsed']);
    filter.lease(2 ** 40);
    reset();
    expect(filter.see('203.0.113.7:4000 > 192.0.2.80:53 UDP len=10')).toEqual([DROP, 'others']);
    expect(filter.see('203.0.113.7:4000 > 192.0.2.80:92 SYN')).toEqual([DROP, 'others']);
  });

  test('accepts nothing of suspended rules', () => {
    all();
    filter.lease(2 ** 40, 0, 0, (1 << 0) | (1 << STICKY));
    const outcomes = ['80 SYN', '53 UDP len=10', '54 UDP len=10'].map(
      (text) => filter.see(`${CLIENT}:4000 > 192.0.2.80:${text}`)[1],
    );
    filter.lease(2 ** 40);
    expect(outcomes).toEqual(['suspended', 'new', 'suspended']);
  });

  test('accepts places until and from the times that are set for them', () => {
    const place = placeOf('single', parseAddress(CLIENT)!, 0, SEED);
    const now = Number(process.hrtime.bigint() / 1_000_000n);
    const second = 1000;
    const outcomes = [ENDING, BEGINNING].flatMap((value) =>
      [now - 60 * second, now + 60 * second].map((time) => {
        filter.lease(2 ** 40, time, time);
        filter.set(0, value, place);
        return filter.see(`${CLIENT}:4000 > 192.0.2.80:80 SYN`)[1];
      }),
    );
    filter.lease(2 ** 40);
    expect(outcomes).toEqual(['others', 'new', 'new', 'others']);
  });

  test('notes the groups of accepted clients, of rules with stickiness', () => {
    all();
    expect(filter.recent(STICKY)).toEqual([]);
    filter.see(`${CLIENT}:4000 > 192.0.2.80:53 UDP len=10`);
    filter.see('203.0.113.8:4000 > 192.0.2.80:54 UDP len=10');
    expect(filter.see(`${CLIENT}:4000 > 192.0.2.80:54 UDP len=10`)).toEqual([PASS, 'new']);
    const group = placeOf('single', parseAddress(CLIENT)!, 0, SEED) >> GROUP_SHIFT;
    expect(RULES.map((_, i) => filter.recent(i))).toEqual(RULES.map((_, i) => (i === STICKY ? [group] : [])));
  });

  test.each([4, 6])('accepts a first segment in fragments by its first one, IPv%i', (version) => {
    all();
    const whole =
      version === 4
        ? packetOfLine(`${CLIENT}:4000 > 192.0.2.80:80 SYN`)
        : packetOfLine('[2001:db8::7]:4000 > [2001:db8::80]:80 SYN');
    if (version === 4) {
      whole[6] = 0x20; // more fragments
      expect(filter.run(frameOf(whole)).counted).toBe('new');
      return;
    }
    filter.accept(0, placeOf('single', parseAddress('2001:db8::7')!, 0, SEED));
    const fragment = Uint8Array.of(...whole.subarray(0, 40), 6, 0, 0, 1, 0, 0, 0, 9, ...whole.subarray(40));
    fragment[6] = 44;
    fragment[5]! += 8;
    expect(filter.run(frameOf(fragment)).counted).toBe('new');
  });

  test.each([
    [['192.0.2.80'], [RULES[LAST]!]],
    [['2001:db8::80'], [RULES[LAST]!]],
    [['2001:db8::80'], [RULES[STICKY]!, RULES[LAST]!]],
    [['2001:db8::80'], [RULES[5]!, RULES[LAST]!]],
    [['192.0.2.80'], [RULES[1]!, RULES[LAST]!]],
  ])('loads for %j and a part of the rules', (addresses, rules) => {
    expect(new Filter(addresses, rules).see('203.0.113.7:4000 > 192.0.2.99:80 SYN')).toEqual([PASS, '']);
  });

  test.each([[['192.0.2.80']], [['2001:db8::80']], [['192.0.2.80', '2001:db8::80']]])(
    'drops resets only of half-open connections: loads for %j',
    (addresses) => {
      const counters = new BpfMap(kernel as Bpf, {
        ...{ type: 'array', keySize: 4, valueSize: 8 * COUNTERS.length, entries: 1 },
      });
      const program = new Program(kernel as Bpf, {
        type: 'schedulerClassifier',
        name: 'nlb_resets',
        code: resetCode({ cluster: { addresses }, maps: { counters: counters.descriptor } }),
        attachType: ATTACH_TCX_EGRESS,
      });
      for (const line of [
        '192.0.2.80:80 > 203.0.113.7:4000 RST',
        '192.0.2.80:80 > 203.0.113.7:4000 RST ACK',
        '[2001:db8::80]:80 > [2001:db8::7]:4000 RST',
        '192.0.2.99:80 > 203.0.113.7:4000 RST',
      ])
        expect(testRun(kernel as Bpf, program, frameOf(packetOfLine(line))).result).toBe(PASS);
    },
  );

  test('passes fragments without ports on every host', () => {
    reset();
    const packet = packetOfLine('203.0.113.7:4000 > 192.0.2.80:53 UDP len=40');
    packet[7] = 5;
    expect(filter.run(frameOf(packet)).counted).toBe('fragments');
  });

  test('decides about an ICMP error by the quoted packet, and leaves other ICMP to the default host', () => {
    const quoted = packetOfLine('192.0.2.80:53 > 203.0.113.7:4000 UDP len=10');
    const header = packetOfLine('198.51.100.1 > 192.0.2.80 ICMP echo-request len=28').slice(0, 28);
    header[20] = 3;
    const error = frameOf(Uint8Array.of(...header, ...quoted.subarray(0, 28)));
    all();
    expect(filter.run(error)).toMatchObject({ result: PASS, counted: 'new' });
    reset();
    expect(filter.run(error)).toMatchObject({ result: DROP, counted: 'others' });
    filter.accept(LAST, placeOf('single', parseAddress('198.51.100.1')!, 0, SEED));
    const echo = frameOf(packetOfLine('198.51.100.1 > 192.0.2.80 ICMP echo-request len=28'));
    expect(filter.run(echo)).toMatchObject({ result: PASS, counted: 'default' });
  });

  const arp = Uint8Array.of(
    ...[...new Uint8Array(6).fill(255), ...CLIENT_MAC, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1],
    ...[...CLIENT_MAC, 203, 0, 113, 7, 0, 0, 0, 0, 0, 0, 192, 0, 2, 81],
  );

  test('answers ARP on the default host, with the cluster MAC address from its own', () => {
    filter.accept(LAST, 0);
    const { result, packet } = filter.run(arp);
    expect(result).toBe(REDIRECT);
    expect([formatMac(packet, 0), formatMac(packet, 6)]).toEqual([formatMac(CLIENT_MAC), formatMac(OWN_MAC)]);
    expect([...packet.subarray(20, 42)]).toEqual(
      [[0, 2], [...CLUSTER_MAC], [192, 0, 2, 81], [...CLIENT_MAC], [203, 0, 113, 7]].flat(),
    );
    reset();
    expect(filter.run(arp).result).toBe(PASS);
  });

  test('answers neighbor solicitations the same, with a valid checksum', () => {
    filter.accept(LAST, 0);
    const words = (text: string) =>
      [...parseAddress(text)!].flatMap((w) => [w >>> 24, (w >>> 16) & 255, (w >>> 8) & 255, w & 255]);
    const client = words('fe80::99');
    const target = words('2001:db8::80');
    const solicitation = Uint8Array.of(
      ...[0x33, 0x33, 0xff, 0, 0, 0x80, ...CLIENT_MAC, 0x86, 0xdd],
      ...[0x60, 0, 0, 0, 0, 32, 58, 255, ...client, ...words('ff02::1:ff00:80')],
      ...[135, 0, 0, 0, 0, 0, 0, 0, ...target, 1, 1, ...CLIENT_MAC],
    );
    const { result, packet } = filter.run(solicitation);
    expect(result).toBe(REDIRECT);
    expect([formatMac(packet, 0), formatMac(packet, 6)]).toEqual([formatMac(CLIENT_MAC), formatMac(OWN_MAC)]);
    expect([...packet.subarray(22, 54)]).toEqual([...target, ...client]);
    expect([packet[54], packet[58]]).toEqual([136, 0x60]);
    expect([...packet.subarray(62, 86)]).toEqual([...target, 2, 1, ...CLUSTER_MAC]);
    let sum = 32 + 58;
    for (let i = 22; i < 86; i += 2) sum += (packet[i]! << 8) | packet[i + 1]!;
    expect((sum & 0xffff) + (sum >>> 16)).toBe(0xffff);
  });
});
