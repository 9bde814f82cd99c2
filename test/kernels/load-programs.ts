/** Checks that the kernel's verifier takes every program of the project. */
import { assemble } from '../../src/ebpf/assemble.ts';
import { Bpf } from '../../src/ebpf/bpf.ts';
import { exit, mov, R0 } from '../../src/ebpf/instruction.ts';
import { ATTACH_TCX_INGRESS } from '../../src/ebpf/link.ts';
import { BpfMap } from '../../src/ebpf/map.ts';
import { Program, type ProgramOptions } from '../../src/ebpf/program.ts';
import { type AdmissionParts, admissionCode, onePacketCode } from '../../src/offload/admit.ts';
import { type Arrays, kernelArrays } from '../../src/offload/arrays.ts';
import { decapCode } from '../../src/offload/decap.ts';
import { EntryProgram } from '../../src/offload/entry-program.ts';
import { handBackCode, INTERFACE_KEY, INTERFACE_VALUE } from '../../src/offload/hand-back.ts';
import { type Hook, tc, xdp } from '../../src/offload/hooks.ts';
import { KernelMemory } from '../../src/offload/kernel-memory.ts';
import { markedCode } from '../../src/offload/marked.ts';
import { OwnMacs } from '../../src/offload/own-macs.ts';
import { forwarderCode } from '../../src/offload/program.ts';
import { scheduleCode } from '../../src/offload/schedule/program.ts';
import { ServiceMap } from '../../src/offload/service-map.ts';
import { templateCode } from '../../src/offload/template.ts';
import { loadSystem } from '../../src/sys/system.ts';
import { secretsFrom } from '../../src/table/homes.ts';
import { HEAD_BYTES, NEAR, ROW_BYTES } from '../../src/table/layout.ts';
import {
  COUNTERS_BYTES,
  DESTINATION_BYTES,
  NEXT_HOP_BYTES,
  SETTINGS_BYTES,
} from '../../src/table/record-layout.ts';
import { parseAddress } from '../../src/wire/address.ts';
import { RULES } from '../offload/most-rules.ts';
import { SCHEDULERS } from '../offload/scheduled.ts';
import { ScheduledPair, scheduleAmong } from '../offload/scheduled-pair.ts';
import { MAX_VERIFIED, verifiedInstructions } from '../support/ebpf/verified.ts';
import type { Check } from './check.ts';

const VIPS = ['192.0.2.80', '2001:db8::80'].map((text) => parseAddress(text)!);
/** Index of the loopback device, which stands for the tap. */
const LOOPBACK = 1;
const PLACES = 1024;
const RECORDS = 64;

export async function programChecks(): Promise<Check[]> {
  const bpf = new Bpf(await loadSystem());
  const parts = (hook: Hook): AdmissionParts => ({
    hook,
    arrays: arrays(bpf),
    upcall: { interfaceIndex: LOOPBACK, services: new ServiceMap(bpf).descriptor },
  });
  const programs = (hook: Hook): readonly [string, () => Uint8Array][] => [
    ['forwarder', () => forwarderCode(parts(hook))],
    ['forwarder of own frames', () => forwarderCode({ ...parts(hook), macs: new OwnMacs(bpf).descriptor })],
    ['admission', () => admissionCode(parts(hook))],
    ['one packet', () => onePacketCode(parts(hook))],
    ['template', () => templateCode(parts(hook))],
    ['marks', () => markedCode(parts(hook), RULES)],
    ['hand-back', () => handBackCode(hook, interfaceMap(bpf).descriptor)],
    ['decapsulation', () => decapCode(hook, VIPS)],
    ...SCHEDULERS.map((scheduler): [string, () => Uint8Array] => [
      scheduler,
      () => scheduleCode(scheduler, parts(hook)),
    ]),
  ];
  return [
    ...[xdp, tc].flatMap((hook) =>
      programs(hook).map(([name, code]) => ({
        name: `load ${name} (${hook.name})`,
        run: async () => verified(bpf, hook, code()),
      })),
    ),
    { name: 'load entry of a clsact filter', run: async () => loadEntry(bpf) },
    { name: 'programs of schedulers select as the director does', run: async () => schedule(bpf) },
  ];
}

/** Arrays of a small table. */
function arrays(bpf: Bpf): Arrays {
  const memory = new KernelMemory(bpf);
  memory.reserve('rows', (PLACES + NEAR) * ROW_BYTES);
  memory.reserve('order', (PLACES + NEAR) * 4);
  memory.reserve('templates', (PLACES + NEAR) * 4);
  memory.reserve('spilled', PLACES / 8);
  memory.reserve('head', HEAD_BYTES);
  memory.reserve('destinations', DESTINATION_BYTES);
  memory.reserve('nextHops', NEXT_HOP_BYTES);
  memory.reserve('counters', RECORDS * COUNTERS_BYTES);
  memory.reserve('settings', SETTINGS_BYTES);
  const clock = { tickMs: 4, shift: 0, offset: 0n };
  return kernelArrays(bpf, memory, {
    ...{ places: PLACES, capacity: PLACES + NEAR, secrets: secretsFrom(1) },
    ...{ records: RECORDS, processors: 1, clock },
  });
}

const interfaceMap = (bpf: Bpf): BpfMap =>
  new BpfMap(bpf, { type: 'hash', keySize: INTERFACE_KEY, valueSize: INTERFACE_VALUE, entries: 16 });

const optionsOf = (hook: Hook): Pick<ProgramOptions, 'type' | 'attachType' | 'name'> =>
  hook === xdp
    ? { type: 'xdp', name: 'check' }
    : { type: 'schedulerClassifier', name: 'check', attachType: ATTACH_TCX_INGRESS };

/** Throws VerifierError. */
function verified(bpf: Bpf, hook: Hook, code: Uint8Array): string {
  const started = performance.now();
  using program = new Program(bpf, { ...optionsOf(hook), code });
  const ms = Math.round(performance.now() - started);
  const instructions = verifiedInstructions(bpf, program);
  if (instructions > MAX_VERIFIED)
    throw new Error(`the verifier looked at ${instructions} instructions: expected at most ${MAX_VERIFIED}`);
  return `${instructions} instructions verified, ${ms} ms`;
}

function loadEntry(bpf: Bpf): string {
  using program = new Program(bpf, { ...optionsOf(tc), code: assemble([mov.imm(R0, tc.pass), exit()]) });
  using entry = new EntryProgram(bpf, program, { ...optionsOf(tc), pass: tc.pass });
  return entry.descriptor > 0 ? 'loaded' : '';
}

/** Verifiers differ in what they take for dead code in a function that is called in a loop. */
function schedule(bpf: Bpf): string {
  const { selected, left } = scheduleAmong(new ScheduledPair(bpf), 64, 50);
  if (selected < 10 * left) throw new Error(`${selected} connections selected: expected ten times ${left}`);
  return `${selected} connections selected, ${left} left to the director`;
}
