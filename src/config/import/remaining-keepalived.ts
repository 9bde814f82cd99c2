/** Makes the keepalived.conf that remains beside a director: without virtual servers, and with what connects the two. */
import { isDeepStrictEqual } from 'node:util';
import { LvsError } from '../../model/errors.ts';
import type { SourceLine } from './import-result.ts';
import { type Complain, expandLines, type KeepalivedSources } from './keepalived-lines.ts';
import { parseStatements, type Statement, tokensOf } from './keepalived-statements.ts';
import { SYNC_DAEMON } from './keepalived-sync.ts';

/** A line that starts the kernel's daemon; lvs.yaml has it as `sync`. */
const SYNC_LINE = new RegExp(`^[ \\t]*(?:@\\S+[ \\t]+)?${SYNC_DAEMON}\\b.*\\n`, 'gm');
const REMOVED: readonly string[] = ['virtual_server', 'virtual_server_group'];
const INSTANCE = 'vrrp_instance';
const TRACK_NAME = 'lvs_director';
/** As in conf/ha. */
const TRACK_FILE = `# 1 while the director of this node cannot forward packets: the node gives the addresses up.
track_file ${TRACK_NAME} {
    file /run/lvs/ready
    weight 0
    init_file 1
}

`;
const TRACK = `    track_file {
        ${TRACK_NAME}
    }
`;
const NOTIFY = '    notify "/usr/bin/lvs-director notify" root\n';

/** A statement with braces at the top of the file, by offsets in the text. */
interface Block {
  readonly keyword: string;
  readonly start: number;
  /** Of its closing brace. */
  readonly close: number;
  /** First words of its statements. */
  readonly inside: ReadonlySet<string>;
  readonly at: SourceLine;
}

/**
 * Returns the text with the conditions, parameters, includes and comments that it has. Reports to `complain` what has to be
 * changed manually. Throws LvsError CONFIG if the virtual servers cannot be separated from the rest.
 */
export function remainingKeepalived(text: string, sources: KeepalivedSources, complain: Complain): string {
  const ignore = () => {};
  const statementsOf = (from: string) => parseStatements(expandLines(from, sources, ignore), ignore);
  const isRemoved = ({ words }: Statement) => REMOVED.includes(words[0]!);
  const isLeftOut = (each: Statement) => isRemoved(each) || each.words[0] === SYNC_DAEMON;
  const before = statementsOf(text);
  const without = cut(
    text,
    blocksOf(text).filter(({ keyword }) => REMOVED.includes(keyword)),
  ).replace(SYNC_LINE, '');
  const after = statementsOf(without);
  if (!isDeepStrictEqual(wordsOf(before, isLeftOut), wordsOf(after, isLeftOut)))
    throw new LvsError(
      'CONFIG',
      'virtual servers share lines or parameters with other statements: remove them manually',
    );
  const globals = after.flatMap(({ words, body = [] }) => (words[0] === 'global_defs' ? body : []));
  for (const each of [...after, ...globals].filter(isLeftOut))
    complain(each.at, 'the remaining keepalived.conf still contains it: remove it manually');
  for (const { words, at } of after)
    if (words[0] === INSTANCE && at.file !== undefined)
      complain(at, `add track_file and notify to the instance manually (docs/ha.md)`);
  return connected(without, blocksOf(text), complain);
}

/** Adds track_file and notify to the instances. `original`: the blocks of the file, for places in reports. */
function connected(text: string, original: readonly Block[], complain: Complain): string {
  const isInstance = ({ keyword }: Block) => keyword === INSTANCE;
  const instances = blocksOf(text).filter(isInstance);
  const places = original.filter(isInstance).map(({ at }) => at);
  if (instances.length === 0 || new RegExp(`^\\s*track_file\\s+${TRACK_NAME}\\b`, 'm').test(text))
    return text;
  let result = text;
  for (const [i, { close, inside }] of [...instances.entries()].reverse()) {
    const hasNotify = inside.has('notify');
    if (hasNotify)
      complain(
        places[i]!,
        'the instance has a notify script: run "lvs-director notify" with its arguments there',
      );
    const lineBegin = result.lastIndexOf('\n', close) + 1;
    const isAlone = result.slice(lineBegin, close).trim() === '';
    const added = `${isAlone ? '' : '\n'}${TRACK}${hasNotify ? '' : NOTIFY}`;
    const place = isAlone ? lineBegin : close;
    result = result.slice(0, place) + added + result.slice(place);
  }
  const first = result.lastIndexOf('\n', instances[0]!.start) + 1;
  return result.slice(0, first) + TRACK_FILE + result.slice(first);
}

/** Removes the blocks, and the lines that are empty then. */
function cut(text: string, blocks: readonly Block[]): string {
  let result = text;
  for (const { start, close } of blocks.toReversed()) {
    const rest = result.slice(close + 1);
    const isLastOfLine = /^[ \t\r]*(\n|$)/.exec(rest);
    const lead = result.slice(0, start);
    result = isLastOfLine ? lead.replace(/[ \t]*$/, '') + rest.slice(isLastOfLine[0].length) : lead + rest;
  }
  return result;
}

function blocksOf(text: string): Block[] {
  const blocks: Block[] = [];
  let depth = 0;
  let offset = 0;
  /** The statement at the top whose block may follow, and that block. */
  let statement: { readonly start: number; readonly words: string[]; readonly at: SourceLine } | undefined;
  let inside = new Set<string>();
  for (const [i, line] of text.split('\n').entries()) {
    const at: SourceLine = { text: line.trim(), line: i + 1 };
    let isFirst = true;
    for (const { text: word, kind, index } of tokensOf({ ...at, text: line }, () => {})) {
      if (kind === 'word') {
        if (depth === 0 && isFirst) statement = { start: offset + index, words: [], at };
        if (depth === 0) statement?.words.push(word);
        else if (depth === 1 && isFirst) inside.add(word);
        isFirst = false;
        continue;
      }
      isFirst = true;
      depth += kind === 'open' ? 1 : -1;
      if (depth === 1 && kind === 'open') inside = new Set();
      if (depth !== 0 || kind === 'open' || statement === undefined) continue;
      // Conditions and repetitions precede the keyword.
      const keyword = statement.words.find((each) => each === INSTANCE || REMOVED.includes(each)) ?? '';
      blocks.push({ keyword, start: statement.start, close: offset + index, inside, at: statement.at });
      statement = undefined;
    }
    offset += line.length + 1;
  }
  return blocks;
}

type Words = readonly (readonly [readonly string[], Words])[];

const wordsOf = (statements: readonly Statement[], isLeftOut: (each: Statement) => boolean): Words =>
  statements
    .filter((each) => !isLeftOut(each))
    .map(({ words, body = [] }) => [words, wordsOf(body, isLeftOut)]);
