/** Commands that README.md and the pages of docs/ print in code blocks without a language. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PROJECT } from './project.ts';

export const pages: readonly string[] = [
  'README.md',
  ...readdirSync(join(PROJECT, 'docs')).map((name) => `docs/${name}`),
].filter((name) => name.endsWith('.md'));

export const textOf = (page: string): string => readFileSync(join(PROJECT, page), 'utf8');

/** Text of the code blocks of a page, each with its language. */
function blocksOf(page: string): { readonly language: string; readonly text: string }[] {
  return [...textOf(page).matchAll(/^ *```([^\n]*)\n(.*?)^ *```$/gms)].map(([, language, text]) => ({
    language: language!,
    text: text!,
  }));
}

/** Command lines, without comments. */
export function commandsOf(page: string): string[] {
  return blocksOf(page)
    .filter(({ language }) => language === '')
    .flatMap(({ text }) => {
      const lines = text.replace(/\\\n\s*/g, ' ').split('\n');
      // A transcript: only what follows its prompt was typed.
      const typed = text.includes('$ ') ? lines.filter((line) => /^ *\$ /.test(line)) : lines;
      return typed
        .map((line) =>
          line
            .trim()
            .replace(/^\$ /, '')
            .replace(/ +# .*$/, '')
            .trim(),
        )
        .filter((line) => /^(?:lvs-|ipvsadm|npm|npx|scripts\/|systemctl|apt|podman|dpkg|ln |rm )/.test(line));
    });
}
