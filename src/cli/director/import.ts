/** `lvs-director import`: the configuration of another program, as YAML for this one. */
import { readFileSync } from 'node:fs';
import type { Imported } from '../../config/import/import-result.ts';
import { importRules } from '../../config/import/ipvsadm-rules.ts';
import { importKeepalived } from '../../config/import/keepalived.ts';
import { importLdirectord } from '../../config/import/ldirectord.ts';
import { systemNames } from '../../config/names.ts';
import { writeYaml } from '../../config/yaml/write-yaml.ts';
import { systemNames as ipvsadmNames } from '../../ipvsadm/names.ts';
import { LvsError } from '../../model/errors.ts';
import { schedulers } from '../../schedulers/index.ts';

/** File descriptor of the standard input, which `-` names. */
const STDIN = 0;

export const SOURCES = ['ipvsadm', 'ldirectord', 'keepalived'] as const;
export type Source = (typeof SOURCES)[number];

/** Prints YAML; each line that could not be carried over goes to `complain` with its number. */
export async function importConfig(
  path: string,
  from: Source | undefined,
  print: (text: string) => void,
  complain: (line: string) => void,
): Promise<void> {
  const text = read(path);
  const source = from ?? guessSource(text);
  if (source === undefined)
    throw new LvsError('CONFIG', `${path}: which program is it of? say it with --from ${SOURCES.join('|')}`);
  const { document, leftOut } = await imported(text, source);
  for (const { line, text: words, why } of leftOut)
    complain(`${path}:${line}: left out: ${why}${words && `: ${words}`}`);
  if (document.services.length === 0)
    throw new LvsError('CONFIG', `${path}: there is no service in it that ${source} would know`);
  if (document.services.some(({ service }) => 'address' in service))
    complain(`${path}: add the VIPs with their interfaces under vips: the director takes those only`);
  print(writeYaml(document));
}

/** By the first words that only one of the programs has; undefined: none of them does. */
export function guessSource(text: string): Source | undefined {
  if (/^\s*(virtual_server|virtual_server_group|global_defs|vrrp_\w+)\b/m.test(text)) return 'keepalived';
  if (/^virtual6?\s*=/m.test(text)) return 'ldirectord';
  if (/^\s*(ipvsadm\s+)?(-A|--add-service)\s/m.test(text)) return 'ipvsadm';
  return undefined;
}

function imported(text: string, source: Source): Imported | Promise<Imported> {
  switch (source) {
    case 'ipvsadm':
      return importRules(text, ipvsadmNames());
    case 'ldirectord':
      return importLdirectord(text, { names: systemNames(), schedulers: Object.keys(schedulers) });
    case 'keepalived':
      return importKeepalived(text, { schedulers: Object.keys(schedulers) });
    default:
      return source satisfies never;
  }
}

function read(path: string): string {
  try {
    return readFileSync(path === '-' ? STDIN : path, 'utf8').replace(/^\uFEFF/, '');
  } catch (cause) {
    throw new LvsError('CONFIG', `${path}: cannot be read: ${(cause as Error).message}`, { cause });
  }
}
