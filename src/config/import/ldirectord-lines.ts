/** Splits ldirectord.cf (ldirectord(8) 4.12) into its directives: global ones, and those of each virtual service. */
import type { SourceLine } from './import-result.ts';

/** `key=value`, and a function that reports why it was left out. */
export interface Directive {
  readonly key: string;
  readonly value: string;
  readonly leave: (why: string) => void;
}

/** The directive of a virtual service, and those that are indented below it. */
export interface Virtual {
  readonly head: Directive;
  readonly directives: readonly Directive[];
}

export interface LdirectordFile {
  /** Outside of virtual services. */
  readonly globals: readonly Directive[];
  readonly virtuals: readonly Virtual[];
}

/** A comment ends an indented line; elsewhere a line that begins with `#` is a comment. */
export function parseLdirectord(
  text: string,
  complain: (at: SourceLine, why: string) => void,
): LdirectordFile {
  const globals: Directive[] = [];
  const virtuals: (Virtual & { readonly directives: Directive[] })[] = [];
  let virtual: (typeof virtuals)[number] | undefined;
  for (const [i, raw] of text.split('\n').entries()) {
    const line = (/^\s/.test(raw) ? raw.replace(/#.*/, '') : raw.replace(/^#.*/, '')).trimEnd();
    if (line.trim() === '') continue;
    const at: SourceLine = { text: raw.trim(), line: i + 1 };
    const found = /^(\s*)([\w-]+)\s*=\s*(.*)$/.exec(line);
    if (!found) {
      complain(at, 'expected key = value');
      continue;
    }
    const [, indent, key, value] = found as unknown as [string, string, string, string];
    const directive: Directive = { key, value: value.trim(), leave: (why) => complain(at, why) };
    if (key === 'virtual' || key === 'virtual6') {
      virtual = { head: directive, directives: [] };
      virtuals.push(virtual);
    } else if (indent === '') {
      virtual = undefined;
      globals.push(directive);
    } else if (virtual) virtual.directives.push(directive);
    else directive.leave('an indented line outside of a virtual service');
  }
  return { globals, virtuals };
}
