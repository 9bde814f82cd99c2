/** Emits the program at the tap, which sends the director's frames by the interface that each frame names. */
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
 * The source address of a frame from the director: these two bytes (a locally administered address), then the index of
 * the interface, little-endian.
 */
export const HAND_BACK = 0x024c;
const INTERFACE = SOURCE_MAC + 2;
/** Stack offset of the key. */
const KEY = -4;

/** Bytes of a key (an interface's index) and of a value (its MAC address, then zeros) of the map of interfaces. */
export const INTERFACE_KEY = 4;
export const INTERFACE_VALUE = 8;

/** `interfaces`: descriptor of a hash map. The program drops frames that name no known interface, which would loop. */
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
