/**
 * `lvs-director top`: shows services and destinations with their rates, refreshed like top; once when not on
 * a terminal.
 */

import type { DirectorApi } from '../../control/director-api.ts';
import { formatDestination, formatService, withName } from '../../model/naming.ts';
import type { DestinationSnapshot, ServiceSnapshot, Snapshot, Traffic } from '../../model/snapshot.ts';
import { quorumText, stateOf } from '../../web/destination-state.ts';

export interface Terminal {
  readonly columns: number;
  readonly rows: number;
}

/** ECMA-48 sequences: alternate screen, cursor, clearing, attributes. */
const ESCAPE = '\u001b[';
const ENTER = `${ESCAPE}?1049h${ESCAPE}?25l`;
const LEAVE = `${ESCAPE}?25h${ESCAPE}?1049l`;
const HOME = `${ESCAPE}H`;
const TO_LINE_END = `${ESCAPE}K`;
const TO_SCREEN_END = `${ESCAPE}J`;
const REVERSE = `${ESCAPE}7m`;
const PLAIN = `${ESCAPE}0m`;

/** Byte of Ctrl-C in raw mode. */
const INTERRUPT = 3;

/** Minimum width of the name column, characters. */
const NAME_COLUMNS = 38;
/** Line number of the table's header, and the size of a terminal that does not report it. */
const HEADER_LINE = 3;
const DEFAULT_TERMINAL: Terminal = { columns: 80, rows: 24 };

interface Row {
  readonly name: string;
  readonly figures: string;
}

function row(
  name: string,
  method: string,
  weight: string,
  active: string,
  inactive: string,
  rates: readonly string[],
): Row {
  const counts = `${method.padEnd(7)}${weight.padStart(7)}${active.padStart(8)}${inactive.padStart(8)}`;
  return { name, figures: `${counts}${rates.map((rate) => rate.padStart(10)).join('')}` };
}

const ratesOf = (rates: Traffic): string[] =>
  [rates.connections, rates.inPackets, rates.outPackets, rates.inOctets * 8, rates.outOctets * 8].map(figure);

/** Formats a number in at most five characters: 99999, 1234k, 12M. */
function figure(value: number): string {
  if (value < 100_000) return String(value);
  if (value < 10_000_000) return `${Math.round(value / 1000)}k`;
  return value < 10_000_000_000 ? `${Math.round(value / 1e6)}M` : `${Math.round(value / 1e9)}G`;
}

function nameOf(destination: DestinationSnapshot): string {
  const { word } = stateOf(destination);
  return `  ${withName(destination.name, formatDestination(destination))}${word === 'up' ? '' : ` ${word}`}`;
}

function serviceRows({
  service,
  name,
  options,
  rates,
  destinations,
  admission,
  quorum,
}: ServiceSnapshot): Row[] {
  const active = destinations.reduce((sum, one) => sum + one.activeConnections, 0);
  const inactive = destinations.reduce((sum, one) => sum + one.inactiveConnections, 0);
  const path = admission === undefined || admission === 'kernel' ? '' : `, by the process (${admission})`;
  const lost = quorum?.lost ? `, ${quorumText(quorum)}` : '';
  return [
    row(
      `${withName(name, formatService(service))} ${options.scheduler}${path}${lost}`,
      '',
      '',
      figure(active),
      figure(inactive),
      ratesOf(rates),
    ),
    ...destinations.map((one) =>
      row(
        nameOf(one),
        one.method,
        figure(one.weight),
        figure(one.activeConnections),
        figure(one.inactiveConnections),
        ratesOf(one.rates),
      ),
    ),
  ];
}

/** Returns the lines, the busiest services first. */
export function topLines({ services, rates, table, drops, vrrp }: Snapshot, time: Date): string[] {
  const dropped = Object.values(drops).reduce((sum, packets) => sum + packets, 0);
  const busiest = services.toSorted((a, b) => b.rates.inPackets - a.rates.inPackets);
  const titles = ['NEW/S', 'IN PPS', 'OUT PPS', 'IN BIT/S', 'OUT BIT/S'];
  const head = row('SERVICE, destination', 'METHOD', 'WEIGHT', 'ACTIVE', 'INACT', titles);
  const all = row('all services', '', '', '', '', ratesOf(rates));
  const rows = busiest.flatMap(serviceRows);
  const width = rows.reduce((most, { name }) => Math.max(most, name.length), NAME_COLUMNS);
  const line = ({ name, figures }: Row) => `${name.padEnd(width)} ${figures}`;
  return [
    `lvs-director ${time.toISOString().slice(11, 19)}  ${services.length} services, ` +
      `${table.connections} of ${table.capacity} connections, ${dropped} packets dropped` +
      vrrp.map(({ name, state }) => `, ${name} ${state}`).join(''),
    line(all),
    '',
    line(head),
    ...rows.map(line),
  ];
}

/** Returns a screen of lines; excess lines are cut, and their number is shown. */
export function screenOf(lines: readonly string[], { columns, rows }: Terminal): string {
  const fits = lines.length <= rows;
  const shown = fits ? lines : [...lines.slice(0, rows - 1), `... ${lines.length - rows + 1} more lines`];
  const cut = shown.map((line, i) => {
    const text = line.slice(0, columns);
    return `${i === HEADER_LINE ? `${REVERSE}${text}${PLAIN}` : text}${TO_LINE_END}`;
  });
  return `${HOME}${cut.join('\r\n')}${TO_SCREEN_END}`;
}

export interface TopOptions {
  readonly api: DirectorApi;
  /** Refresh interval, ms. */
  readonly interval: number;
  readonly input: NodeJS.ReadStream;
  readonly output: NodeJS.WriteStream;
  /** Ends it, like q. */
  readonly signal: AbortSignal;
}

/** Shows the lines until q or the signal. */
export async function top({ api, interval, input, output, signal }: TopOptions): Promise<void> {
  const readLines = async () => topLines(await api.snapshot({ services: true }), new Date());
  if (!output.isTTY) {
    output.write(`${(await readLines()).join('\n')}\n`);
    return;
  }
  let wake = () => {};
  let ended = signal.aborted;
  const end = () => {
    ended = true;
    wake();
  };
  const pressed = (key: Buffer) => (key.includes('q') || key.includes(INTERRUPT) ? end() : wake());
  const resized = () => wake();
  const first = await readLines();
  output.write(ENTER);
  input.setRawMode?.(true).on('data', pressed).resume();
  output.on('resize', resized);
  signal.addEventListener('abort', end);
  try {
    let lines = first;
    while (!ended) {
      const { columns, rows } = output;
      output.write(
        screenOf(lines, {
          columns: columns || DEFAULT_TERMINAL.columns,
          rows: rows || DEFAULT_TERMINAL.rows,
        }),
      );
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, interval);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      if (!ended) lines = await readLines();
    }
  } finally {
    input.setRawMode?.(false).off('data', pressed).pause();
    output.off('resize', resized);
    output.write(LEAVE);
  }
}
