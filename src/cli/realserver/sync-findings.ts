/** Finds why this director does not share connections with its peers: key, interface, peers, refused messages. */
import type { SyncDocument } from '../../config/document.ts';
import { ControlClient } from '../../control/client.ts';
import { socketPath } from '../../control/socket-path.ts';
import { interfaceAddresses } from '../../host/interface-addresses.ts';
import { LvsError } from '../../model/errors.ts';
import type { Say } from '../../model/level.ts';
import type { SyncCounts } from '../../model/snapshot.ts';
import type { Finding } from '../../realserver/doctor/finding.ts';
import { readKeyFile } from '../../runtime/host/key-file.ts';
import { interfaceMtu } from '../../runtime/local-director.ts';
import { peerProblem } from '../../runtime/sync/bulk-handshake.ts';

/** Examines the synchronization of a document on the director's host. */
export async function syncFindings(sync: SyncDocument, say: Say): Promise<Finding[]> {
  const findings = interfaceFindings(sync);
  const keys = await keysOf(sync, findings);
  if (keys.length > 1)
    say(`${sync.keyFile}: two keys: remove the second line when all directors have the first one`);
  findings.push(...(await peerFindings(sync, keys)), ...(await refusalFindings()));
  return findings;
}

function interfaceFindings({ daemon }: SyncDocument): Finding[] {
  const { interface: device, group = '' } = daemon;
  const finding = (what: string, remedy: string): Finding[] => [{ name: 'sync-interface', what, remedy }];
  if (interfaceMtu(device) === undefined)
    return finding(`${device}: network interface not found`, 'name an interface of this host in sync');
  const addresses = interfaceAddresses().filter((each) => each.device === device);
  const isUsable = group.includes(':')
    ? addresses.length > 0
    : addresses.some(({ address }) => !address.includes(':'));
  if (isUsable) return [];
  const family = group.includes(':') ? 'address' : 'IPv4 address';
  return finding(`${device} has no ${family}, or is down`, `ip link set ${device} up, and add an address`);
}

async function keysOf({ keyFile }: SyncDocument, findings: Finding[]): Promise<Uint8Array[]> {
  if (keyFile === undefined) return [];
  try {
    return await readKeyFile(keyFile);
  } catch (error) {
    if (!(error instanceof LvsError)) throw error;
    const remedy = `(umask 077 && openssl rand -hex 32 >${keyFile}), or copy the file of another director`;
    findings.push({ name: 'sync-key', what: error.message, remedy });
    return [];
  }
}

/** Asks each peer for a handshake with the first key, with which this director signs. */
async function peerFindings(
  { peers, bulkPort }: SyncDocument,
  keys: readonly Uint8Array[],
): Promise<Finding[]> {
  const [key] = keys;
  if (key === undefined || peers.length === 0) return [];
  const own = new Set(interfaceAddresses().map(({ address }) => address));
  const others = peers.filter((peer) => !own.has(peer));
  const findings: Finding[] = [];
  if (others.length === peers.length)
    findings.push({
      name: 'sync-peer',
      what: `no address of this host is among the peers ${peers.join(', ')}: no director can fetch its connections`,
      remedy: 'list the addresses of all directors under peers, on all of them',
    });
  for (const peer of others) {
    const problem = await peerProblem(peer, bulkPort, key);
    if (problem === undefined) continue;
    const where = `${peer}, TCP port ${bulkPort}`;
    findings.push({
      name: 'sync-peer',
      what: `${where}: ${problem}`,
      remedy: `on ${peer}: start the director, with the same key file, and with this host's address among the peers`,
    });
  }
  return findings;
}

/** Counts of messages that are refused, and the reason. */
const REFUSALS: readonly (readonly [keyof SyncCounts, string])[] = [
  ['foreignMessages', 'of another sync ID'],
  ['malformedMessages', 'that are malformed, or longer than max-length'],
  ['unauthenticatedMessages', 'that are not signed, or with another key'],
  ['staleMessages', 'of a clock that differs by more than 5 minutes'],
];

/** What the running director refused since its start; nothing if none runs. */
async function refusalFindings(): Promise<Finding[]> {
  using api = new ControlClient(socketPath(process.env));
  const counts = await api.snapshot({}).then(
    ({ sync }) => sync,
    () => undefined,
  );
  return REFUSALS.flatMap(([count, words]) =>
    counts === undefined || counts[count] === 0
      ? []
      : {
          name: 'sync-refused' as const,
          what: `the director refused ${counts[count]} messages ${words} since its start`,
          remedy: 'compare syncid, key file and clock of the directors; see docs/sync.md',
        },
  );
}
