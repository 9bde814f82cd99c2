/** Changes a kernel setting, and restores it unless another program has changed it since. */
import { LvsError } from '../model/errors.ts';
import type { Machine } from './machine.ts';

export interface SysctlChange {
  readonly kind: 'sysctl';
  /** Under /proc/sys, slashes between the parts: net/ipv4/conf/all/arp_ignore. */
  readonly path: string;
  readonly value: string;
}

export async function look({ path, value }: SysctlChange, machine: Machine): Promise<string | undefined> {
  const before = await machine.setting(path);
  if (before === undefined)
    throw new LvsError('UNAVAILABLE', `setting ${path}: not supported by this kernel`);
  return before === value ? undefined : before;
}

export const make = ({ path, value }: SysctlChange, machine: Machine): Promise<void> =>
  machine.set(path, value);

export async function undo({ path, value }: SysctlChange, before: string, machine: Machine): Promise<void> {
  if ((await machine.setting(path)) === value) await machine.set(path, before);
}
