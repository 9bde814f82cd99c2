/** `lvs-director joined`: lists the servers that have joined by themselves. */
import type { OperationsApi } from '../../control/operations-api.ts';
import type { JoinedPlace } from '../../model/joined.ts';
import { formatDestination, formatService } from '../../model/naming.ts';

const HEADER = ['server', 'by', 'service', 'destination', 'weight', 'announced', 'state', 'since'];

/** Returns the listing as text, a line for each destination. */
export function formatJoined(places: readonly JoinedPlace[]): string {
  if (places.length === 0) return 'no servers have joined\n';
  const rows = places.map(({ server, source, service, destination, weight, announced, state, since }) => [
    ...[server, source, formatService(service), formatDestination(destination)],
    ...[weight === undefined ? '-' : String(weight), String(announced), state, since],
  ]);
  const widths = HEADER.map((name, i) => Math.max(name.length, ...rows.map((row) => row[i]!.length)));
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, i) => cell.padEnd(widths[i]!))
      .join('  ')
      .trimEnd();
  return `${[HEADER, ...rows].map(line).join('\n')}\n`;
}

export async function listJoined(
  json: boolean,
  api: Pick<OperationsApi, 'joined'>,
  print: (text: string) => void,
): Promise<void> {
  const places = await api.joined();
  print(json ? `${JSON.stringify(places, null, 2)}\n` : formatJoined(places));
}
