import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Reassembler, TIMEOUT4_MS, TIMEOUT6_MS } from '../../../src/director/path/fragments.ts';
import { Frame } from '../../../src/wire/frame.ts';
import { DONT_FRAGMENT, ipv4, MORE_FRAGMENTS } from '../../../src/wire/ipv4.ts';
import { FRAGMENT, ipv6 } from '../../../src/wire/ipv6.ts';
import { Packet } from '../../../src/wire/packet.ts';
import { UDP } from '../../../src/wire/udp.ts';
import { address } from '../../forwarding/recorded-host.ts';
import { framed } from '../../support/packets.ts';

interface Fragment {
  readonly version?: 4 | 6;
  readonly id?: number;
  readonly from?: number;
  readonly length?: number;
  readonly more?: boolean;
  readonly dontFragment?: boolean;
  readonly tos?: number;
  readonly src?: string;
  readonly protocol?: number;
}

/** A fragment of a datagram whose octets are 0, 1, 2, ...; say only what the test is about. */
function fragment({ version = 4, id = 1, from = 0, length = 16, more = true, ...rest }: Fragment): Packet {
  const frame = new Frame();
  const at = frame.start;
  const { tos = 0, protocol = UDP } = rest;
  const header = version === 4 ? 20 : 48;
  frame.end = at + header + length;
  if (version === 4) {
    const bits = (more ? MORE_FRAGMENTS : 0) | (rest.dontFragment ? DONT_FRAGMENT : 0) | (from / 8);
    const [src, dst] = [address(rest.src ?? '10.0.0.10'), address('10.9.0.1')];
    const fields = { totalLength: 20 + length, tos, id, fragment: bits, ttl: 64, protocol };
    ipv4.write(frame, at, { ...fields, src, dst });
  } else {
    const [src, dst] = [address(rest.src ?? 'fd00::10'), address('fd09::1')];
    const fields = { payloadLength: 8 + length, trafficClass: tos, nextHeader: FRAGMENT, hopLimit: 64 };
    ipv6.write(frame, at, { ...fields, src, dst });
    ipv6.writeFragment(frame, at + 40, protocol, from, more, id);
  }
  for (let i = 0; i < length; i++) frame.bytes[at + header + i] = from + i;
  const packet = new Packet();
  expect(packet.decode(frame)).toBe(true);
  return packet;
}

const last = (one: Fragment): Fragment => ({ ...one, more: false });
/** What became of each fragment: the length of a whole datagram, or the word for why it is none. */
const outcomes = (fragments: readonly Fragment[], reassembler = new Reassembler(), now = 0) =>
  fragments.map((one) => {
    const result = reassembler.add(fragment(one), now);
    return typeof result === 'string' ? result : result.length;
  });

describe.each([4, 6] as const)('IPv%i fragments', (version) => {
  const header = version === 4 ? 20 : 40;
  const timeout = version === 4 ? TIMEOUT4_MS : TIMEOUT6_MS;
  const f = (one: Fragment): Fragment => ({ version, ...one });

  test('are reassembled in any order', () => {
    expect(outcomes([f({}), f(last({ from: 16, length: 5 }))])).toEqual(['waiting', header + 21]);
    expect(outcomes([f(last({ from: 16, length: 5 })), f({})])).toEqual(['waiting', header + 21]);
  });

  test('may arrive twice', () => {
    const twice = [f({}), f({}), f({ length: 8 }), f(last({ from: 16 }))];
    expect(outcomes(twice)).toEqual(['waiting', 'waiting', 'waiting', header + 32]);
  });

  test('that overlap discard the whole datagram', () => {
    const reassembler = new Reassembler();
    const overlapping = [f({}), f({ from: 8 })];
    expect(outcomes(overlapping, reassembler)).toEqual(['waiting', 'fragment-invalid']);
    expect(reassembler.size).toBe(0);
    expect(outcomes([f(last({ from: 16 }))], reassembler)).toEqual(['waiting']);
  });

  test.each([
    ['data behind the end', [last({ from: 16 }), { from: 32 }]],
    ['an end before data that is there', [{ from: 32 }, last({ from: 16, length: 8 })]],
    ['a second end', [last({ from: 16 }), last({ from: 32 })]],
    ['a piece that is no multiple of eight (IPv4: none is left of it)', [{ length: version === 4 ? 7 : 12 }]],
    ['nothing in it', [last({ from: 16, length: 0 })]],
    ['more than a packet can hold', [last({ from: 65_528, length: 16 })]],
  ])('with %s are refused', (_what, fragments) => {
    expect(outcomes(fragments.map(f)).at(-1)).toBe('fragment-invalid');
  });

  test('expire after their timeout', () => {
    const reassembler = new Reassembler();
    outcomes([f({})], reassembler, 1000);
    expect(reassembler.expire(1000 + timeout - 1)).toBe(0);
    expect(reassembler.expire(1000 + timeout)).toBe(1);
    expect(reassembler).toMatchObject({ size: 0, octets: 0 });
    expect(outcomes([f(last({ from: 16 }))], reassembler, 1000 + timeout)).toEqual(['waiting']);
  });

  test('that are first in a datagram are reported unchanged when it expires', () => {
    const reassembler = new Reassembler();
    const first = fragment(f({ id: 9 }));
    reassembler.add(fragment(f({ id: 8, from: 16 })), 0);
    reassembler.add(fragment(f({ id: 9, from: 32 })), 0);
    reassembler.add(first, 0);
    const shown: Uint8Array[] = [];
    expect(reassembler.expire(timeout, (frame) => shown.push(frame.copy()))).toBe(3);
    expect(shown).toEqual([first.frame.copy()]);
  });

  test('that arrive late start a new datagram even before the old one is expired', () => {
    const reassembler = new Reassembler();
    outcomes([f({})], reassembler, 0);
    expect(outcomes([f(last({ from: 16 }))], reassembler, timeout)).toEqual(['waiting']);
    expect(reassembler.expire(timeout)).toBe(1);
  });

  test('of different datagrams are kept separate', () => {
    const other = version === 4 ? '10.0.0.11' : 'fd00::11';
    const reassembler = new Reassembler();
    const mixed = [f({}), f(last({ from: 16, id: 2 })), f(last({ from: 16, src: other }))];
    expect(outcomes(mixed, reassembler)).toEqual(['waiting', 'waiting', 'waiting']);
    expect(reassembler.size).toBe(3);
  });

  test('use bounded memory: the oldest datagram is discarded', () => {
    const reassembler = new Reassembler(16_384);
    for (let id = 0; id < 1000; id++) {
      outcomes([f({ id, length: 512 })], reassembler);
      expect(reassembler.octets).toBeLessThanOrEqual(16_384);
    }
    expect(outcomes([f(last({ id: 999, from: 512 }))], reassembler)).toEqual([header + 528]);
    expect(reassembler.expire(0)).toBeGreaterThan(900);
  });

  test('of one datagram are bounded in number', () => {
    const many = Array.from({ length: 1025 }, (_, i) => f({ from: i * 8, length: 8 }));
    expect(outcomes(many).at(-1)).toBe('fragment-invalid');
  });

  test('pass on a congestion mark, and are dropped when only some are ECN-capable (RFC 3168)', () => {
    const marked = (first: number, second: number) => {
      const reassembler = new Reassembler();
      reassembler.add(fragment(f({ tos: first })), 0);
      const whole = reassembler.add(fragment(f(last({ from: 16, tos: second }))), 0);
      if (typeof whole === 'string') return whole;
      const packet = new Packet();
      packet.decode(whole);
      return packet.tos;
    };
    expect(marked(0xb8, 0xb8)).toBe(0xb8);
    expect(marked(0xba, 0xbb)).toBe(0xbb);
    expect(marked(0xb8, 0xbb)).toBe('fragment-invalid');
  });

  test('keep the length of the longest one, so that they are sent as they arrived', () => {
    const reassembler = new Reassembler();
    reassembler.add(fragment(f({ length: 800, id: 77 })), 0);
    const whole = reassembler.add(fragment(f(last({ from: 800, length: 100, id: 77 }))), 5) as Frame;
    const fragmentHeader = version === 4 ? 0 : 8;
    expect(whole).toMatchObject({ fragmentSize: header + fragmentHeader + 800, at: 5 });
    if (version === 6) expect(whole.fragmentId).toBe(77);
  });
});

test('IPv4 keeps DF if no fragment without DF is longer', () => {
  const flags = (second: boolean, length: number) => {
    const reassembler = new Reassembler();
    reassembler.add(fragment({ dontFragment: true }), 0);
    const whole = reassembler.add(fragment(last({ from: 16, length, dontFragment: second })), 0) as Frame;
    expect(ipv4.checksumHolds(whole, whole.start)).toBe(true);
    return ipv4.fragment(whole, whole.start);
  };
  expect(flags(true, 24)).toBe(DONT_FRAGMENT);
  expect(flags(false, 16)).toBe(DONT_FRAGMENT);
  expect(flags(false, 24)).toBe(0);
});

test('the protocol distinguishes IPv4 datagrams, and only the identification distinguishes IPv6 ones', () => {
  const twoProtocols = (version: 4 | 6) =>
    outcomes([{ version }, last({ version, from: 16, protocol: 132 })]).at(-1);
  expect(twoProtocols(4)).toBe('waiting');
  expect(twoProtocols(6)).toBe(40 + 32);
});

test('any input causes no exception and uses bounded memory', () => {
  const anything = fc.record({
    version: fc.constantFrom<4 | 6>(4, 6),
    id: fc.nat(3),
    from: fc.nat(8191).map((units) => units * 8),
    length: fc.oneof(fc.nat(64), fc.nat(2000)),
    more: fc.boolean(),
    tos: fc.nat(3),
  });
  fc.assert(
    fc.property(
      fc.array(
        fc.oneof(
          anything,
          anything.map((one) => ({ ...one, from: one.from % 64 })),
        ),
      ),
      (all) => {
        const reassembler = new Reassembler(8192);
        let now = 0;
        for (const one of all) {
          reassembler.add(fragment(one), now);
          expect(reassembler.octets).toBeLessThanOrEqual(8192 + 4096);
          now += 5000;
          reassembler.expire(now);
        }
        reassembler.expire(now + TIMEOUT6_MS);
        expect(reassembler).toMatchObject({ size: 0, octets: 0 });
      },
    ),
  );
});

test('a damaged fragment is held or dropped, and leaves no state behind', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 20, maxLength: 120 }),
      fc.constantFrom(4, 6),
      (octets, version) => {
        octets[0] = (version << 4) | (version === 4 ? 5 : 0);
        if (version === 4) octets.set([0, octets.length], 2);
        else octets.set([0, Math.max(0, octets.length - 40), FRAGMENT], 4);
        const packet = new Packet();
        fc.pre(packet.decode(framed(octets)) && (packet.moreFragments || packet.fragmentOffset > 0));
        const reassembler = new Reassembler();
        expect(['waiting', 'fragment-invalid', 'fragment-incomplete']).toContain(reassembler.add(packet, 0));
        expect(reassembler.octets).toBeLessThan(0x10000);
        reassembler.expire(60_000);
        expect(reassembler).toMatchObject({ size: 0, octets: 0 });
      },
    ),
  );
});
