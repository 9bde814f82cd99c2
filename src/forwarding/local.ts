/** The destination is the director itself: its network stack receives the packet. */
import type { ForwardingMethod } from './method.ts';

export const local: ForwardingMethod = { request: () => 'pass', reply: () => 'pass' };
