/** A program is attached to an interface, whatever became of the interface or of what held the program. */
import { spawnSync } from 'node:child_process';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { assemble } from '../../src/ebpf/assemble.ts';
import type { Bpf } from '../../src/ebpf/bpf.ts';
import { exit, mov, R0 } from '../../src/ebpf/instruction.ts';
import { Program } from '../../src/ebpf/program.ts';
import { type TcFilter, TcFilters } from '../../src/host/tc-filter.ts';
import { Attachments } from '../../src/offload/attach.ts';
import { tc, xdp } from '../../src/offload/hooks.ts';
import { kernel } from '../support/ebpf/kernel.ts';
import { noKernel } from './datapaths.ts';

const PASS = assemble([mov.imm(R0, tc.pass), exit()]);
const name = `lvs-${process.pid % 100_000}`;
const index = 80_000 + (process.pid % 10_000);

function run(command: string): {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
} {
  const [file, ...words] = command.split(' ');
  return spawnSync(file!, words, { encoding: 'utf8' });
}
const addInterface = () => run(`ip link add name ${name} index ${index} type veth peer name ${name}-peer`);
const deleteInterface = () => run(`ip link delete ${name}`);

/** Another program's filter at the interface. */
class OtherFilter implements Disposable {
  readonly #filters: TcFilters;
  readonly #program: Program;
  readonly #filter: TcFilter;

  constructor(label: string, handle: number) {
    const bpf = kernel as Bpf;
    this.#program = new Program(bpf, { type: 'schedulerClassifier', name: label, code: PASS });
    this.#filters = new TcFilters(bpf.system, { name: label, handle });
    this.#filter = this.#filters.put(index, this.#program.descriptor);
  }

  [Symbol.dispose](): void {
    this.#filter[Symbol.dispose]();
    this.#filters[Symbol.dispose]();
    this.#program[Symbol.dispose]();
  }
}

const added = addInterface();
deleteInterface();
const why = noKernel ?? (added.status === 0 ? undefined : `cannot add an interface: ${added.stderr}`);

test('this kernel can load programs', ({ skip }) => skip(why !== undefined, why));

describe.skipIf(why !== undefined)('a program', () => {
  beforeEach(() => {
    addInterface();
  });
  afterEach(() => {
    deleteInterface();
  });

  test('is attached again to an interface that was deleted and added under the same index', () => {
    using attachments = new Attachments(kernel as Bpf, {
      hook: 'xdp',
      role: 'director',
      code: assemble([mov.imm(R0, xdp.pass), exit()]),
    });
    const isAttached = () => run(`ip link show ${name}`).stdout.includes('xdp');
    for (const expected of ['attached', 'unchanged']) {
      expect(attachments.attach(index)).toBe(expected);
      expect(isAttached()).toBe(true);
    }
    deleteInterface();
    addInterface();
    expect(isAttached()).toBe(false);
    expect(attachments.attach(index)).toBe('restored');
    expect(isAttached()).toBe(true);
  });
});

describe.skipIf(why !== undefined)('a program on a kernel without tcx', () => {
  const filters = () => run(`tc filter show dev ${name} ingress`).stdout;
  const qdiscs = () => run(`tc qdisc show dev ${name} clsact`).stdout;
  const open = () =>
    new Attachments(kernel as Bpf, {
      hook: 'tc',
      role: 'director',
      code: PASS,
      tcx: false,
    });
  beforeEach(() => {
    addInterface();
  });
  afterEach(() => {
    deleteInterface();
  });

  test('is a filter of a clsact qdisc that is removed with it', () => {
    const attachments = open();
    expect(attachments.attach(index)).toBe('attached');
    expect(attachments.attach(index)).toBe('unchanged');
    expect(filters()).toMatch(/pref 45312 bpf chain 0 handle 0x1756 lvs_director direct-action/);
    attachments[Symbol.dispose]();
    expect([filters(), qdiscs()]).toEqual(['', '']);
  });

  test('replaces the filter that an earlier process left', () => {
    const left = open();
    left.attach(index);
    using attachments = open();
    expect(attachments.attach(index)).toBe('attached');
    expect(filters().match(/handle/g)).toHaveLength(1);
  });

  test('leaves the qdisc and the filters of other programs alone', () => {
    run(`tc qdisc add dev ${name} clsact`);
    const other = new OtherFilter('other', 0x1);
    const others = filters();
    expect(others).toContain('other');
    const attachments = open();
    attachments.attach(index);
    expect(filters()).toContain('lvs_director');
    attachments[Symbol.dispose]();
    expect(filters()).toBe(others);
    other[Symbol.dispose]();
    expect(qdiscs()).toContain('clsact');
  });

  test('keeps the qdisc that it added while another program has a filter there', () => {
    const attachments = open();
    attachments.attach(index);
    using _other = new OtherFilter('other', 0x1);
    attachments[Symbol.dispose]();
    expect(filters()).toContain('other');
    expect(filters()).not.toContain('lvs_director');
  });

  test('is attached again when another program deletes the qdisc', () => {
    using attachments = open();
    attachments.attach(index);
    expect(run(`tc qdisc del dev ${name} clsact`).stderr).toBe('');
    expect(attachments.attach(index)).toBe('restored');
    expect(filters()).toContain('lvs_director');
  });

  test('is refused with a reason when a filter with another name occupies its priority', () => {
    using _other = new OtherFilter('other', 0x1756);
    using attachments = open();
    expect(() => attachments.attach(index)).toThrowError(
      'tc filter lvs_director: EEXIST, file already exists (delete the other filter of preference 45312',
    );
    expect(filters()).toContain('other');
  });
});
