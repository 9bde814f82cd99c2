/** A kernel that loads eBPF programs for tests, or why there is none. */
import { Bpf } from '../../../src/ebpf/bpf.ts';
import { BpfMap } from '../../../src/ebpf/map.ts';
import { loadSystem } from '../../../src/sys/system.ts';

async function open(): Promise<Bpf | { readonly why: string }> {
  try {
    const bpf = new Bpf(await loadSystem());
    new BpfMap(bpf, { type: 'array', keySize: 4, valueSize: 4, entries: 1 })[Symbol.dispose]();
    return bpf;
  } catch (error) {
    return { why: `eBPF: ${(error as Error).message}` };
  }
}

export const kernel: Bpf | { readonly why: string } = await open();
