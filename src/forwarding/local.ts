/** The destination is the director itself: its own stack has the packet. */
import type { ForwardingMethod } from './method.ts';

export const local: ForwardingMethod = { request: () => 'pass', reply: () => 'pass' };
