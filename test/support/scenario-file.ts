/** Scenarios written in markdown: prose for operators, with blocks of rules and packets that are played as tests. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** What a block holds: things typed in a shell with what they print, packets with what becomes of them, or a configuration. */
const KINDS = ['ipvsadm', 'packets', 'lvs.yaml', 'lvs.conf'] as const;
type BlockKind = (typeof KINDS)[number];

/** How the first line of a statement begins, by the block's kind; the lines after it are its outcome. */
const STATEMENT: Readonly<Record<'ipvsadm' | 'packets', RegExp>> = {
  ipvsadm: /^(ipvsadm|sysctl)\b/,
  packets: /^(in|flows|wait) /,
};

export interface Line {
  /** In its file, from 1. */
  readonly line: number;
  readonly text: string;
}

/** An action and the lines of its expected outcome. */
export interface Statement extends Line {
  readonly kind: BlockKind;
  readonly outcome: readonly Line[];
}

export interface Scenario {
  /** `nat.md:12`, where its heading is. */
  readonly where: string;
  /** The file's name alone. */
  readonly file: string;
  readonly title: string;
  readonly statements: readonly Statement[];
}

interface Block {
  readonly kind: BlockKind;
  readonly lines: Line[];
}

/** The scenarios of a folder's files: one a `##` heading. Blocks above the first heading belong to each of them. */
export function scenariosIn(folder: string): Scenario[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith('.md') && file !== 'README.md')
    .sort()
    .flatMap((file) => parseScenarios(readFileSync(join(folder, file), 'utf8'), file));
}

/** The same of one file's text. Throws an Error that names the line where a block cannot be understood. */
export function parseScenarios(text: string, file: string): Scenario[] {
  const common: Block[] = [];
  const scenarios: { title: string; line: number; blocks: Block[] }[] = [];
  let block: Block | undefined;
  let isProse = true;
  for (const [i, each] of text.split('\n').entries()) {
    const line = i + 1;
    const fence = /^```(.*)$/.exec(each);
    if (fence && !isProse) {
      block = undefined;
      isProse = true;
    } else if (fence) {
      isProse = false;
      const kind = KINDS.find((one) => one === fence[1]!.trim());
      if (!kind && fence[1] !== 'text')
        throw new Error(`${file}:${line}: a block is one of ${KINDS.join(', ')}, text`);
      if (!kind) continue;
      block = { kind, lines: [] };
      (scenarios.at(-1)?.blocks ?? common).push(block);
    } else if (!isProse) block?.lines.push({ line, text: each });
    else if (each.startsWith('## ')) scenarios.push({ title: each.slice(3), line, blocks: [] });
  }
  if (!isProse) throw new Error(`${file}: the last block has no end`);
  return scenarios.map(({ title, line, blocks }) => ({
    where: `${file}:${line}`,
    file,
    title,
    statements: [...common, ...blocks].flatMap((one) => statementsOf(one, file)),
  }));
}

function statementsOf({ kind, lines }: Block, file: string): Statement[] {
  if (kind !== 'ipvsadm' && kind !== 'packets') {
    const text = lines.map((each) => each.text).join('\n');
    return [{ kind, line: lines[0]?.line ?? 0, text, outcome: [] }];
  }
  const statements: (Statement & { readonly outcome: Line[] })[] = [];
  for (const { line, text } of lines) {
    if (text.trim() === '' || (kind === 'packets' && text.startsWith('#'))) continue;
    const last = statements.at(-1);
    if (STATEMENT[kind].test(text)) statements.push({ kind, line, text, outcome: [] });
    else if (last) last.outcome.push({ line, text });
    else throw new Error(`${file}:${line}: what is this the outcome of?`);
  }
  return statements;
}
