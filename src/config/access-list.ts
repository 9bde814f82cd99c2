/** A deny or allow list of a configuration file. */
import { formatPrefix, parsePrefix } from '../wire/prefix.ts';

/** Addresses and prefixes in canonical form, and files with more of them. */
export interface AccessListDocument {
  readonly prefixes: readonly string[];
  /** Absolute paths. */
  readonly files: readonly string[];
}

/** Returns an address or a prefix in canonical form, or what is wrong with it. */
export function canonicalPrefix(text: string): { readonly prefix: string } | { readonly problem: string } {
  const prefix = parsePrefix(text);
  return typeof prefix === 'string' ? { problem: prefix } : { prefix: formatPrefix(prefix) };
}
