import { describe, expect, test } from 'vitest';
import { translatePattern } from '../../../src/config/import/perl-pattern.ts';
import { parseBodyPattern } from '../../../src/model/body-pattern.ts';

/** Whether the translated pattern matches the text. */
function matches(pattern: string, text: string): boolean {
  const translated = translatePattern(pattern);
  if ('why' in translated) throw new Error(translated.why);
  const { source, flags: own } = parseBodyPattern(translated.match);
  return new RegExp(source, own).test(text);
}

describe('a regular expression of Perl means the same in JavaScript', () => {
  test.each<[pattern: string, matching: string, other: string]>([
    ['^server (bg1|bg2)', 'server bg2 here', 'a server bg1'],
    ['ok$', 'is ok\n', 'ok\nno'],
    ['ok\\z', 'is ok', 'is ok\n'],
    ['\\Aok\\Z', 'ok\n', 'not ok'],
    ['a.b', 'a-b', 'a\nb'],
    ['(?i)OK', 'ok', 'no'],
    ['(?s)a.b', 'a\nb', 'ab'],
    ['(?m)^b$', 'a\nb\nc', 'ab'],
    ['[[:digit:]]{2}', '42', '4'],
    ['[]a]', ']', 'b'],
    ['[^]a]', 'b', ']'],
    ['[^[:space:]\\d]x', 'ax', ' x'],
    ['\\x41\\x{42}', 'AB', 'ab'],
    ['a{b}', 'a{b}', 'ab'],
    ['\\$1\\.00', '$1.00', '1x00'],
    ['^\\s*$', ' \n', '\u00a0'],
    ['(?:a|b)+?c(?=d)(?!de)', 'abcd', 'abcde'],
    ['[a\\-z]', '-', 'b'],
    ['^a|b$', 'xb', 'bx'],
    ['-/"\'#', '-/"\'#', ''],
  ])('%s', (pattern, matching, other) => {
    expect(matches(pattern, matching)).toBe(true);
    expect(matches(pattern, other)).toBe(false);
  });
});

test.each([
  'a++',
  'a*+',
  '(?>a)',
  '(?i:a)',
  '(?<name>a)',
  '(?#comment)',
  '(*FAIL)',
  '(a)\\1',
  '\\Qa.b\\E',
  '\\p{L}',
  '\\R',
  'a{,3}',
  '[[:^digit:]]',
  '[[.a.]]',
  '[a',
  '(a',
  'a)',
  '*a',
  'a\\',
  '[z-a]',
])('%s is refused, as JavaScript does not have it', (pattern) => {
  expect(translatePattern(pattern)).toEqual({
    why: expect.stringContaining('the regular expression is not supported: '),
  });
});

test.each(['^a', 'a$', '\\Aa', 'a\\z', '(?<=a)b'])('%s is refused where anchors are', (pattern) => {
  expect(translatePattern(pattern, { anchors: false })).toEqual({ why: expect.stringContaining('anchor') });
  expect(translatePattern(pattern)).toHaveProperty('match');
});
