/** Rejects words that make documentation, comments and messages hard to read, and names better ones. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { PROJECT } from './support/project.ts';

/** What not to write, and what to write instead. */
const WORDS: readonly (readonly [RegExp, string])[] = [
  [/\b(?:no|some)body\b/i, 'name the process, host or user'],
  [/\b(?:its|their|his|one's) own\b(?= *[.,;:)])|\bof (?:its|their) own\b/i, 'separate, or nothing'],
  [/\bwhoever\b|\bwhom\b/i, 'repeat the noun'],
  [
    /\b(?:is|are) (?:not )?there(?: already)?(?= *[.,;:)])|\b(?:is|are) there already\b/i,
    'exists, is missing',
  ],
  [/\bto be had\b/i, 'is available'],
  [/\btold\b|\btells? (?:of|that|what|why|whether|how)\b/i, 'report, log, receive'],
  [/\bhear[sd]?\b/i, 'receive'],
  [/\bby hand\b/i, 'manually, with ipvsadm'],
  [/\bmend(?:s|ed|ing)?\b/i, 'fix'],
  [/\banew\b/i, 're-create, again'],
  [
    /\b(?:a|another|no|the|its|their) ways? (?:of|to|of its)\b|\bon (?:its|their) way\b/i,
    'route, path, next hop',
  ],
  [/\bwithout a word\b|\bby itself\b/i, 'automatically, separately'],
  [/\b(?:stands?|said) twice\b|\bis too much\b/i, 'duplicate, unexpected'],
  [/\btime-outs?\b|\blook-ups?\b|\bnet-?mask of\b/i, 'timeout, lookup'],
  [/\bdoors?\b/i, 'API'],
  [/\basked for\b/i, 'requested'],
  [/\b(?:of|than) ours\b/i, 'repeat the noun'],
  [/['"`]there (?:is|are) (?:no|one)\b/i, 'X: not found, X already exists'],
  [/\b(?:as|so) (?:many|often|long) as one likes\b/i, 'any number of'],
  [/\b(?:for|by|other) people\b/i, 'operators, for display'],
  [/\bevery second or so\b/i, 'once a second'],
  [/\bsays? (?:what|that|whether|why|how|so|nothing)\b/i, 'states, reports, prints'],
  [/\b(?:sends?|sent|goes|gone|went) away\b/i, 'closes, has disconnected'],
  [/\b(?:takers?|foretell|unheard|turn about)\b/i, 'capture, predict, ignored, alternating'],
  // neighbour.h is a header of Linux.
  [/\b(?:neighbour(?!\.h)|behaviour|licence|defence|honour|colour|optimise|recognise)/i, 'US spelling'],
];
/** Names in code: constants without a subject or a unit, and private metaphors. */
const NAMES: typeof WORDS = [
  [/\bconst (?:MOST|FEW|LIMIT|LONGEST|LEAST|KEPT)(?:_\w+)?\b/, 'MAX_..., with a subject and a unit'],
  [/\b(?:door|\w+Door|byHand|isTold|[dD]efence)\b/, 'api, manualChanges, isReported, defense'],
];
/** The field's word in prose; identifiers, and comments about them, may keep the word of the RFCs. */
const OCTET: typeof WORDS = [[/\boctets?\b/i, 'byte']];
const QUOTES: readonly (readonly [RegExp, string])[] = [[/[\u2018\u2019\u201c\u201d]/, 'ASCII quotes']];

/** Every room of src is checked. */
const ROOMS: readonly string[] = readdirSync(join(PROJECT, 'src')).sort();

const MARKDOWN: readonly string[] = [
  'README.md',
  'CHANGELOG.md',
  'bench/README.md',
  ...filesIn('docs', '.md'),
  ...filesIn('test/scenarios', '.md'),
];
/** Examples: their comments, and texts that operators read. */
const EXAMPLES: readonly string[] = filesIn(
  'conf',
  '.md',
  '.conf',
  '.yaml',
  '.yml',
  'grafana-dashboard.json',
);

function filesIn(folder: string, ...ends: readonly string[]): string[] {
  return readdirSync(join(PROJECT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => ends.some((end) => name.endsWith(end)))
    .map((name) => `${folder}/${name}`)
    .sort();
}

const read = (file: string): string => readFileSync(join(PROJECT, file), 'utf8');
/** The text with all but line ends blanked, so that lines keep their numbers. */
const blank = (text: string): string => text.replace(/[^\n]/g, ' ');
/** Markdown without code, which may be the output of another program. */
const prose = (text: string): string => text.replace(/^```.*?^```$|`[^`\n]*`/gms, blank);
/** Keeps what the tokens match and blanks the rest. */
function only(tokens: RegExp, text: string): string {
  let kept = '';
  let end = 0;
  for (const { 0: token, index } of text.matchAll(tokens)) {
    kept += blank(text.slice(end, index)) + token;
    end = index + token.length;
  }
  return kept + blank(text.slice(end));
}
/** Comments and strings of TypeScript; a template's expressions count as its text. */
const words = (text: string): string =>
  only(/\/\*.*?\*\/|\/\/[^\n]*|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`/gs, text);
/** Comments of TypeScript. */
const comments = (text: string): string => only(/\/\*.*?\*\/|\/\/[^\n]*/gs, text);
/** Titles of tests and of their groups: first arguments that are strings and precede a function. */
const titles = (text: string): string =>
  only(
    /(?<=\(\s*)(?:'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`)(?=,\s*(?:async\s*)?\()/g,
    text,
  );

function findings(text: string, list: typeof WORDS): string[] {
  return text.split('\n').flatMap((line, i) =>
    list.flatMap(([word, instead]) => {
      const found = word.exec(line);
      return found ? [`line ${i + 1}: "${found[0]}": write ${instead}`] : [];
    }),
  );
}

test.each(MARKDOWN)('%s is in plain words', (file) => {
  expect(findings(prose(read(file)), [...WORDS, ...OCTET, ...QUOTES])).toEqual([]);
});

test.each(EXAMPLES)('%s is in plain words', (file) => {
  expect(findings(prose(read(file)), [...WORDS, ...OCTET, ...QUOTES])).toEqual([]);
});

test('source has names that state their subject', () => {
  const found = filesIn('src', '.ts').flatMap((file) =>
    findings(read(file), NAMES).map((finding) => `${file} ${finding}`),
  );
  expect(found).toEqual([]);
});

test('source has ASCII quotes and apostrophes', () => {
  const found = filesIn('src', '.ts').flatMap((file) =>
    findings(read(file), QUOTES).map((finding) => `${file} ${finding}`),
  );
  expect(found).toEqual([]);
});

describe('comments and messages are in plain words', () => {
  test.each(ROOMS)('of src/%s', (room) => {
    const found = filesIn(`src/${room}`, '.ts').flatMap((file) =>
      findings(words(read(file)), WORDS).map((finding) => `${file} ${finding}`),
    );
    expect(found).toEqual([]);
  });
});

test.each(['bench', 'scripts'])('comments and messages of %s are in plain words', (folder) => {
  const found = filesIn(folder, '.ts').flatMap((file) =>
    findings(words(read(file)), WORDS).map((finding) => `${file} ${finding}`),
  );
  expect(found).toEqual([]);
});

test('comments of tests are in plain words', () => {
  const found = filesIn('test', '.ts')
    .filter((file) => file !== 'test/words.test.ts')
    .flatMap((file) => findings(comments(read(file)), WORDS).map((finding) => `${file} ${finding}`));
  expect(found).toEqual([]);
});

test('titles of tests are in plain words', () => {
  const found = filesIn('test', '.test.ts')
    .filter((file) => file !== 'test/words.test.ts')
    .flatMap((file) =>
      findings(titles(read(file)), [...WORDS, ...OCTET, ...QUOTES]).map((finding) => `${file} ${finding}`),
    );
  expect(found).toEqual([]);
});

test('the check finds words in comments and strings, with their line, and not in code', () => {
  const text = "const told = 1;\n/** Nobody\n * hears it. */\nthrow new Error('one of nobody');\n";
  expect(findings(words(text), WORDS).map((finding) => finding.split(':').slice(0, 2).join(':'))).toEqual([
    'line 2: "Nobody"',
    'line 3: "hears"',
    'line 4: "nobody"',
  ]);
  const title = "describe('nobody', () => {\n  test.each([1])('%d is told', async () => {});\n";
  expect(findings(titles(`${title}say('nobody', 1);`), WORDS)).toHaveLength(2);
  expect(findings(prose('Said `nobody`\n```\nnobody\n```\nby hand'), WORDS)).toEqual([
    'line 5: "by hand": write manually, with ipvsadm',
  ]);
});
