/**
 * Translates regular expressions of Perl (ldirectord) and PCRE2 (keepalived) into JavaScript's. Only what means the
 * same in both is translated; everything else is refused by name (perlre(1), pcre2pattern(3)).
 */

/** A translated pattern, with its flags in front (parseBodyPattern), or why there is none. */
export type Translation = { readonly match: string } | { readonly why: string };

/** Characters of JavaScript's syntax. */
const SYNTAX = /[\\^$.*+?()[\]{}|/]/;
/** Perl's \s, which has no Unicode spaces in bytes. */
const SPACES = ' \\t\\n\\r\\f\\v';
const ESCAPES: Readonly<Record<string, string>> = {
  ...{ d: '\\d', D: '\\D', w: '\\w', W: '\\W', s: `[${SPACES}]`, S: `[^${SPACES}]`, b: '\\b', B: '\\B' },
  ...{ n: '\\n', r: '\\r', t: '\\t', f: '\\f', a: '\\x07', e: '\\x1b', h: '[ \\t]' },
  ...{ A: '^', z: '(?![^])', Z: '(?=\\n?(?![^]))' },
};
const CLASS_ESCAPES: Readonly<Record<string, string>> = {
  ...{ d: '\\d', D: '\\D', w: '\\w', W: '\\W', s: SPACES, h: ' \\t' },
  ...{ n: '\\n', r: '\\r', t: '\\t', f: '\\f', a: '\\x07', e: '\\x1b', b: '\\x08' },
};
const POSIX: Readonly<Record<string, string>> = {
  ...{
    alpha: 'A-Za-z',
    digit: '0-9',
    alnum: 'A-Za-z0-9',
    upper: 'A-Z',
    lower: 'a-z',
    word: '\\w',
    xdigit: '0-9A-Fa-f',
  },
  ...{
    space: SPACES,
    blank: ' \\t',
    punct: '!-\\/:-@\\[-`{-~',
    print: ' -~',
    graph: '!-~',
    cntrl: '\\x00-\\x1f\\x7f',
  },
};
const GROUPS = /^\(\?(?::|=|!|<=|<!)/;

class Refused extends Error {}

/** Without `anchors` a pattern that depends on the beginning or the end of the text is refused. */
export function translatePattern(pattern: string, { anchors = true } = {}): Translation {
  const [prefix = '', inline = ''] = /^\(\?([ims]+)\)/.exec(pattern) ?? [];
  try {
    const source = translate(pattern.slice(prefix.length), new Set(inline), anchors);
    // Multiline and dotall are translated into the pattern itself.
    const match = `${inline.includes('i') ? '(?i)' : ''}${source}`;
    new RegExp(source);
    return { match };
  } catch (error) {
    return { why: `the regular expression is not supported: ${(error as Error).message}` };
  }
}

function translate(pattern: string, flags: ReadonlySet<string>, anchors: boolean): string {
  let out = '';
  let rest = pattern;
  const take = (found: string, translated: string) => {
    out += translated;
    rest = rest.slice(found.length);
  };
  while (rest !== '') {
    const char = rest[0]!;
    const [anchor] = /^(?:[$^]|\\[AzZ]|\(\?<[=!])/.exec(rest) ?? [];
    if (anchor !== undefined && !anchors) throw new Refused(`anchor '${anchor}'`);
    const quantifier = /^(?:[*+?]|\{\d+(?:,\d*)?\})([+?]?)/.exec(rest);
    if (quantifier) {
      if (quantifier[1] === '+') throw new Refused(`possessive quantifier '${quantifier[0]}'`);
      take(quantifier[0], quantifier[0]);
    } else if (char === '\\') takeEscape(rest, ESCAPES, take);
    else if (char === '[') take(...translateClass(rest));
    else if (char === '(') {
      const [group = ''] = GROUPS.exec(rest) ?? [];
      if (group === '' && /^\((?:\?|\*)/.test(rest)) throw new Refused(`group '${rest.slice(0, 3)}'`);
      take(group || char, group || char);
    } else if (char === '.') take(char, flags.has('s') ? '[^]' : '[^\\n]');
    else if (char === '^') take(char, flags.has('m') ? '(?<![^\\n])' : '^');
    else if (char === '$') take(char, flags.has('m') ? '(?![^\\n])' : '(?=\\n?(?![^]))');
    else if (/^\{,?\d/.test(rest)) throw new Refused(`quantifier '${rest.slice(0, 3)}'`);
    else take(char, char === ')' || char === '|' ? char : literal(char));
  }
  return out;
}

const literal = (char: string): string => (SYNTAX.test(char) ? `\\${char}` : char);

function takeEscape(
  rest: string,
  escapes: Readonly<Record<string, string>>,
  take: (found: string, translated: string) => void,
): void {
  const [hex, digits, braced] = /^\\x(?:([0-9A-Fa-f]{2})|\{([0-9A-Fa-f]{1,2})\})/.exec(rest) ?? [];
  const char = rest[1];
  if (hex !== undefined) take(hex, `\\x${(digits ?? braced)!.padStart(2, '0')}`);
  else if (char === undefined) throw new Refused('a backslash at the end');
  else if (/[!-/:-@[-`{-~]/.test(char)) take(rest.slice(0, 2), `\\${char}`);
  else if (/\W/.test(char)) take(rest.slice(0, 2), char);
  else if (Object.hasOwn(escapes, char)) take(rest.slice(0, 2), escapes[char]!);
  else throw new Refused(`'\\${char}'`);
}

/** Translates a bracketed class at the beginning of `rest`: what it takes, and what it becomes. */
function translateClass(rest: string): [found: string, translated: string] {
  const [opening] = /^\[\^?\]?/.exec(rest)!;
  let inside = rest.slice(opening.length);
  let translated = opening.endsWith(']') ? `${opening.slice(0, -1)}\\]` : opening;
  const take = (found: string, becomes: string) => {
    translated += becomes;
    inside = inside.slice(found.length);
  };
  while (inside !== '' && inside[0] !== ']') {
    const [posix, name] = /^\[:(\^?\w+):\]/.exec(inside) ?? [];
    if (posix !== undefined) {
      if (!Object.hasOwn(POSIX, name!)) throw new Refused(`class '${posix}'`);
      take(posix, POSIX[name!]!);
    } else if (/^\[[.=]/.test(inside)) throw new Refused(`class '${inside.slice(0, 2)}'`);
    else if (inside[0] === '\\') takeEscape(inside, CLASS_ESCAPES, take);
    else if (inside[0] === '-') take('-', '-');
    else take(inside[0]!, inside[0] === '^' ? '\\^' : literal(inside[0]!));
  }
  if (inside === '') throw new Refused('a class that is not closed');
  return [rest.slice(0, rest.length - inside.length + 1), `${translated}]`];
}
