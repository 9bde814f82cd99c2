/** Finds why BIRD does not announce the VIPs of this director. */
import { ANNOUNCE_ERRORS, AnnounceError, type AnnounceErrorKind } from '../../announce/announce-error.ts';
import { includeLine, protocolOf } from '../../announce/bird-file.ts';
import { protocolsOf } from '../../announce/bird-reply.ts';
import { BirdSession } from '../../announce/bird-session.ts';
import { hasBirdc } from '../../announce/withdrawal.ts';
import type { AnnounceDocument, BirdDocument, ServiceDocument } from '../../config/document.ts';
import { ControlClient } from '../../control/client.ts';
import { socketPath } from '../../control/socket-path.ts';
import type { Finding } from '../../realserver/doctor/finding.ts';

/** Examines the announcements of a document on the director's host. */
export async function announceFindings(
  { bird, vips }: AnnounceDocument,
  services: readonly ServiceDocument[],
): Promise<Finding[]> {
  if (bird === undefined) return [];
  const served = services.flatMap(({ service }) => ('address' in service ? [service.address] : []));
  const own = hasBirdc() ? [] : [findingOf('no-supervisor', 'birdc not found', bird)];
  try {
    using session = await BirdSession.open(bird.socket);
    const all = protocolsOf(await session.must('show protocols'));
    const names = new Set(all.map(({ name }) => name));
    const missing = [...new Set(vips ?? served)].find((vip) => !names.has(protocolOf(vip)));
    if (missing !== undefined)
      own.push(findingOf('not-included', `BIRD has no protocol ${protocolOf(missing)}`, bird));
    const closed = all.filter(({ kind, info }) => kind === 'BGP' && !/\bEstablished\b/.test(info));
    for (const { name, info } of closed)
      own.push({
        name: 'bgp-session',
        what: `the BGP session ${name} is not established${info ? `: ${info}` : ''}`,
        remedy: `birdc show protocols all ${name}; compare addresses and AS numbers with the router`,
      });
    if (all.every(({ kind }) => kind !== 'BGP'))
      own.push({
        name: 'bgp-session',
        what: 'BIRD has no BGP session',
        remedy: 'add a protocol bgp to bird.conf, such as that of conf/bgp/bird.conf',
      });
  } catch (error) {
    if (!(error instanceof AnnounceError)) throw error;
    own.push(findingOf(error.kind, error.message, bird));
  }
  return [...own, ...(await reportedFindings(bird, own))];
}

/** Returns what the running director reports, unless it was found already; nothing if none runs. */
async function reportedFindings(bird: BirdDocument, found: readonly Finding[]): Promise<Finding[]> {
  using api = new ControlClient(socketPath(process.env));
  const error = await api.announcements().then(
    (listing) => listing.error,
    () => undefined,
  );
  if (error === undefined || !isKind(error.kind)) return [];
  const finding = findingOf(error.kind, error.text, bird);
  return found.some(({ remedy }) => remedy === finding.remedy) ? [] : [finding];
}

const isKind = (kind: string): kind is AnnounceErrorKind => Object.hasOwn(ANNOUNCE_ERRORS, kind);

function findingOf(kind: AnnounceErrorKind, what: string, { socket, file }: BirdDocument): Finding {
  const folder = file.slice(0, file.lastIndexOf('/'));
  const remedies: Readonly<Record<AnnounceErrorKind, string>> = {
    'no-supervisor': 'apt-get install bird2',
    'not-running': 'systemctl restart bird; the path of its socket is announce.bird.socket',
    'not-permitted': `usermod -aG "$(stat -c %G ${socket})" lvs, then restart the director`,
    timeout: 'systemctl restart bird',
    'invalid-answer': `check that announce.bird.socket is that of BIRD 2: birdc -s ${socket} show status`,
    refused: 'bird -p, and correct bird.conf; the director tries again automatically',
    'not-included': `add the line ${includeLine(file)} to bird.conf, then birdc configure`,
    file: `check owner, mode and free space of ${folder}`,
  };
  return { name: 'announce-failed', what, remedy: remedies[kind] };
}
