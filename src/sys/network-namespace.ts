/** Entering a named network namespace: for the calling thread, and for good. */
import type { System } from './system.ts';
import { succeeded } from './system-call-error.ts';

const O_CLOEXEC = 0o2000000;
/** include/uapi/linux/sched.h */
const CLONE_NEWNET = 0x40000000;

/** `name` as `ip netns` knows it. Threads that Node started before stay where they are. */
export function enterNetworkNamespace(system: System, name: string): void {
  const descriptor = succeeded(`open(/run/netns/${name})`, system.open(`/run/netns/${name}`, O_CLOEXEC));
  try {
    succeeded('setns', system.setns(descriptor, CLONE_NEWNET));
  } finally {
    system.close(descriptor);
  }
}
