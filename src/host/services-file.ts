/** Parses /etc/services, services(5): `name port/protocol alias...`, # comments. */

export interface ServiceLine {
  /** The official name first, then the aliases. */
  readonly names: readonly [string, ...string[]];
  readonly port: number;
  readonly protocol: string;
}

/** Yields the lines of the file. Skips invalid lines, as the C library does. */
export function* serviceLines(text: string): Generator<ServiceLine> {
  for (const line of text.split('\n')) {
    const [name, at, ...aliases] = line.replace(/#.*/, '').trim().split(/\s+/);
    const [port, protocol] = (at ?? '').split('/');
    if (name && port && protocol) yield { names: [name, ...aliases], port: Number(port), protocol };
  }
}
