/** Imports rules as `ipvsadm -S` writes them: a scratch director applies them, and its services become the document. */

import { Director } from '../../director/director.ts';
import type { Names } from '../../ipvsadm/names.ts';
import { Refusal, wordsFor } from '../../ipvsadm/refusal.ts';
import { parseRequest } from '../../ipvsadm/request.ts';
import { LvsError } from '../../model/errors.ts';
import type { ServiceSnapshot } from '../../model/snapshot.ts';
import { type Draft, documentOf, type Imported, type LeftOut } from './import-result.ts';

/** Rows of the scratch director's connection table, which stays empty. */
const TABLE_ROWS = 16;

/** Reports every line that is not a rule, or that a director refuses; `#` begins a comment. */
export async function importRules(text: string, names: Names): Promise<Imported> {
  const host = { transmit: () => false, route: () => undefined, isLocal: () => false };
  const director = new Director({ host, maxConnections: TABLE_ROWS });
  const leftOut: LeftOut[] = [];
  for (const [i, raw] of text.split('\n').entries()) {
    const line = raw.replace(/^\s*#.*/, '').trim();
    if (line === '') continue;
    const why = await tryRule(line, director, names);
    if (why !== undefined) leftOut.push({ line: i + 1, text: line, why });
  }
  const { services, timeouts } = director.snapshot(0);
  const fresh = new Director({ host, maxConnections: TABLE_ROWS }).snapshot(0).timeouts;
  const document = documentOf(services.map(draftOf));
  const changed = (['tcp', 'tcpFin', 'udp'] as const).filter((name) => timeouts[name] !== fresh[name]);
  return {
    document: {
      ...document,
      timeouts: Object.fromEntries(changed.map((name) => [name, timeouts[name]])),
    },
    leftOut,
  };
}

/** Returns why the line was left out; undefined where it was applied. */
async function tryRule(line: string, director: Director, names: Names): Promise<string | undefined> {
  const words = line.split(/\s+/).filter((word) => word !== 'ipvsadm');
  if (words.length === 0) return undefined;
  try {
    const request = await parseRequest(words, names);
    if (request.kind !== 'apply') return 'not a rule';
    const { command } = request;
    if (command.op === 'start-daemon' || command.op === 'stop-daemon') return 'not supported';
    if ('options' in command && 'persistenceMask' in command.options)
      return 'a netmask whose ones do not lead is not supported';
    try {
      director.apply(command, 0);
      return undefined;
    } catch (error) {
      if (!(error instanceof LvsError)) throw error;
      return wordsFor(error.code, error.message, command);
    }
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return error.message;
  }
}

/** A snapshot lists the newest destination first; the document has them in the order in which they were added. */
function draftOf({ service, options, destinations }: ServiceSnapshot): Draft {
  return {
    service,
    options,
    destinations: destinations.toReversed().map((each) => ({
      server: each.address,
      destination: { address: each.address, port: each.port },
      options: {
        method: each.method,
        weight: each.weight,
        ...(each.upperThreshold > 0 && { upperThreshold: each.upperThreshold }),
        ...(each.lowerThreshold > 0 && { lowerThreshold: each.lowerThreshold }),
        ...(each.method === 'tunnel' && { tunnel: each.tunnel }),
      },
    })),
  };
}
