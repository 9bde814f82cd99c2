/** What keys do in `lvs-director top`: order, filter, and scrolling. */
import { UNPRINTABLE } from '../../model/unprintable.ts';
import { DEFAULT_VIEW, ORDERS, type View } from './top-lines.ts';

/** What a terminal shows. */
export interface Screen {
  readonly view: View;
  /** The first row that is shown. */
  readonly first: number;
  /** The filter is being typed. */
  readonly isTyping: boolean;
  readonly isEnded: boolean;
}

export const firstScreen = (view: Partial<View>): Screen => ({
  view: { ...DEFAULT_VIEW, ...view },
  first: 0,
  isTyping: false,
  isEnded: false,
});

const MAX_FILTER_CHARACTERS = 200;

/** Control characters, and the sequences that terminals send for keys (ECMA-48, xterm). */
const INTERRUPT = '\u0003';
const ESCAPE = '\u001b';
const ERASE = new Set(['\u007f', '\b']);
const ENTER = new Set(['\r', '\n']);
// biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences of a terminal
const KEYS = /\u001b\[[0-9;]*[A-Za-z~]|\u001bO[A-Z]|[\s\S]/gu;

/** Rows by which a key scrolls, in screens (page) or rows. */
const SCROLL: Readonly<Record<string, { readonly rows?: number; readonly pages?: number }>> = {
  [`${ESCAPE}[A`]: { rows: -1 },
  [`${ESCAPE}OA`]: { rows: -1 },
  k: { rows: -1 },
  [`${ESCAPE}[B`]: { rows: 1 },
  [`${ESCAPE}OB`]: { rows: 1 },
  j: { rows: 1 },
  [`${ESCAPE}[5~`]: { pages: -1 },
  b: { pages: -1 },
  [`${ESCAPE}[6~`]: { pages: 1 },
  ' ': { pages: 1 },
  [`${ESCAPE}[H`]: { rows: -Infinity },
  [`${ESCAPE}[1~`]: { rows: -Infinity },
  g: { rows: -Infinity },
  [`${ESCAPE}[F`]: { rows: Infinity },
  [`${ESCAPE}[4~`]: { rows: Infinity },
  G: { rows: Infinity },
};

/** Returns the screen after keys. `page`: rows of a screen; `count`: all rows. */
export function pressed(screen: Screen, input: string, page: number, count: number): Screen {
  let now = screen;
  for (const [key] of input.matchAll(KEYS))
    now = now.isTyping ? typed(now, key) : commanded(now, key, page, count);
  return now;
}

function typed(screen: Screen, key: string): Screen {
  const { view } = screen;
  const { filter } = view;
  const withFilter = (text: string): Screen => ({
    ...screen,
    view: { ...view, filter: text.slice(0, MAX_FILTER_CHARACTERS) },
    first: 0,
  });
  if (key === INTERRUPT) return { ...screen, isEnded: true };
  if (ENTER.has(key)) return { ...screen, isTyping: false };
  if (key === ESCAPE) return { ...withFilter(''), isTyping: false };
  if (ERASE.has(key)) return withFilter([...filter].slice(0, -1).join(''));
  return key.startsWith(ESCAPE) ? screen : withFilter(filter + key.replace(UNPRINTABLE, ''));
}

function commanded(screen: Screen, key: string, page: number, count: number): Screen {
  const { view } = screen;
  const scroll = SCROLL[key];
  if (scroll) {
    const { rows = 0, pages = 0 } = scroll;
    const last = Math.max(0, count - page);
    return { ...screen, first: Math.min(last, Math.max(0, screen.first + rows + pages * page)) };
  }
  switch (key) {
    case 'q':
    case INTERRUPT:
      return { ...screen, isEnded: true };
    case '/':
      return { ...screen, isTyping: true };
    case ESCAPE:
      return { ...screen, view: { ...view, filter: '', onlyProblems: false }, first: 0 };
    case 's': {
      const next = ORDERS[(ORDERS.indexOf(view.order) + 1) % ORDERS.length]!;
      return { ...screen, view: { ...view, order: next }, first: 0 };
    }
    case 'p':
      return { ...screen, view: { ...view, onlyProblems: !view.onlyProblems }, first: 0 };
    case 'c':
      return { ...screen, view: { ...view, isCollapsed: !view.isCollapsed }, first: 0 };
    default:
      return screen;
  }
}
