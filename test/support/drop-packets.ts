/**
 * Drops every packet that an interface receives, by a filter of its clsact qdisc, until this process ends: the argument
 * is the interface's name. Prints "ready".
 */
import { assemble } from '../../src/ebpf/assemble.ts';
import { Bpf } from '../../src/ebpf/bpf.ts';
import { exit, mov, R0 } from '../../src/ebpf/instruction.ts';
import { Attachments } from '../../src/offload/attach.ts';
import { tc } from '../../src/offload/hooks.ts';
import { loadSystem } from '../../src/sys/system.ts';

const bpf = new Bpf(await loadSystem());
const code = assemble([mov.imm(R0, tc.drop), exit()]);
const attachments = new Attachments(bpf, { hook: 'tc', role: 'director', code, tcx: false });
attachments.attach(bpf.system.interfaceIndex(process.argv[2] ?? ''));
process.stdout.write('ready\n');
process.stdin.resume();
process.stdin.on('end', () => attachments[Symbol.dispose]());
