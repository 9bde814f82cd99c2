/** How a host treats the IPv6 extension headers of a packet that it is the destination of (Linux 6.1, net/ipv6/exthdrs.c). */
import type { Frame } from '../../src/wire/frame.ts';
import {
  AUTHENTICATION,
  DESTINATION_OPTIONS,
  FRAGMENT,
  HOP_BY_HOP,
  IPV6_HEADER,
  ipv6,
  ROUTING,
} from '../../src/wire/ipv6.ts';

/** A parameter problem (RFC 4443 section 3.4): its code, and the offset of the byte that is wrong. */
export interface ParameterProblem {
  readonly code: number;
  readonly pointer: number;
}

/** 'discard': no error is sent. undefined: the packet reaches its protocol. */
export type Treatment = ParameterProblem | 'discard' | undefined;

const ERRONEOUS_FIELD = 0;
const UNKNOWN_NEXT_HEADER = 1;
const UNKNOWN_OPTION = 2;
/** Offset of the next header in the fixed header. */
const NEXT_HEADER = 6;
/** Offsets in a routing header. */
const ROUTING_TYPE = 2;
const SEGMENTS_LEFT = 3;
/** Routing headers of mobile IPv6, RPL and segment routing: none is accepted unless it is configured. */
const REFUSED_ROUTING = [2, 3, 4];

const PAD1 = 0;
const PADN = 1;
const MAX_PADDING = 7;
const MAX_OPTIONS = 8;
/** The home address option of mobile IPv6 (RFC 6275), which needs a binding. */
const HOME_ADDRESS = 201;

/** Returns what a host without IPsec does with the extension headers of the IPv6 packet in the frame. */
export function treatExtensions(frame: Frame): Treatment {
  const { start, end, bytes } = frame;
  let protocol = ipv6.nextHeader(frame, start);
  let field = start + NEXT_HEADER;
  let at = start + IPV6_HEADER;
  for (;;) {
    if (protocol === AUTHENTICATION) return { code: UNKNOWN_NEXT_HEADER, pointer: field - start };
    if (![HOP_BY_HOP, DESTINATION_OPTIONS, ROUTING, FRAGMENT].includes(protocol)) return undefined;
    if (protocol === FRAGMENT && end === at) return { code: ERRONEOUS_FIELD, pointer: IPV6_HEADER };
    const length =
      protocol === FRAGMENT && end - at >= 8 ? 8 : end - at < 8 ? Number.NaN : (bytes[at + 1]! + 1) * 8;
    if (!(length <= end - at)) return 'discard';
    const treatment =
      protocol === DESTINATION_OPTIONS
        ? treatOptions(frame, at + 2, at + length)
        : protocol === ROUTING
          ? treatRouting(frame, at)
          : undefined;
    if (treatment !== undefined) return treatment;
    protocol = bytes[at]!;
    field = at;
    at += length;
  }
}

function treatRouting({ bytes, start }: Frame, at: number): Treatment {
  const type = bytes[at + ROUTING_TYPE]!;
  if (REFUSED_ROUTING.includes(type)) return 'discard';
  if (bytes[at + SEGMENTS_LEFT] === 0) return undefined;
  return { code: ERRONEOUS_FIELD, pointer: at + ROUTING_TYPE - start };
}

function treatOptions({ bytes, start }: Frame, from: number, end: number): Treatment {
  let padding = 0;
  let options = 0;
  for (let at = from; at < end; ) {
    const type = bytes[at]!;
    const length = type === PAD1 ? 1 : at + 1 < end ? bytes[at + 1]! + 2 : Number.NaN;
    if (!(length <= end - at)) return 'discard';
    if (type === PAD1 || type === PADN) {
      padding += length;
      if (padding > MAX_PADDING || bytes.subarray(at + 2, at + length).some((octet) => octet !== 0))
        return 'discard';
    } else {
      padding = 0;
      // The two high bits define the treatment of an unknown option (RFC 8200 section 4.2).
      const action = type >> 6;
      if (++options > MAX_OPTIONS || type === HOME_ADDRESS || action === 1) return 'discard';
      if (action > 1) return { code: UNKNOWN_OPTION, pointer: at - start };
    }
    at += length;
  }
  return undefined;
}
