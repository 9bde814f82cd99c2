/** The program is at an interface, whatever became of the one that had its number before. */
import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { assemble } from '../../src/ebpf/assemble.ts';
import type { Bpf } from '../../src/ebpf/bpf.ts';
import { exit, mov, R0 } from '../../src/ebpf/instruction.ts';
import { Attachments } from '../../src/offload/attach.ts';
import { xdp } from '../../src/offload/hooks.ts';
import { kernel } from '../support/ebpf/kernel.ts';
import { noKernel } from './datapaths.ts';

test('an interface that was made anew under the same number gets the program again', ({ skip }) => {
  skip(noKernel !== undefined, noKernel);
  const name = `lvs-${process.pid % 100_000}`;
  const index = 80_000 + (process.pid % 10_000);
  const ip = (words: string) => spawnSync('ip', ['link', ...words.split(' ')], { encoding: 'utf8' });
  const add = () => ip(`add name ${name} index ${index} type veth peer name ${name}-peer`);
  const hasIt = () => ip(`show ${name}`).stdout.includes('xdp');
  const added = add();
  skip(added.status !== 0, `no interface can be made: ${added.stderr}`);
  try {
    using attachments = new Attachments(kernel as Bpf, 'xdp', assemble([mov.imm(R0, xdp.pass), exit()]));
    for (let i = 0; i < 2; i++) {
      attachments.attach(index);
      expect(hasIt()).toBe(true);
    }
    ip(`delete ${name}`);
    add();
    expect(hasIt()).toBe(false);
    attachments.attach(index);
    expect(hasIt()).toBe(true);
  } finally {
    ip(`delete ${name}`);
  }
});
