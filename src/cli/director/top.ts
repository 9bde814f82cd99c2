/**
 * `lvs-director top`: shows services and destinations with their rates, refreshed like top; once when not on
 * a terminal.
 */

import type { DirectorApi } from '../../control/director-api.ts';
import type { ClusterStatus } from '../../model/cluster.ts';
import { LvsError } from '../../model/errors.ts';
import type { Snapshot } from '../../model/snapshot.ts';
import { clusterOf } from './cluster-of.ts';
import { firstScreen, pressed, type Screen } from './top-keys.ts';
import { fitted, type Lines, topLines, type View } from './top-lines.ts';

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

/** The size of a terminal that does not report it. */
const DEFAULT_TERMINAL: Terminal = { columns: 80, rows: 24 };

/** Returns the number of rows that a terminal shows below the head, and above the line of keys. */
const pageOf = (lines: Lines, terminal: Terminal): number =>
  Math.max(1, terminal.rows - headOf(lines, terminal).length - 1);

/** Terminals with fewer rows show only the titles of the columns above them. */
const MIN_ROWS = 10;
const headOf = ({ head }: Lines, { rows }: Terminal): readonly string[] =>
  rows < MIN_ROWS ? head.slice(-1) : head;

/** Returns what a terminal prints for the lines. `problem`: shown instead of the keys. */
export function screenOf(
  lines: Lines,
  { view, first, isTyping }: Screen,
  terminal: Terminal,
  problem?: string,
): string {
  const { columns, rows } = terminal;
  const head = headOf(lines, terminal);
  const page = pageOf(lines, terminal);
  const from = Math.min(first, Math.max(0, lines.rows.length - page));
  const shown = lines.rows.slice(from, from + page);
  const range = `${shown.length === 0 ? 0 : from + 1}-${from + shown.length} of ${lines.rows.length}`;
  const filter = view.filter === '' && !isTyping ? '' : ` (${view.filter}${isTyping ? '_' : ''})`;
  const keys = `${range}  q quit  / filter${filter}  s sort (${view.order})  p ${view.onlyProblems ? 'all' : 'problems'}  c ${view.isCollapsed ? 'expand' : 'collapse'}`;
  const foot = problem ?? (isTyping ? `filter: ${view.filter}_` : keys);
  const all = [...head.map((line) => fitted(line, columns)), ...shown];
  const titles = head.length - 1;
  const printed = all.slice(0, rows - 1).map((line, i) => (i === titles ? reversed(line, columns) : line));
  while (printed.length < rows - 1) printed.push('');
  const text = [...printed, reversed(fitted(foot, columns), columns)];
  return `${HOME}${text.map((line) => `${line}${TO_LINE_END}`).join('\r\n')}${TO_SCREEN_END}`;
}

const reversed = (line: string, columns: number): string =>
  `${REVERSE}${Number.isFinite(columns) ? line.padEnd(columns) : line}${PLAIN}`;

export interface TopOptions {
  /** Opens a connection to the director; called again after an error. */
  readonly open: () => DirectorApi & Disposable;
  /** Refresh interval, ms. */
  readonly interval: number;
  readonly view: Partial<View>;
  readonly input: NodeJS.ReadStream;
  readonly output: NodeJS.WriteStream;
  /** Ends it, like q. */
  readonly signal: AbortSignal;
}

/** Shows the lines until q or the signal. Throws LvsError if the director does not answer at first. */
export async function top(options: TopOptions): Promise<void> {
  const { open, view, input, output, signal } = options;
  const first = await read(open);
  const screen = firstScreen(view);
  if (!output.isTTY) {
    const { head, rows } = topLines(first.snapshot, first.time, screen.view, Infinity, first.cluster);
    output.write(`${[...head, ...rows].join('\n')}\n`);
    first.api[Symbol.dispose]();
    return;
  }
  const session = new Session(options, first, screen);
  output.write(ENTER);
  input.setRawMode?.(true).on('data', session.press).resume();
  output.on('resize', session.draw);
  signal.addEventListener('abort', session.end);
  try {
    await session.run();
  } finally {
    input.setRawMode?.(false).off('data', session.press).pause();
    output.off('resize', session.draw);
    output.write(LEAVE);
  }
}

interface Read {
  readonly api: DirectorApi & Disposable;
  readonly snapshot: Snapshot;
  readonly cluster: ClusterStatus | undefined;
  readonly time: Date;
}

async function read(open: TopOptions['open'], connected?: DirectorApi & Disposable): Promise<Read> {
  const api = connected ?? open();
  return {
    ...{ api, snapshot: await api.snapshot({ services: true }), cluster: await clusterOf(api) },
    time: new Date(),
  };
}

/** The loop on a terminal. Keys act at once; the director is asked once per interval. */
class Session {
  readonly #options: TopOptions;
  #last: Read;
  #screen: Screen;
  #problem: string | undefined;
  #wake = () => {};

  constructor(options: TopOptions, first: Read, screen: Screen) {
    this.#options = options;
    this.#last = first;
    this.#screen = screen;
  }

  async run(): Promise<void> {
    const { interval, signal } = this.#options;
    let api: Read['api'] | undefined = this.#last.api;
    while (!signal.aborted && !this.#screen.isEnded) {
      this.draw();
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, interval);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      if (signal.aborted || this.#screen.isEnded) break;
      try {
        this.#last = await read(this.#options.open, api);
        api = this.#last.api;
        this.#problem = undefined;
      } catch (error) {
        // The director may be starting again.
        if (!(error instanceof LvsError)) throw error;
        api?.[Symbol.dispose]();
        api = undefined;
        this.#problem = `no answer since ${this.#last.time.toISOString().slice(11, 19)}: ${error.message}`;
      }
    }
    api?.[Symbol.dispose]();
  }

  readonly press = (input: Buffer): void => {
    const lines = this.#lines();
    const page = pageOf(lines, this.#terminal);
    this.#screen = pressed(this.#screen, input.toString(), page, lines.rows.length);
    if (this.#screen.isEnded) this.#wake();
    else this.draw();
  };

  readonly end = (): void => this.#wake();

  readonly draw = (): void => {
    this.#options.output.write(screenOf(this.#lines(), this.#screen, this.#terminal, this.#problem));
  };

  get #terminal(): Terminal {
    const { columns, rows } = this.#options.output;
    return { columns: columns || DEFAULT_TERMINAL.columns, rows: rows || DEFAULT_TERMINAL.rows };
  }

  #lines(): Lines {
    const { snapshot, time, cluster } = this.#last;
    return topLines(snapshot, time, this.#screen.view, this.#terminal.columns, cluster);
  }
}
