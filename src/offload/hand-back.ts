/** The program at the tap: what the director hands back goes out of the interface that its frame names. */
import { assemble } from '../ebpf/assemble.ts';
import { MAP_LOOKUP, REDIRECT } from '../ebpf/helper.ts';
import {
  add,
  at,
  call,
  exit,
  FP,
  type Fragment,
  H,
  jeq,
  jne,
  load,
  loadMap,
  mov,
  R0,
  R1,
  R2,
  store,
  W,
} from '../ebpf/instruction.ts';
import { asLoaded, NETWORK, SOURCE_MAC } from './header-fields.ts';
import { CONTEXT, type Hook, PACKET, unlessReadable } from './hooks.ts';

/**
 * Octets 6 to 11 of a frame that is handed back, where its source address will be: two that say so (a local address),
 * and the index of the interface, little-endian.
 */
export const HAND_BACK = 0x024c;
const INTERFACE = SOURCE_MAC + 2;
/** Stack: the key. */
const KEY = -4;

/** Octets of a key (an interface's index) and a value (its MAC address, then zeros) of the map of interfaces. */
export const INTERFACE_KEY = 4;
export const INTERFACE_VALUE = 8;

/** `interfaces`: descriptor of a hash map. What names none of them is dropped: it must not come up again. */
export function handBackCode(hook: Hook, interfaces: number): Uint8Array<ArrayBuffer> {
  const program: Fragment = [
    mov.reg(CONTEXT, R1),
    hook.begin,
    unlessReadable(NETWORK, 'drop'),
    load(H, R1, PACKET, SOURCE_MAC),
    jne.imm(R1, asLoaded(HAND_BACK), 'drop'),
    load(W, R1, PACKET, INTERFACE),
    store(W, FP, KEY, R1),
    mov.reg(R2, FP),
    add.imm(R2, KEY),
    loadMap(R1, interfaces),
    call(MAP_LOOKUP),
    jeq.imm(R0, 0, 'drop'),
    load(W, R1, R0, 0),
    store(W, PACKET, SOURCE_MAC, R1),
    load(H, R1, R0, 4),
    store(H, PACKET, SOURCE_MAC + 4, R1),
    load(W, R1, FP, KEY),
    mov.imm(R2, 0),
    call(REDIRECT),
    exit(),
    at('pass', at('drop', mov.imm(R0, hook.drop))),
    exit(),
  ];
  return assemble(program);
}
