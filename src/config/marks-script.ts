/** Renders mark rules as shell lines that install them with nft, in a separate table. */
import { markMatch } from '../host/mark-match.ts';
import type { MarkRule } from '../model/command.ts';

const TABLE = 'lvs_marks';

/** Returns an empty text for no rules. Running the lines again re-creates the table. */
export function marksScript(rules: readonly MarkRule[]): string {
  if (rules.length === 0) return '';
  return `  nft -f - <<'MARKS'
table inet ${TABLE} {}
delete table inet ${TABLE}
table inet ${TABLE} {
  chain prerouting {
    type filter hook prerouting priority mangle;
${rules.map((rule) => `    ${ruleLine(rule)}\n`).join('')}  }
}
MARKS
`;
}

/** Accepts the packet once it is marked: the first matching rule decides. */
const ruleLine = (rule: MarkRule): string =>
  `${markMatch(rule)} meta mark set ${rule.mark} accept`.trimStart();
