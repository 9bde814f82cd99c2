/** The lines of /etc/services, services(5): `name port/protocol alias...`, # comments. */

export interface ServiceLine {
  /** The official one first, then its aliases. */
  readonly names: readonly [string, ...string[]];
  readonly port: number;
  readonly protocol: string;
}

/** What is no such line is passed over, as the C library does. */
export function* serviceLines(text: string): Generator<ServiceLine> {
  for (const line of text.split('\n')) {
    const [name, at, ...aliases] = line.replace(/#.*/, '').trim().split(/\s+/);
    const [port, protocol] = (at ?? '').split('/');
    if (name && port && protocol) yield { names: [name, ...aliases], port: Number(port), protocol };
  }
}
