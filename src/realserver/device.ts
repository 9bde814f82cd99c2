/** Creates or brings up a device that carries the VIP: dummy0, or the kernel's tunnel device. */
import { LvsError } from '../model/errors.ts';
import { type Machine, must } from './machine.ts';

export interface DeviceChange {
  readonly kind: 'device';
  readonly name: string;
  /** A dummy device is created if missing; `ipip` devices exist once the kernel's module is loaded. */
  readonly type: 'dummy' | 'ipip';
}

interface Link {
  readonly flags: readonly string[];
}

async function find(name: string, machine: Machine): Promise<Link | undefined> {
  const { status, stdout } = await machine.run(['ip', '-j', 'link', 'show', 'dev', name]);
  return status === 0 ? (JSON.parse(stdout) as Link[])[0] : undefined;
}

/** Resolves with the reason why this host cannot have the device, found by trying; undefined if it can. */
export async function probeDevice(
  name: string,
  type: 'dummy' | 'ipip',
  machine: Machine,
): Promise<string | undefined> {
  if (await find(name, machine)) return undefined;
  if (type === 'ipip') {
    const loaded = await machine.run(['modprobe', '-q', 'ipip']).catch(() => undefined);
    if (loaded?.status === 0 && (await find(name, machine))) return undefined;
    return 'the kernel has no ipip module';
  }
  const made = await machine.run(['ip', 'link', 'add', name, 'type', type]);
  if (made.status !== 0) return made.stderr.trim().replace(/^(RTNETLINK answers|Error): /, '');
  await must(machine, ['ip', 'link', 'del', name]);
  return undefined;
}

export async function look({ name }: DeviceChange, machine: Machine): Promise<'absent' | 'down' | undefined> {
  const link = await find(name, machine);
  if (!link) return 'absent';
  return link.flags.includes('UP') ? undefined : 'down';
}

export async function make({ name, type }: DeviceChange, machine: Machine): Promise<void> {
  if (!(await find(name, machine))) {
    if (type === 'ipip') throw new LvsError('UNAVAILABLE', `device ${name}: not found`);
    await must(machine, ['ip', 'link', 'add', name, 'type', type]);
  }
  await must(machine, ['ip', 'link', 'set', name, 'up']);
}

export async function undo({ name, type }: DeviceChange, before: string, machine: Machine): Promise<void> {
  if (!(await find(name, machine))) return;
  const remove = before === 'absent' && type === 'dummy';
  await must(machine, remove ? ['ip', 'link', 'del', name] : ['ip', 'link', 'set', name, 'down']);
}
