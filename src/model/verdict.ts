/** What became of a packet. A drop's reason is stable: the same word in log, metrics, explain and docs. */

/** Why a packet was dropped. The values are what it means, for people. */
export const DROP_REASONS = {
  malformed: 'not a well-formed packet of a protocol that the service speaks',
  'source-routed': 'it asks for a way of its own (IPv4 source routing), which nobody gets',
  'no-destination': 'the service has no destination that takes new connections',
  'no-connection': 'neither a known connection nor the start of one',
  'destination-gone': 'the connection’s destination was removed',
  'table-full': 'the connection table is full',
  'drop-rate': 'dropped by drop_packet, the defence against floods',
  'ttl-exceeded': 'its time to live ran out here',
  'too-big': 'too long for the way to the destination, and not to be fragmented',
  'too-narrow':
    'the way to the destination is too narrow for a tunnel over IPv6, which has to carry 1280 octets',
  'no-headroom': 'no room in memory for the tunnel’s header',
  'no-route': 'no way to the next hop',
  'queue-full': 'the driver could not take it',
  'fragment-incomplete': 'a fragment whose datagram never became complete, or that was too much to keep',
  'fragment-invalid': 'a fragment that overlaps another, or that cannot be part of a datagram',
  'icmp-unrelated': 'an ICMP error that is related to no connection',
  'icmp-kind': 'an ICMP message of a kind that is not forwarded',
  'engine-unparsable': 'the persistence engine found no key in it',
} as const;

export type DropReason = keyof typeof DROP_REASONS;

/**
 * forwarded: sent on, to the server or back to the client. answered: the director sent an answer of its own.
 * waiting: a fragment, kept until its datagram is complete. pass: not the director's; the host's own stack has it.
 */
export type Verdict = 'forwarded' | 'answered' | 'waiting' | 'pass' | DropReason;
