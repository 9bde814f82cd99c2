/** Compares what files configure beside rules: checks, sorry servers, quorums, programs, and servers that may join. */
import { createHash } from 'node:crypto';
import { formatDestination, formatService } from '../../model/naming.ts';
import type { DestinationDocument, Document, ServiceDocument } from '../document.ts';

/** Digests by the name of a service. A service without checks and their consequences has none. */
export type CheckDigests = Readonly<Record<string, string>>;

export const checkDigests = ({ active, services }: Document): CheckDigests =>
  Object.fromEntries(
    (active ? services : []).flatMap((each) => {
      const text = textOf(each);
      const digest = createHash('sha256').update(text).digest('base64url');
      return text === '' ? [] : [[formatService(each.service), digest]];
    }),
  );

/** Returns the names of services that both files have, and whose checks or their consequences differ. */
export function changedChecks(document: Document, before: CheckDigests): string[] {
  const after = checkDigests(document);
  const names = document.active ? document.services.map(({ service }) => formatService(service)) : [];
  return names.filter((name) => after[name] !== before[name]);
}

function textOf({ destinations, sorry = [], quorum, notify, join }: ServiceDocument): string {
  const watched = destinations.filter((each) => each.checks || each.inhibit !== undefined || each.notify);
  if (watched.length === 0 && sorry.length === 0 && !quorum && !notify && !join) return '';
  return JSON.stringify([
    watched.map(partsOf),
    sorry.map((each) => [...partsOf(each), each.options]),
    quorum,
    notify,
    ...(join ? [join] : []),
  ]);
}

const partsOf = ({ destination, checks, inhibit, notify }: DestinationDocument): unknown[] => [
  ...[formatDestination(destination), checks, inhibit, notify],
];
