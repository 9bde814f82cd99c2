/** Pins: files of a bpf file system that keep maps and links beyond the process, until they are removed. */
import { type Bpf, setUint64 } from './bpf.ts';

/* Offsets in union bpf_attr. */
const PIN = { path: 0, descriptor: 8, size: 16 } as const;

/** Keeps what the descriptor refers to under a path that does not exist. Throws SystemCallError. */
export function pin(bpf: Bpf, descriptor: number, path: string): void {
  bpf.lendText(path, ({ address }) => {
    bpf.call('OBJ_PIN', PIN.size, (attributes) => {
      setUint64(attributes, PIN.path, address);
      attributes.setUint32(PIN.descriptor, descriptor, true);
    });
  });
}

/** Returns a descriptor of what is kept under the path. Throws SystemCallError: ENOENT if there is nothing. */
export const openPin = (bpf: Bpf, path: string): number =>
  bpf.lendText(path, ({ address }) =>
    bpf.call('OBJ_GET', PIN.size, (attributes) => setUint64(attributes, PIN.path, address)),
  );
