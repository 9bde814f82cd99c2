/** Scripts of keepalived.conf(5), and the users that run them. */
import { USER_PATTERN } from '../check-schema.ts';
import type { Leave } from './keepalived-services.ts';
import type { Statement } from './keepalived-statements.ts';

/** Returns the words of a script, which keepalived runs without a shell; reports what is not carried over. */
export function scriptOf(
  each: Statement,
  { fail, leave }: { readonly fail: Leave; readonly leave: Leave },
): readonly string[] {
  const [, value = ''] = each.words;
  const [, single] = /^'([^']*)'$/.exec(each.words.slice(1).join(' ')) ?? [];
  const script = single ?? value;
  if (/\\|^[^']*'[^']*$/.test(script))
    fail(each, 'a backslash or a single quote in a script is not supported');
  if (single === undefined && each.words.length > 2)
    leave(each, 'keepalived runs the first word alone (quote the script with its arguments)');
  return scriptWords(script);
}

/** Reads `user USER [GROUP]`; undefined: they are no names. */
export function userOf({ words }: Statement): string | undefined {
  const user = words.slice(1, 3).join(':');
  return new RegExp(USER_PATTERN).test(user) ? user : undefined;
}

/** Splits a script into its words at blanks that are not between quotes. keepalived runs the words without a shell. */
function scriptWords(script: string): string[] {
  const found = script.match(/(?:'[^']*'|[^\s'])+/g) ?? [];
  return found.map((word) => word.replace(/'([^']*)'/g, '$1'));
}
