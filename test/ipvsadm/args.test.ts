import { expect, test } from 'vitest';
import { Words } from '../../src/ipvsadm/args.ts';
import { SPELLINGS } from '../../src/ipvsadm/options.ts';

/** Options as `long`, `long=value`, or what is wrong; then what is left over. */
function read(line: string): string {
  const words = new Words(line.split(' '), SPELLINGS);
  const all: string[] = [];
  for (let word = words.next(); word; word = words.next()) {
    if ('problem' in word) return `${word.text}: ${word.problem}`;
    all.push(word.value === undefined ? word.spelling.long : `${word.spelling.long}=${word.value}`);
  }
  return [...all, ...words.leftOver.map((word) => `(${word})`)].join(' ');
}

test.each([
  ['-L -n', 'list numeric'],
  ['-Ln', 'list numeric'],
  ['-lnc', 'list numeric connection'],
  ['-At 10.9.0.1:80 -s rr', 'add-service tcp-service=10.9.0.1:80 scheduler=rr'],
  ['-At10.9.0.1:80 -srr', 'add-service tcp-service=10.9.0.1:80 scheduler=rr'],
  ['-t=10.9.0.1:80', 'tcp-service=10.9.0.1:80'],
  ['--tcp-service=10.9.0.1:80', 'tcp-service=10.9.0.1:80'],
  ['--tcp-service 10.9.0.1:80', 'tcp-service=10.9.0.1:80'],
  ['-s -n', 'scheduler=-n'],
  ['-p 60', 'persistent=60'],
  ['-p60', 'persistent=60'],
  ['-p -s rr', 'persistent scheduler=rr'],
  ['-p', 'persistent'],
  ['-p= -n', 'persistent= numeric'],
  ['--persistent -n', 'persistent numeric'],
  ['-ps rr', 'persistent=s (rr)'],
  ['-mw3', 'masquerading weight=3'],
  ['-L foo -n bar', 'list numeric (foo) (bar)'],
  ['-L -- -n', 'list (-n)'],
  ['-L -', 'list (-)'],
  ['-At', '-At: missing argument'],
  ['--scheduler', '--scheduler: missing argument'],
  ['-LQ', '-LQ: unknown option'],
  ['--stat', '--stat: unknown option'],
  ['--bogus=3', '--bogus=3: unknown option'],
  ['--numeric=1', '--numeric=1: option does not take an argument'],
  ['-n=1', '-n=1: option does not take an argument'],
])('%s', (line, want) => expect(read(line)).toBe(want));
