/** The lines of `lvs-director top`: services and destinations in columns that fit a width. */
import type { ClusterStatus } from '../../model/cluster.ts';
import { formatDestination, formatService, withName } from '../../model/naming.ts';
import type { DestinationSnapshot, ServiceSnapshot, Snapshot, Traffic } from '../../model/snapshot.ts';
import { clusterLine } from '../../web/cluster-state.ts';
import { quorumText, stateOf } from '../../web/destination-state.ts';
import { type ServiceState, stateOfService } from '../../web/service-state.ts';

/** Orders of services: by problems, as in the file, by name, by new connections, by packets from clients. */
export const ORDERS = ['problems', 'file', 'name', 'new', 'packets'] as const;
export type Order = (typeof ORDERS)[number];

/** What is shown, and how. */
export interface View {
  readonly order: Order;
  /** Words; each must occur in the name, address or state of a service or of a destination. */
  readonly filter: string;
  /** Services without a problem are hidden. */
  readonly onlyProblems: boolean;
  /** Destinations are hidden. */
  readonly isCollapsed: boolean;
}

export const DEFAULT_VIEW: View = {
  order: 'problems',
  filter: '',
  onlyProblems: false,
  isCollapsed: false,
};

export interface Lines {
  /** The director, and the titles of the columns last: they do not scroll. */
  readonly head: readonly string[];
  readonly rows: readonly string[];
}

interface Column {
  readonly title: string;
  readonly width: number;
  readonly align?: 'left';
  /** Columns with a higher rank give way to names first. */
  readonly rank: number;
}

/** The columns after the name. */
const COLUMNS = {
  state: { title: 'STATE', width: 12, align: 'left', rank: 0 },
  method: { title: 'METHOD', width: 7, align: 'left', rank: 3 },
  weight: { title: 'WEIGHT', width: 6, rank: 0 },
  active: { title: 'ACTIVE', width: 7, rank: 0 },
  inactive: { title: 'INACT', width: 6, rank: 2 },
  new: { title: 'NEW/S', width: 6, rank: 0 },
  inPackets: { title: 'IN PPS', width: 7, rank: 0 },
  outPackets: { title: 'OUT PPS', width: 8, rank: 1 },
  inBits: { title: 'IN BIT/S', width: 9, rank: 4 },
  outBits: { title: 'OUT BIT/S', width: 10, rank: 4 },
} as const satisfies Record<string, Column>;
type ColumnName = keyof typeof COLUMNS;
const NAMES = Object.keys(COLUMNS) as ColumnName[];

/** Minimum width of the name column where there is no limit, characters. */
const MIN_NAME = 24;
/** Words for states that are too long for the column. */
const SHORT_STATES: Readonly<Record<string, string>> = {
  'sorry, standby': 'standby',
  'sorry, in use': 'sorry',
};

interface Row {
  readonly name: string;
  readonly cells: Readonly<Partial<Record<ColumnName, string>>>;
  /** What has no column; cut first. */
  readonly note?: string;
}

/** Returns the lines of a snapshot. `columns`: characters of a line; Infinity: no limit. `cluster`: that of the director. */
export function topLines(
  snapshot: Snapshot,
  time: Date,
  view = DEFAULT_VIEW,
  columns = Infinity,
  cluster?: ClusterStatus,
): Lines {
  const { services, rates, table, drops, vrrp } = snapshot;
  const dropped = Object.values(drops).reduce((sum, packets) => sum + packets, 0);
  const listed = services.map((each): Listed => ({ each, state: stateOfService(each), name: titleOf(each) }));
  const unserved = listed.filter(({ state }) => state.rank === 0).length;
  const down = services.reduce(
    (sum, { destinations }) => sum + destinations.filter((one) => stateOf(one).mood === 'bad').length,
    0,
  );
  const rows = listed.toSorted(comparisonOf(view.order)).flatMap((each) => rowsOf(each, view));
  const all: Row = { name: 'all services', cells: ratesOf(rates) };
  const format = formatFor([all, ...rows], columns);
  return {
    head: [
      fitted(
        [
          `lvs-director ${time.toISOString().slice(11, 19)}  ${counted(services.length, 'service')}`,
          ...(unserved > 0 ? [`${unserved} without a server`] : []),
          ...(down > 0 ? [`${counted(down, 'destination')} down`] : []),
          ...vrrp.map(({ name, state }) => `${name} ${state}`),
        ].join(', '),
        columns,
      ),
      fitted(`${table.connections} of ${table.capacity} connections, ${dropped} packets dropped`, columns),
      ...(cluster ? [fitted(`cluster ${cluster.name}: ${clusterLine(cluster)}`, columns)] : []),
      format(all),
      format({
        name: 'SERVICE, server',
        cells: Object.fromEntries(NAMES.map((name) => [name, COLUMNS[name].title])),
      }),
    ],
    rows: rows.map(format),
  };
}

interface Listed {
  readonly each: ServiceSnapshot;
  readonly state: ServiceState;
  readonly name: string;
}

const titleOf = ({ name, service }: ServiceSnapshot): string => withName(name, formatService(service));

/** Returns the comparison for an order; equal services are in the order of the file, other ones last. */
function comparisonOf(order: Order): (a: Listed, b: Listed) => number {
  const position = ({ each }: Listed) => each.position ?? Number.MAX_SAFE_INTEGER;
  const keys: Readonly<Record<Order, (a: Listed, b: Listed) => number>> = {
    problems: (a, b) => a.state.rank - b.state.rank,
    file: () => 0,
    name: (a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }),
    new: (a, b) => b.each.rates.connections - a.each.rates.connections,
    packets: (a, b) => b.each.rates.inPackets - a.each.rates.inPackets,
  };
  return (a, b) => keys[order](a, b) || position(a) - position(b);
}

/** Returns the rows of a service that a view shows. */
function rowsOf({ each, state, name }: Listed, view: View): Row[] {
  if (view.onlyProblems && state.rank === 3) return [];
  const words = view.filter.toLowerCase().split(/\s+/).filter(Boolean);
  const left = words.filter(
    (word) => !`${name} ${state.word} ${state.why ?? ''}`.toLowerCase().includes(word),
  );
  const destinations = each.destinations
    .toReversed()
    .sort((a, b) => (a.position ?? Number.MAX_SAFE_INTEGER) - (b.position ?? Number.MAX_SAFE_INTEGER))
    .map(destinationRow)
    .filter((row) => {
      const text = `${row.name} ${row.cells.state}`.toLowerCase();
      return left.every((word) => text.includes(word));
    });
  if (left.length > 0 && destinations.length === 0) return [];
  return [serviceRow(each, state, name), ...(view.isCollapsed && left.length === 0 ? [] : destinations)];
}

function serviceRow(
  { options, rates, destinations, admission, quorum }: ServiceSnapshot,
  state: ServiceState,
  name: string,
): Row {
  const sum = (of: (one: DestinationSnapshot) => number) =>
    figure(destinations.reduce((total, one) => total + of(one), 0));
  const notes = [
    ...(state.why === undefined ? [] : [state.why]),
    ...(admission === undefined || admission === 'kernel' ? [] : [`by the process (${admission})`]),
    ...(quorum?.lost ? [quorumText(quorum)] : []),
  ];
  return {
    name,
    cells: {
      state: state.word,
      method: options.scheduler,
      active: sum((one) => one.activeConnections),
      inactive: sum((one) => one.inactiveConnections),
      ...ratesOf(rates),
    },
    note: notes.join(', '),
  };
}

function destinationRow(one: DestinationSnapshot): Row {
  const { word } = stateOf(one);
  return {
    name: `  ${withName(one.name, formatDestination(one))}`,
    cells: {
      state: SHORT_STATES[word] ?? word,
      method: one.method,
      weight: figure(one.weight),
      active: figure(one.activeConnections),
      inactive: figure(one.inactiveConnections),
      ...ratesOf(one.rates),
    },
  };
}

const ratesOf = (rates: Traffic): Row['cells'] => ({
  new: figure(rates.connections),
  inPackets: figure(rates.inPackets),
  outPackets: figure(rates.outPackets),
  inBits: figure(rates.inOctets * 8),
  outBits: figure(rates.outOctets * 8),
});

/** Formats a number in at most five characters: 99999, 1234k, 12M. */
function figure(value: number): string {
  if (value < 100_000) return String(value);
  if (value < 10_000_000) return `${Math.round(value / 1000)}k`;
  return value < 10_000_000_000 ? `${Math.round(value / 1e6)}M` : `${Math.round(value / 1e9)}G`;
}

/** Returns how rows become lines: columns give way until the longest name fits, and no line is longer than `columns`. */
function formatFor(rows: readonly Row[], columns: number): (row: Row) => string {
  const longest = rows.reduce((most, { name }) => Math.max(most, name.length), MIN_NAME);
  let shown = NAMES;
  const width = () => shown.reduce((sum, name) => sum + COLUMNS[name].width + 1, 0);
  for (let rank = 4; rank > 0 && longest + width() > columns; rank--)
    shown = shown.filter((name) => COLUMNS[name].rank < rank);
  const room = Math.max(1, Math.min(longest, columns - width()));
  return ({ name, cells, note = '' }) => {
    const texts = shown.map((column) => {
      const { width: wide, align } = COLUMNS[column] as Column;
      const text = cells[column] ?? '';
      return ` ${align === 'left' ? text.padEnd(wide) : text.padStart(wide)}`;
    });
    const line = `${fitted(name, room).padEnd(room)}${texts.join('')}`;
    const noted = note === '' ? line : `${line}  ${note}`;
    return columns === Infinity ? noted : fitted(noted.length > columns ? line : noted, columns);
  };
}

const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`;

/** Cuts a text to a length; '>' at its end shows that it continues. */
export const fitted = (text: string, length: number): string =>
  text.length <= length ? text : `${text.slice(0, Math.max(0, length - 1))}>`;
