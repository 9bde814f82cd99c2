import { describe, expect, test } from 'vitest';
import type { Bpf } from '../../src/ebpf/bpf.ts';
import { ATTACH_TCX_INGRESS } from '../../src/ebpf/link.ts';
import { BpfMap } from '../../src/ebpf/map.ts';
import { Program } from '../../src/ebpf/program.ts';
import { testRun } from '../../src/ebpf/test-run.ts';
import { HAND_BACK, handBackCode, INTERFACE_KEY, INTERFACE_VALUE } from '../../src/offload/hand-back.ts';
import { packetOfLine } from '../../src/wire/packet-line.ts';
import { kernel } from '../support/ebpf/kernel.ts';
import { ARRIVED, arriving, HOOKS, LEFT, noKernel } from './datapaths.ts';

const REDIRECTED = { xdp: 4, tc: 7 } as const;
const INDEX = 0x01020304;

/** A frame as the director hands it back. */
function handedBack(index: number, mark = HAND_BACK): Uint8Array {
  const frame = arriving(packetOfLine('203.0.113.7:4000 > 192.0.2.80:80 ACK len=10'));
  const view = new DataView(frame.buffer, frame.byteOffset);
  frame.set(LEFT.to, 0);
  view.setUint16(6, mark);
  view.setUint32(8, index, true);
  return frame;
}

test('this kernel can load programs', ({ skip }) => skip(noKernel !== undefined, noKernel));

describe.skipIf(noKernel !== undefined).each(['xdp', 'tc'] as const)('%s', (hook) => {
  const open = () => {
    const bpf = kernel as Bpf;
    const map = new BpfMap(bpf, {
      type: 'hash',
      keySize: INTERFACE_KEY,
      valueSize: INTERFACE_VALUE,
      entries: 4,
    });
    const key = new Uint8Array(4);
    new DataView(key.buffer).setUint32(0, INDEX, true);
    map.update(key, Uint8Array.of(...ARRIVED.from, 0, 0));
    const program = new Program(bpf, {
      type: hook === 'xdp' ? 'xdp' : 'schedulerClassifier',
      name: 'hand_back',
      code: handBackCode(HOOKS[hook], map.descriptor),
      attachType: hook === 'tc' ? ATTACH_TCX_INGRESS : 0,
    });
    return (frame: Uint8Array) => testRun(bpf, program, frame);
  };

  test('sends a frame through the interface that it names, from the address of that interface', () => {
    const frame = handedBack(INDEX);
    const { result, packet } = open()(frame);
    expect(result).toBe(REDIRECTED[hook]);
    expect(packet).toEqual(Uint8Array.of(...LEFT.to, ...ARRIVED.from, ...frame.subarray(12)));
  });

  test.each([
    ['names no interface of ours', handedBack(7)],
    ['was not handed back', handedBack(INDEX, 0x0200)],
  ])('drops a frame that %s', (_what, frame) => {
    expect(open()(frame)).toMatchObject({ result: HOOKS[hook].drop, packet: frame });
  });
});
