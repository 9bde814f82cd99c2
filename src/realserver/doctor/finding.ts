/** What the doctor finds: a stable name, what is wrong, and the command that mends it. */

/** Every finding, with what it means. Names are for scripts: they do not change. */
export const FINDINGS = {
  'vip-missing': 'no device has the VIP, so its packets are not taken',
  'vip-wide-mask': 'the VIP has a mask that makes its whole network local',
  'vip-device-down': 'the device that carries the VIP is down',
  'vip-answered':
    'the host answers ARP or neighbour discovery for the VIP, and takes clients from the director',
  'vip-announced': 'the host may name the VIP as its own in ARP questions',
  'rp-filter': 'reverse path filtering drops what comes in for the VIP',
  'tunnel-mtu': 'clients send segments that do not fit through the tunnel',
  'input-dropped': "the host's packet filter drops what comes in, unless a rule accepts it",
  'output-dropped': "the director's packet filter drops what it forwards, unless a rule accepts it",
  'no-listener': 'nobody listens on the port',
  'udp-wildcard': 'a UDP server that is not bound to the VIP may answer from another address',
  'route-back': 'replies do not go back through the director, who has to translate them',
  'no-decapsulation': 'nobody takes packets out of the tunnel',
  'server-unreachable': 'the director does not reach the real server',
  'path-silent': 'the real server does not answer what the director sends on',
} as const;

export type FindingName = keyof typeof FINDINGS;

export interface Finding {
  readonly name: FindingName;
  /** In words, with the addresses and devices it is about. */
  readonly what: string;
  /** A command, or what to do where no command can. */
  readonly mend: string;
}

/** What the real server serves: where its servers have to listen. */
export interface Served {
  readonly protocol: 'tcp' | 'udp';
  readonly address: string;
  readonly port: number;
  /** True under dr and tunnel: the server itself answers the client. */
  readonly isDirect: boolean;
}
