/** Programs of schedulers select what the director's schedulers do, and both go on from each other's position. */
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Bpf } from '../../src/ebpf/bpf.ts';
import { VerifierError } from '../../src/ebpf/program.ts';
import { xdp } from '../../src/offload/hooks.ts';
import { SchedulerPrograms } from '../../src/offload/schedule/loading.ts';
import { SystemCallError } from '../../src/sys/system-call-error.ts';
import { MAX_LISTED, SCHEDULER } from '../../src/table/record-layout.ts';
import { kernel } from '../support/ebpf/kernel.ts';
import { MAX_VERIFIED, verifiedInstructions } from '../support/ebpf/verified.ts';
import { noKernel } from './datapaths.ts';
import { SCHEDULERS } from './scheduled.ts';
import { ScheduledPair, type Step, scheduleAmong } from './scheduled-pair.ts';
import { DESCRIPTORS, RECORDS } from './shared-table.ts';

test('this kernel can load programs', ({ skip }) => skip(noKernel !== undefined, noKernel));

const connections = fc.oneof(fc.constant(0), fc.nat(3), fc.nat(1 << 24));
const steps = fc.array(
  fc.record<Step>({
    what: fc.constantFrom(
      ...(['add', 'add', 'edit', 'remove', 'count', 'flags'] as const),
      ...(['program', 'program', 'program', 'director', 'director'] as const),
    ),
    at: fc.nat(),
    weight: fc.oneof(fc.constant(0), fc.nat(5), fc.nat(5), fc.nat(0x7fffffff)),
    upper: fc.oneof(fc.constant(0), fc.constant(0), fc.nat(4)),
    active: connections,
    inactive: connections,
    flags: fc.nat(3),
  }),
  { minLength: 10, maxLength: 80, size: 'max' },
);

describe('the program of a scheduler', () => {
  const parts = { hook: xdp, arrays: { ...DESCRIPTORS, records: RECORDS } };

  test('is loaded when a service first needs it, unless the scheduler has none', () => {
    const loaded: (readonly [number, string])[] = [];
    const schedulers = new SchedulerPrograms({ load: (index, name) => loaded.push([index, name]) }, parts);
    for (const name of ['wlc', 'lblc', 'director', 'wlc', 'mh']) schedulers.load(name);
    expect(loaded).toEqual([
      [SCHEDULER.wlc, 'lvs_wlc'],
      [SCHEDULER.mh, 'lvs_mh'],
    ]);
  });

  test('that the verifier refuses is not tried again, unless a signal or a lack of memory was the cause', () => {
    const causes = [11, 12, 22].map((errno) => new SystemCallError('bpf(PROG_LOAD)', errno));
    const load = () => {
      const cause = causes.shift();
      if (cause) throw new VerifierError('lvs_wlc', [], cause);
    };
    const schedulers = new SchedulerPrograms({ load }, parts);
    for (const code of ['EAGAIN', 'ENOMEM', 'EINVAL'])
      expect(() => schedulers.load('wlc')).toThrowError(`lvs_wlc: bpf(PROG_LOAD): ${code}`);
    schedulers.load('wlc');
  });
});

describe.skipIf(noKernel !== undefined)('the program of', () => {
  let pair: ScheduledPair;
  beforeAll(() => {
    pair = new ScheduledPair(kernel as Bpf);
  });

  describe.each(SCHEDULERS)('%s', (name) => {
    test(`is verified in at most ${MAX_VERIFIED} instructions`, () => {
      const program = pair.programs.load(name);
      expect(verifiedInstructions(kernel as Bpf, program)).toBeLessThanOrEqual(MAX_VERIFIED);
    });

    test('and the director select in turns as one director does, while the list changes', () => {
      fc.assert(
        fc.property(fc.constantFrom<4 | 6>(4, 6), steps, (family, all) => {
          pair.serve(name, family);
          for (const step of all) pair.take(step);
        }),
        { numRuns: name === 'mh' ? 15 : 60 },
      );
    });
  });

  test.each([1, 2, 64, MAX_LISTED])('each scheduler selects among %i destinations', (size) => {
    const { selected, left } = scheduleAmong(pair, size, 200);
    expect(selected).toBeGreaterThan(1000);
    expect(left).toBeLessThan(selected);
  });
});
