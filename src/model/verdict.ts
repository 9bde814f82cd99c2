/**
 * The verdict on a packet. Drop reasons are stable: log, metrics, explain and documentation use the same key.
 */

/** Every drop reason with its description. The keys are part of the interface. */
export const DROP_REASONS = {
  malformed: 'the packet is invalid: a header is truncated, damaged or contradictory',
  'source-routed': 'the packet uses IPv4 source routing, which is not permitted',
  'martian-source':
    'the source address is not valid on the interface that the packet came in by (martian source, rp_filter)',
  denied: 'a deny list has the address of the client',
  'no-destination': 'the service has no destination that accepts new connections',
  'no-connection': 'the packet belongs to no known connection and does not begin one',
  'destination-gone': 'the destination of the connection was removed',
  'table-full': 'the connection table is full',
  'takeover-limit':
    'the packet is of an unknown connection, and the part of the table for connections of other directors is full',
  'drop-rate': 'dropped by drop_packet, the defense against floods',
  'new-connection-rate':
    'a program of the kernel dropped it: the table is nearly full, and too many connections begin',
  'ttl-exceeded': 'the TTL or hop limit is exhausted',
  'too-big': 'the packet exceeds the path MTU and must not be fragmented',
  'too-narrow': 'the path MTU is too small for a tunnel over IPv6, whose payload must be allowed 1280 bytes',
  'no-headroom': 'the packet buffer has no room for the tunnel header',
  'no-route': 'no route to the next hop',
  loopback: 'translation to a loopback address is not permitted',
  'queue-full': 'the transmit queue is full',
  'fragment-incomplete': 'a fragment whose datagram was never completed or exceeded the reassembly limits',
  'fragment-invalid': 'a fragment that overlaps another one or cannot be part of a datagram',
  'icmp-unrelated': 'an ICMP error that belongs to no connection',
  'icmp-kind': 'an ICMP message of a type that is not forwarded',
  'ftp-order':
    'a segment of an FTP control connection that cannot be translated before earlier ones arrived; its sender sends it again',
  'engine-unparsable': 'the persistence engine found no key in the packet',
} as const;

export type DropReason = keyof typeof DROP_REASONS;

/**
 * forwarded: sent to the real server or back to the client. answered: the director sent a response itself.
 * waiting: a fragment, held until its datagram is complete. pass: left to the host's network stack.
 */
export type Verdict = 'forwarded' | 'answered' | 'waiting' | 'pass' | DropReason;
