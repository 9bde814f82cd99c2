/** Defines the doctor's findings. */

/** Every finding with its description. The names are part of the interface. */
export const FINDINGS = {
  'vip-missing': 'no device has the VIP, so its packets are not accepted',
  'vip-wide-mask': 'the mask of the VIP makes its whole network local',
  'vip-device-down': 'the device that carries the VIP is down',
  'vip-answered': 'the host answers ARP or neighbor discovery for the VIP, so clients bypass the director',
  'vip-announced': 'the host may use the VIP as the sender of its ARP requests',
  'rp-filter': 'reverse path filtering drops packets for the VIP',
  'tunnel-mtu': 'clients are offered segments that do not fit through the tunnel',
  'input-dropped': "the host's packet filter drops incoming packets, unless a rule accepts them",
  'output-dropped': "the director's packet filter drops forwarded packets, unless a rule accepts them",
  'no-listener': 'no program listens on the port',
  'udp-wildcard': 'a UDP server that is not bound to the VIP may answer from another address',
  'route-back': 'replies do not go back through the director, which must translate them',
  'no-decapsulation': "no device and no program decapsulates the tunnel's packets",
  'orphaned-guard': 'the guard of a killed director withholds packets from the host',
  'firewall-bypassed': 'the packet filter of the director does not see packets of the services',
  'orphaned-path': 'a kernel path forwards packets without a director',
  'orphaned-table': 'a connection table takes memory, and its director does not run',
  'server-unreachable': 'the director cannot reach the real server',
  'cluster-host': 'this server is not a host of the cluster, or its device is missing',
  'cluster-state': 'the agent serves nothing',
  'heartbeat-missing': 'heartbeats of a host of the cluster do not arrive',
  'heartbeat-key': 'heartbeats arrive that another key signed',
  'announce-failed': 'BIRD does not announce the VIPs of the director',
  'bgp-session': 'BIRD has no established BGP session with a router',
  'sync-interface': 'the interface of synchronization is missing, down or without an address',
  'sync-key': 'the key file of synchronization is missing, or cannot be used',
  'sync-peer': 'the connections of another director cannot be fetched, or those of this one',
  'sync-refused': 'the director refuses messages of synchronization',
  'join-interface': 'the interface of heartbeats of servers that join is missing, down or without multicast',
  'join-key': 'the key file of heartbeats of servers that join is missing, or cannot be used',
  'join-socket': 'heartbeats of servers that join cannot be received',
  'cluster-settings': 'the settings of the cluster, a password or a certificate cannot be used',
  'cluster-copy': "the copy of the cluster's state is missing, or belongs to another user",
  'cluster-member': 'this director is not a member of the cluster',
  'cluster-clock': 'the clocks of this host and of etcd differ',
  'etcd-unreachable': 'an endpoint of etcd does not answer',
  'etcd-certificate': 'etcd refuses the certificate of this host',
  'etcd-user': 'the user of etcd is unknown, or lacks a permission',
  'path-silent': 'the real server does not answer a connection through the forwarding path',
} as const;

export type FindingName = keyof typeof FINDINGS;

export interface Finding {
  readonly name: FindingName;
  /** The problem, with its addresses and devices. */
  readonly what: string;
  /** The command that fixes the problem, or an instruction if no command can. */
  readonly remedy: string;
}

/** An address and port on which a server must listen. */
export interface Served {
  readonly protocol: 'tcp' | 'udp';
  readonly address: string;
  readonly port: number;
  /** True under dr and tunnel: the server itself answers the client. */
  readonly isDirect: boolean;
}
