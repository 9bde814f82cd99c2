/** Moves the calling thread to a named network namespace, permanently. */
import type { System } from './system.ts';
import { succeeded } from './system-call-error.ts';

const O_CLOEXEC = 0o2000000;
/** include/uapi/linux/sched.h */
const CLONE_NEWNET = 0x40000000;

/** Enters a namespace. `name`: its name for `ip netns`. Threads that Node started before remain in their namespace. */
export function enterNetworkNamespace(system: System, name: string): void {
  const descriptor = succeeded(`open(/run/netns/${name})`, system.open(`/run/netns/${name}`, O_CLOEXEC));
  try {
    succeeded('setns', system.setns(descriptor, CLONE_NEWNET));
  } finally {
    system.close(descriptor);
  }
}
