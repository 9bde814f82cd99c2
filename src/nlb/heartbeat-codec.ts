/**
 * Heartbeats as datagrams, all numbers big-endian:
 *
 *   magic (4), id (1), state (1), parts (1), rules (1), boot (4), sequence (4), configuration (4), counter (4),
 *   weights (1 each), number of received heartbeats (1), each: id (1), boot (4), sequence (4),
 *   held: epoch (9), phase (1); view in force: epoch (9); led: epoch (9), phase (1), members (1),
 *   each: id (1), boot (4), weights (1 each); ends (2), rules with kept groups (1), each: rule (1), a bit for each group,
 *   the first one in the highest bit; and the first 16 bytes of the HMAC-SHA256 of all that (RFC 2104).
 *
 * An epoch: counter (4), coordinator (1), boot (4).
 */
import { MAX_RULES } from '../model/nlb.ts';
import { isTagged, TAG_BYTES, tagOf } from '../wire/message-tag.ts';
import { type Epoch, type Heartbeat, HOST_STATES, type Member, type Phase } from './heartbeat.ts';
import { GROUPS } from './places.ts';

/** "LNB" and the version. */
const MAGIC = 0x4c4e4202;
const MAX_BYTES = 12_288;
const GROUP_BYTES = GROUPS / 8;
/** Bits of `parts`. */
const HELD = 1;
const IN_FORCE = 2;
const LED = 4;
const MERGE = 8;

/** Why a datagram is no heartbeat of this cluster. */
export type HeartbeatError = 'foreign' | 'unauthenticated' | 'malformed';

export function encodeHeartbeat(beat: Heartbeat, key: string): Buffer {
  const bytes: number[] = [];
  const u8 = (value: number) => void bytes.push(value & 0xff);
  const u16 = (value: number) => void bytes.push((value >>> 8) & 0xff, value & 0xff);
  const u32 = (value: number) =>
    void bytes.push(value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff);
  const epoch = ({ counter, coordinator, boot }: Epoch) => {
    u32(counter);
    u8(coordinator);
    u32(boot);
  };
  const { held, inForce, led } = beat;
  u32(MAGIC);
  u8(beat.id);
  u8(HOST_STATES.indexOf(beat.state));
  u8((held ? HELD : 0) | (inForce ? IN_FORCE : 0) | (led ? LED : 0) | (led?.view.isMerge ? MERGE : 0));
  u8(beat.weights.length);
  u32(beat.boot);
  u32(beat.sequence);
  u32(beat.configuration);
  u32(beat.counter);
  beat.weights.forEach(u8);
  u8(beat.received.length);
  for (const { id, boot, sequence } of beat.received) {
    u8(id);
    u32(boot);
    u32(sequence);
  }
  if (held) {
    epoch(held.epoch);
    u8(held.phase);
  }
  if (inForce) epoch(inForce);
  if (led) {
    epoch(led.view.epoch);
    u8(led.phase);
    u8(led.view.members.length);
    for (const { id, boot, weights } of led.view.members) {
      u8(id);
      u32(boot);
      weights.forEach(u8);
    }
  }
  u16(beat.ends);
  u8(beat.kept.size);
  for (const [rule, groups] of beat.kept) {
    u8(rule);
    for (let i = 0; i < GROUPS; i += 8)
      u8(groups.subarray(i, i + 8).reduce((byte, one) => 2 * byte + one, 0));
  }
  const body = Uint8Array.from(bytes);
  return Buffer.concat([body, tagOf(key, body)]);
}

/** Returns the heartbeat, or why there is none. */
export function decodeHeartbeat(datagram: Buffer, key: string): Heartbeat | HeartbeatError {
  if (datagram.length < 4 || datagram.readUInt32BE(0) !== MAGIC) return 'foreign';
  if (datagram.length <= TAG_BYTES + 4 || datagram.length > MAX_BYTES) return 'malformed';
  if (!isTagged([key], datagram)) return 'unauthenticated';
  try {
    return read(datagram.subarray(0, datagram.length - TAG_BYTES));
  } catch (error) {
    if (error instanceof RangeError) return 'malformed';
    throw error;
  }
}

/** Throws RangeError for a heartbeat of another length, and for invalid values. */
function read(body: Buffer): Heartbeat {
  let at = 4;
  const u8 = (max = 0xff): number => {
    const value = body.readUInt8(at++);
    if (value > max) throw new RangeError(`${value} at ${at}`);
    return value;
  };
  const u32 = (): number => {
    at += 4;
    return body.readUInt32BE(at - 4);
  };
  const list = <T>(count: number, each: () => T): T[] => Array.from({ length: count }, each);
  const epoch = (): Epoch => ({ counter: u32(), coordinator: u8(), boot: u32() });
  const phase = (): Phase => Math.max(1, u8(3)) as Phase;
  const id = u8();
  const state = HOST_STATES[u8(HOST_STATES.length - 1)]!;
  const parts = u8();
  const rules = u8();
  const [boot, sequence, configuration, counter] = [u32(), u32(), u32(), u32()];
  const weights = list(rules, () => u8(100));
  const received = list(u8(), () => ({ id: u8(), boot: u32(), sequence: u32() }));
  const held = parts & HELD ? { epoch: epoch(), phase: phase() } : undefined;
  const inForce = parts & IN_FORCE ? epoch() : undefined;
  const led =
    parts & LED
      ? {
          view: { epoch: epoch(), isMerge: (parts & MERGE) > 0, members: [] as Member[] },
          phase: phase(),
        }
      : undefined;
  if (led)
    led.view.members = list(u8(), () => ({ id: u8(), boot: u32(), weights: list(rules, () => u8(100)) }));
  const ends = (u8() << 8) | u8();
  const kept = new Map(
    list(u8(MAX_RULES), (): [number, Uint8Array] => {
      const rule = u8(rules - 1);
      at += GROUP_BYTES;
      if (at > body.length) throw new RangeError('kept groups are missing');
      const bits = body.subarray(at - GROUP_BYTES, at);
      return [rule, Uint8Array.from({ length: GROUPS }, (_, i) => (bits[i >> 3]! >> (7 - (i & 7))) & 1)];
    }),
  );
  if (at !== body.length) throw new RangeError(`${body.length - at} more bytes`);
  return {
    ...{ id, boot, weights, sequence, configuration, state, received, counter, ends, kept },
    ...(held && { held }),
    ...(inForce && { inForce }),
    ...(led && { led }),
  };
}
