/** Firewall marks without a firewall: rules that set the mark of a packet. */
import type { MarkRule } from '../model/command.ts';
import { LvsError } from '../model/errors.ts';
import { type Address, familyOf, maskAddress, parseAddress, prefixMask } from '../wire/address.ts';
import { ICMP } from '../wire/icmp.ts';
import { ICMP6 } from '../wire/icmp6.ts';
import type { Packet } from '../wire/packet.ts';
import { SCTP } from '../wire/sctp.ts';
import { TCP } from '../wire/tcp.ts';
import { UDP } from '../wire/udp.ts';

const PROTOCOLS = { tcp: TCP, udp: UDP, sctp: SCTP, icmp: ICMP, icmpv6: ICMP6 } as const;

/** A prefix as address and mask; both zero match every address. */
interface Prefix {
  readonly address: Address;
  readonly mask: Address;
}

/** A compiled rule. */
export interface Matcher {
  readonly mark: number;
  readonly to: Prefix | undefined;
  readonly from: Prefix | undefined;
  /** 0: any. */
  readonly protocol: number;
  readonly firstPort: number;
  readonly lastPort: number;
}

/** A list of rules; the first match decides. */
export class Marks {
  #rules: readonly MarkRule[] = [];
  #matchers: readonly Matcher[] = [];

  get rules(): readonly MarkRule[] {
    return this.#rules;
  }

  /** The same, compiled. */
  get matchers(): readonly Matcher[] {
    return this.#matchers;
  }

  /** Replaces all rules; throws, and changes nothing, when one is invalid. */
  set(rules: readonly MarkRule[]): void {
    this.#matchers = rules.map(compile);
    this.#rules = rules;
  }

  /** Returns the packet's mark; 0: none. */
  of(packet: Packet): number {
    for (const rule of this.#matchers) if (matches(rule, packet)) return rule.mark;
    return 0;
  }
}

function matches(rule: Matcher, packet: Packet): boolean {
  if (rule.protocol !== 0 && rule.protocol !== packet.protocol) return false;
  if (packet.dstPort < rule.firstPort || packet.dstPort > rule.lastPort) return false;
  return isIn(rule.to, packet.dst) && isIn(rule.from, packet.src);
}

function isIn(prefix: Prefix | undefined, address: Address): boolean {
  if (prefix === undefined) return true;
  for (let i = 0; i < 4; i++) if ((address[i]! & prefix.mask[i]!) >>> 0 !== prefix.address[i]!) return false;
  return true;
}

function compile(rule: MarkRule): Matcher {
  if (!(Number.isInteger(rule.mark) && rule.mark > 0 && rule.mark <= 0xffffffff))
    throw new LvsError('INVALID', `invalid mark ${rule.mark}: expected 1 to 4294967295`);
  const [firstPort, lastPort] =
    typeof rule.port === 'number' ? [rule.port, rule.port] : (rule.port ?? [0, 0xffff]);
  if (!(firstPort >= 0 && firstPort <= lastPort && lastPort <= 0xffff))
    throw new LvsError('INVALID', `mark ${rule.mark}: invalid ports ${firstPort} to ${lastPort}`);
  if (rule.protocol !== undefined && !Object.hasOwn(PROTOCOLS, rule.protocol))
    throw new LvsError('INVALID', `mark ${rule.mark}: invalid protocol ${rule.protocol}`);
  const protocol = rule.protocol === undefined ? 0 : PROTOCOLS[rule.protocol];
  return { mark: rule.mark, to: prefixOf(rule.to), from: prefixOf(rule.from), protocol, firstPort, lastPort };
}

function prefixOf(text: string | undefined): Prefix | undefined {
  if (text === undefined) return undefined;
  const [literal, bits, ...rest] = text.split('/');
  const address = parseAddress(literal!);
  const most = address && familyOf(address) === 4 ? 32 : 128;
  const length = bits === undefined ? most : Number(bits === '' ? Number.NaN : bits);
  if (!address || rest.length > 0 || !(Number.isInteger(length) && length >= 0 && length <= most))
    throw new LvsError(
      'INVALID',
      `invalid prefix ${text}: expected an address or a prefix such as 10.8.0.0/16`,
    );
  const mask = prefixMask(familyOf(address), length);
  // All of IPv4 is the prefix ::ffff:0:0/96: the mask keeps those words.
  const masked = maskAddress(address, mask, new Uint32Array(4));
  return { address: masked, mask };
}
