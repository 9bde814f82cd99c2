/** The table of checks by kernel. */
import type { Result } from './check.ts';

const MISSING = '-';

/** Returns the lines of a table: a row for each check, a column for each kernel. */
export function table(columns: ReadonlyMap<string, readonly Result[]>): string[] {
  const names = [...new Set([...columns.values()].flatMap((results) => results.map(({ name }) => name)))];
  const rows = [
    ['', ...[...columns.keys()].map((series) => `Linux ${series}`)],
    ...names.map((name) => [
      name,
      ...[...columns.values()].map(
        (results) => results.find((result) => result.name === name)?.state ?? MISSING,
      ),
    ]),
  ];
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return [
    '',
    ...rows.map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i]!))
        .join('  ')
        .trimEnd(),
    ),
    '',
  ];
}
