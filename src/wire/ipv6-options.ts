/** Hop-by-hop options of IPv6 (RFC 8200 section 4.3), as every node looks at them before anything else. */
import type { Frame } from './frame.ts';
import { extensionLength, HOP_BY_HOP, IPV6_HEADER, ipv6 } from './ipv6.ts';

/* Types of options. */
const PAD1 = 0x00;
const PADN = 0x01;
const ROUTER_ALERT = 0x05;
const CALIPSO = 0x07;
const IOAM = 0x31;
const JUMBO = 0xc2;

/* What a node does that does not know an option: the two high bits of its type (RFC 8200 section 4.2). */
const ACTION = 0xc0;
const SKIP = 0x00;
const DISCARD = 0x40;

/** Octets of padding that may stand together (RFC 4942 section 2.1.9.5). */
const MAX_PADDING = 7;
/** Options besides padding (max_hbh_opts_number of Linux 6.1). */
const MAX_OPTIONS = 8;
/** Octets of an option's type and length. */
const OPTION_HEADER = 2;
const ALERT_LENGTH = 2;
const JUMBO_LENGTH = 4;
/** The longest payload that is no jumbogram (RFC 2675 section 3). */
const MAX_PAYLOAD = 0xffff;

/** What is wrong with a packet: an octet of its header, counted from 0, and the code of the error to send. */
export interface OptionProblem {
  /** -1: no error is sent. */
  readonly code: number;
  readonly pointer: number;
}

/* Codes of a parameter problem (RFC 4443 section 3.4). */
const ERRONEOUS_FIELD = 0;
const UNKNOWN_OPTION = 2;

const SILENT: OptionProblem = { code: -1, pointer: 0 };

/** Returns what is wrong with the hop-by-hop options of the packet at `at`, if it has any (Linux 6.1, ip6_parse_tlv). */
export function hopByHopProblem(frame: Frame, at: number): OptionProblem | undefined {
  if (ipv6.nextHeader(frame, at) !== HOP_BY_HOP) return undefined;
  const header = at + IPV6_HEADER;
  const length = extensionLength(frame, header, HOP_BY_HOP, frame.end);
  if (length < 0) return SILENT;
  const { bytes } = frame;
  const end = header + length;
  let padding = 0;
  let options = 0;
  for (let option = header + OPTION_HEADER; option < end; ) {
    if (bytes[option] === PAD1) {
      if (++padding > MAX_PADDING) return SILENT;
      option++;
      continue;
    }
    const octets = option + 1 < end ? bytes[option + 1]! + OPTION_HEADER : Number.POSITIVE_INFINITY;
    if (octets > end - option) return SILENT;
    if (bytes[option] === PADN) {
      padding += octets;
      const isBlank = bytes.subarray(option + OPTION_HEADER, option + octets).every((octet) => octet === 0);
      if (padding > MAX_PADDING || !isBlank) return SILENT;
    } else {
      padding = 0;
      if (++options > MAX_OPTIONS) return SILENT;
      const problem = optionProblem(frame, at, option);
      if (problem !== undefined) return problem;
    }
    option += octets;
  }
  return undefined;
}

function optionProblem(frame: Frame, at: number, option: number): OptionProblem | undefined {
  const { bytes, view } = frame;
  const length = bytes[option + 1]!;
  const pointer = option - at;
  switch (bytes[option]) {
    case ROUTER_ALERT:
      return length === ALERT_LENGTH ? undefined : SILENT;
    case IOAM:
      return (pointer & 3) === 0 ? undefined : SILENT;
    case CALIPSO:
      return SILENT;
    case JUMBO: {
      if (length !== JUMBO_LENGTH || (pointer & 3) !== OPTION_HEADER) return SILENT;
      const payload = view.getUint32(option + OPTION_HEADER);
      if (payload <= MAX_PAYLOAD) return { code: ERRONEOUS_FIELD, pointer: pointer + OPTION_HEADER };
      return ipv6.payloadLength(frame, at) === 0 ? SILENT : { code: ERRONEOUS_FIELD, pointer };
    }
    default: {
      const action = bytes[option]! & ACTION;
      if (action === SKIP) return undefined;
      return action === DISCARD ? SILENT : { code: UNKNOWN_OPTION, pointer };
    }
  }
}
