/** Programs stay far below what the verifier looks at, so that older kernels, which prune less, accept them, too. */
import { describe, expect, test } from 'vitest';
import type { Bpf } from '../../src/ebpf/bpf.ts';
import { ATTACH_TCX_INGRESS } from '../../src/ebpf/link.ts';
import { Program } from '../../src/ebpf/program.ts';
import { type AdmissionParts, admissionCode, onePacketCode } from '../../src/offload/admit.ts';
import { kernelArrays } from '../../src/offload/arrays.ts';
import { KernelMemory } from '../../src/offload/kernel-memory.ts';
import { markedCode } from '../../src/offload/marked.ts';
import { OwnMacs } from '../../src/offload/own-macs.ts';
import { forwarderCode } from '../../src/offload/program.ts';
import { ServiceMap } from '../../src/offload/service-map.ts';
import { templateCode } from '../../src/offload/template.ts';
import { kernel } from '../support/ebpf/kernel.ts';
import { MAX_VERIFIED, verifiedInstructions } from '../support/ebpf/verified.ts';
import { HOOKS, noKernel, TAP } from './datapaths.ts';
import { RULES } from './most-rules.ts';
import { sharedTable, sizesOf } from './shared-table.ts';

describe.skipIf(noKernel !== undefined)(`at most ${MAX_VERIFIED} instructions are verified`, () => {
  test.each([
    ['known, xdp', 'xdp', forwarderCode],
    [
      'known of own frames, xdp',
      'xdp',
      (parts) => forwarderCode({ ...parts, macs: new OwnMacs(kernel as Bpf).descriptor }),
    ],
    ['known, tc', 'tc', forwarderCode],
    ['known without upcalls, xdp', 'xdp', ({ hook, arrays }) => forwarderCode({ hook, arrays })],
    ['known without upcalls, tc', 'tc', ({ hook, arrays }) => forwarderCode({ hook, arrays })],
    ['admit, xdp', 'xdp', admissionCode],
    ['admit, tc', 'tc', admissionCode],
    ['one packet, xdp', 'xdp', onePacketCode],
    ['one packet, tc', 'tc', onePacketCode],
    ['template, xdp', 'xdp', templateCode],
    ['template, tc', 'tc', templateCode],
    ['marked, xdp', 'xdp', (parts) => markedCode(parts, RULES)],
    ['marked, tc', 'tc', (parts) => markedCode(parts, RULES)],
  ] as [string, 'xdp' | 'tc', (parts: AdmissionParts) => Uint8Array<ArrayBuffer>][])(
    '%s',
    (_name, hook, codeOf) => {
      const bpf = kernel as Bpf;
      const memory = new KernelMemory(bpf);
      const shared = sharedTable(memory, 4096, 7);
      const arrays = kernelArrays(bpf, memory, sizesOf(shared));
      const upcall = { interfaceIndex: TAP, services: new ServiceMap(bpf).descriptor };
      using program = new Program(bpf, {
        type: hook === 'xdp' ? 'xdp' : 'schedulerClassifier',
        name: 'lvs_verified',
        code: codeOf({ hook: HOOKS[hook], arrays, upcall }),
        attachType: hook === 'tc' ? ATTACH_TCX_INGRESS : 0,
      });

      expect(verifiedInstructions(bpf, program)).toBeLessThanOrEqual(MAX_VERIFIED);
    },
  );
});
