/** `lvs-director explain`: prints what the running director would do with a packet, step by step. */
import { isIPv6 } from 'node:net';
import type { PacketApi } from '../../control/director-api.ts';
import type { ClusterGeneration, GenerationSource } from '../../model/cluster.ts';
import { LvsError } from '../../model/errors.ts';
import type { Candidate, Explanation, Step } from '../../model/explanation.ts';
import { FTP_REFUSALS } from '../../model/ftp.ts';
import { type Admission, UPCALL_REASONS } from '../../model/kernel-admission.ts';
import { formatDestination, formatService, withName } from '../../model/naming.ts';
import type { Protocol } from '../../model/service.ts';
import { DROP_REASONS, type Verdict } from '../../model/verdict.ts';
import { packetOfLine } from '../../wire/packet-line.ts';

interface End {
  readonly address: string;
  readonly port: number;
}

/** Returns the first packet of a connection. Throws LvsError CONFIG for addresses of different families. */
export function firstPacket(from: End, to: End, protocol: Protocol): Uint8Array {
  if (isIPv6(from.address) !== isIPv6(to.address))
    throw new LvsError(
      'CONFIG',
      'explain: --from and --to are of different families: expected both IPv4 or both IPv6',
    );
  const kinds = { tcp: 'TCP SYN', udp: 'UDP', sctp: 'SCTP INIT' } as const;
  return packetOfLine(`${formatDestination(from)} > ${formatDestination(to)} ${kinds[protocol]}`);
}

/** Prints the explanation; returns whether the packet would be forwarded or left to the host. */
export async function explain(
  octets: Uint8Array,
  json: boolean,
  api: PacketApi,
  print: (text: string) => void,
): Promise<boolean> {
  const explanation = await api.explain(octets);
  if (json) print(`${JSON.stringify(explanation, null, 2)}\n`);
  else print(`${linesOf(explanation).join('\n')}\n`);
  return !Object.hasOwn(DROP_REASONS, explanation.verdict);
}

/** Returns the explanation as text; the first word of a line names the step. */
export function linesOf({ packet, steps, verdict, error, cluster }: Explanation): string[] {
  const lines = [row('packet', packet), ...(cluster ? [row('generation', generationText(cluster))] : [])];
  const isKnown = steps.some((step) => step.step === 'found' && step.what === 'connection');
  if (!isKnown && verdict !== 'malformed') lines.push(row('connection', 'none'));
  const isFirst = steps.some((step) => step.step === 'made' && step.what === 'template');
  for (const step of steps) lines.push(...linesOfStep(step, isFirst));
  lines.push(row('verdict', `${verdict}: ${error ?? meaningOf(verdict)}`));
  return lines;
}

function generationText({ name, generation, source, stored, isReachable }: ClusterGeneration): string {
  const problem =
    stored !== 0 && stored !== generation
      ? `; etcd has generation ${stored}`
      : isReachable
        ? ''
        : '; etcd cannot be reached now';
  return `${generation} of the cluster ${name}, from ${SOURCES[source]}${problem}`;
}

const SOURCES = {
  etcd: 'etcd',
  copy: 'the copy on this host, which etcd has not confirmed since the start',
} as const satisfies Record<GenerationSource, string>;

const WIDTH = 12;
const row = (name: string, text: string): string => `${name.padEnd(WIDTH)}${text}`;

/** `isFirst`: the packet makes the template of its client. */
function linesOfStep(step: Step, isFirst: boolean): string[] {
  switch (step.step) {
    case 'mark':
      return [row('mark', step.mark === 0 ? 'no rule matches' : String(step.mark))];
    case 'found':
      return foundLines(step);
    case 'access':
      return [row('access', accessText(step))];
    case 'template-given-up':
      return [row('template', 'a template exists, but its destination accepts no new connections')];
    case 'service':
      return serviceLines(step, isFirst);
    case 'scheduler':
      return schedulerLines(step);
    case 'made':
      return [row(step.what, `new, to ${formatDestination(step.destination)} by ${step.method}`)];
    case 'ftp':
      return [row('ftp', ftpText(step))];
    case 'sent':
      return [row('sends', `${step.packet} via ${step.nextHop}`)];
    default:
      return step satisfies never;
  }
}

function foundLines({ what, connection, fromClient }: Extract<Step, { step: 'found' }>): string[] {
  const { clientAddress, clientPort, virtualAddress, virtualPort } = connection;
  const { destinationAddress, destinationPort, state, expires } = connection;
  const ends = [
    formatDestination({ address: clientAddress, port: clientPort }),
    formatDestination({ address: virtualAddress, port: virtualPort }),
    formatDestination({ address: destinationAddress, port: destinationPort }),
  ];
  const side = fromClient ? '' : ', from its destination';
  return [row(what, `${ends.join(' -> ')}, ${state}, ${expires} s left${side}`)];
}

function serviceLines(step: Extract<Step, { step: 'service' }>, isFirst: boolean): string[] {
  const { service, near, asked, admission } = step;
  const name = service ? withName(step.name, formatService(service)) : 'none matches';
  const unasked = service && !asked ? ', but the packet does not begin a connection' : '';
  return [
    row('service', `${name}${unasked}`),
    ...near.map((miss) => row('', `not ${withName(miss.name, formatService(miss.service))}: ${miss.why}`)),
    ...(asked && admission ? [row('kernel path', admissionText(admission, isFirst))] : []),
  ];
}

function accessText({ list, prefix, service, source, left }: Extract<Step, { step: 'access' }>): string {
  const of = service ? formatService(service) : 'all services';
  const end = left === undefined ? '' : `, ${left} s left`;
  return `${list} list of ${of}: ${prefix}${source === undefined ? '' : `, by ${source}`}${end}`;
}

function ftpText(step: Extract<Step, { step: 'ftp' }>): string {
  switch (step.what) {
    case 'translated':
      return `the server's address in the reply becomes ${step.address}`;
    case 'expected':
      return `a data connection is expected: ${step.client} -> ${step.virtual} -> ${step.server}`;
    case 'refused':
      return `the announced data connection is refused: ${FTP_REFUSALS[step.why]}`;
    default:
      return step satisfies never;
  }
}

const admissionText = (admission: Admission, isFirst: boolean): string =>
  admission === 'kernel'
    ? `programs admit new connections of this service${isFirst ? ', the process the first one of each client' : ''}`
    : `the process admits new connections of this service: ${UPCALL_REASONS[admission]}`;

function schedulerLines(step: Extract<Step, { step: 'scheduler' }>): string[] {
  const { scheduler, rule, candidates, more, chosen, isTakenOver } = step;
  const width = Math.max(0, ...candidates.map((each) => withName(each.name, formatDestination(each)).length));
  return [
    row('scheduler', `${scheduler} ${rule}${chosen ? '' : ': no destination is available'}`),
    ...(isTakenOver
      ? [row('', 'a connection of another director: earlier lists of destinations decide, if mh has some')]
      : []),
    ...candidates.map((each) => row('', candidateLine(each, width))),
    ...(more > 0 ? [row('', `and ${more} more`)] : []),
  ];
}

const candidateLine = (it: Candidate, width: number): string =>
  `${it.taken ? '->' : '  '} ${withName(it.name, formatDestination(it)).padEnd(width)}  weight ${it.weight}, ` +
  `${it.activeConnections} active, ${it.inactiveConnections} inactive: ${it.why}`;

const MEANINGS = {
  forwarded: 'sent to the next hop',
  answered: 'the director sends a response itself',
  waiting: 'a fragment, held until its datagram is complete',
  pass: 'left to the host',
  ...DROP_REASONS,
} as const satisfies Record<Verdict, string>;

const meaningOf = (verdict: Verdict): string => MEANINGS[verdict];
