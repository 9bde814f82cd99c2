/** The regular expression of a health check: JavaScript syntax, with flags in a leading `(?i)`, `(?s)` or `(?m)`. */

/** Returns the pattern and the flags of `text`; throws a SyntaxError where it is not a regular expression. */
export function parseBodyPattern(text: string): { readonly source: string; readonly flags: string } {
  const [prefix = '', flags = ''] = /^\(\?([ims]+)\)/.exec(text) ?? [];
  const source = text.slice(prefix.length);
  new RegExp(source, flags);
  return { source, flags };
}
