/** The aliases of a YAML text, *name, and those that name nothing before them. */
import { type Document, isAlias, isNode, visit } from 'yaml';

type Range = readonly [from: number, to: number];

export interface Aliases {
  readonly first: Range | undefined;
  readonly dangling: readonly { readonly name: string; readonly range: Range }[];
}

export function aliasesOf(yaml: Document): Aliases {
  const anchors = new Set<string>();
  const aliases: { name: string; range: Range; dangling: boolean }[] = [];
  visit(yaml, {
    Node(_key, node) {
      if (isAlias(node)) {
        const [from, to] = node.range ?? [0, 1];
        aliases.push({ name: node.source, range: [from, to], dangling: !anchors.has(node.source) });
      } else if (isNode(node) && node.anchor !== undefined) anchors.add(node.anchor);
    },
  });
  return { first: aliases[0]?.range, dangling: aliases.filter(({ dangling }) => dangling) };
}
