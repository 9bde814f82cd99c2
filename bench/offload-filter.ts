/** ns that the filter of a cluster without a director takes for a packet, under BPF_PROG_TEST_RUN at tc. */
import type { Bpf } from '../src/ebpf/bpf.ts';
import { ATTACH_TCX_INGRESS } from '../src/ebpf/link.ts';
import { BpfMap } from '../src/ebpf/map.ts';
import { Program } from '../src/ebpf/program.ts';
import { testRun } from '../src/ebpf/test-run.ts';
import type { PortRule } from '../src/model/nlb.ts';
import { COUNTERS, TIMES_BYTES } from '../src/nlb/filter/maps.ts';
import { filterCode } from '../src/nlb/filter/program.ts';
import { PLACES } from '../src/nlb/places.ts';
import { packetOfLine } from '../src/wire/packet-line.ts';
import { median } from './offload-cost.ts';

const REPEAT = 200_000;
const MAC_ADDRESSES = 12;
/** A lease that does not end. */
const FOREVER_NS = 1n << 62n;

const rule = (protocol: PortRule['protocol'], hosts: PortRule['hosts']): PortRule => ({
  protocol,
  first: protocol === 'any' ? 0 : 80,
  last: protocol === 'any' ? 65_535 : 80,
  hosts,
  affinity: 'single',
  stickiness: 0,
  weights: new Map(),
  priorities: [],
});

const PACKETS = {
  'another address': '203.0.113.7:4000 > 192.0.2.99:80 SYN',
  'first, of another host': '203.0.113.7:4000 > 192.0.2.80:80 SYN',
  'first, of this host': '203.0.113.7:4000 > 192.0.2.80:80 SYN',
  'later, of another host': '203.0.113.7:4000 > 192.0.2.80:80 ACK len=100',
} as const;

/** Returns the medians of the rounds by the kind of packet. */
export function filtered(bpf: Bpf, rounds: number): Record<keyof typeof PACKETS, number> {
  const array = (valueSize: number, entries: number) =>
    new BpfMap(bpf, { type: 'array', keySize: 4, valueSize, entries });
  using accepts = array(PLACES, 2);
  using times = array(TIMES_BYTES, 1);
  using counters = array(8 * COUNTERS.length, 1);
  const end = Buffer.alloc(TIMES_BYTES);
  end.writeBigUInt64LE(FOREVER_NS);
  times.update(new Uint8Array(4), end);
  const code = filterCode({
    cluster: { addresses: ['192.0.2.80'], rules: [rule('tcp', 'multiple'), rule('any', 'single')] },
    seed: 1,
    maps: {
      accepts: accepts.descriptor,
      times: times.descriptor,
      counters: counters.descriptor,
    },
    clusterMac: new Uint8Array(6),
    ownMac: new Uint8Array(6),
  });
  const attachType = ATTACH_TCX_INGRESS;
  using program = new Program(bpf, { type: 'schedulerClassifier', name: 'nlb', code, attachType });
  const measure = ([kind, line]: [string, string]) => {
    accepts.update(new Uint8Array(4), new Uint8Array(PLACES).fill(kind.endsWith('this host') ? 1 : 0));
    const frame = Uint8Array.of(...new Uint8Array(MAC_ADDRESSES), 8, 0, ...packetOfLine(line));
    const runs = Array.from({ length: rounds }, () => testRun(bpf, program, frame, { repeat: REPEAT }));
    return [kind, median(runs.map(({ nanoseconds }) => nanoseconds))] as const;
  };
  return Object.fromEntries(Object.entries(PACKETS).map(measure)) as Record<keyof typeof PACKETS, number>;
}
