/** The options of an ipvsadm command line as read so far, before they are checked together. */
import type { SyncDaemon } from '../model/command.ts';
import type { ServiceAddress } from '../model/service.ts';
import type { CommandName, OptionName } from './options.ts';

/** Values of the options, or defaults. */
export interface Draft {
  readonly command: CommandName;
  readonly given: Set<OptionName>;
  role: SyncDaemon['role'];
  protocol: 'tcp' | 'udp' | 'sctp' | undefined;
  /** Firewall mark; 0: none. */
  mark: number;
  address: string;
  port: number;
  family: 4 | 6;
  scheduler: string;
  flags: number;
  /** Seconds; 0: not persistent. */
  persistent: number;
  /** An IPv4 mask as 32 bits, or leading bits of an IPv6 address; undefined: all bits. */
  mask: number | undefined;
  engine: string;
  server: { readonly address: string; readonly family: 4 | 6; port: number } | undefined;
  method: 'nat' | 'dr' | 'tunnel';
  weight: number;
  upper: number;
  lower: number;
  tunnelType: 'ipip' | 'gue' | 'gre';
  tunnelPort: number;
  interface: string;
  group: string;
  mcastPort: number;
  ttl: number;
  syncId: number;
  maxLength: number;
  timeouts: readonly [tcp: number, tcpFin: number, udp: number];
}

/** Returns the service of -t, -u, --sctp-service or -f. */
export const serviceOf = (draft: Draft): ServiceAddress =>
  draft.mark !== 0
    ? { mark: draft.mark, family: draft.family }
    : { protocol: draft.protocol!, address: draft.address, port: draft.port };

export const newDraft = (command: CommandName): Draft => ({
  command,
  given: new Set(),
  role: 'master',
  protocol: undefined,
  mark: 0,
  address: '',
  port: 0,
  family: 4,
  scheduler: 'wlc',
  flags: 0,
  persistent: 0,
  mask: undefined,
  engine: '',
  server: undefined,
  method: 'dr',
  weight: 1,
  upper: 0,
  lower: 0,
  tunnelType: 'ipip',
  tunnelPort: 0,
  interface: 'eth0',
  group: '',
  mcastPort: 0,
  ttl: 0,
  syncId: 0,
  maxLength: 0,
  timeouts: [0, 0, 0],
});
