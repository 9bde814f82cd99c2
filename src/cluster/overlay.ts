/** Rules that ipvsadm has set over and above the configuration: one value in etcd, with the fewest commands that make them. */
import { promisify } from 'node:util';
import { deflateRaw, inflateRaw } from 'node:zlib';
import type { Command } from '../model/command.ts';
import { Slice } from '../model/slice.ts';

const deflate = promisify(deflateRaw);
const inflate = promisify(inflateRaw);

/** Maximum length of the commands as JSON, and of the value, bytes. */
const MAX_JSON_BYTES = 4 << 20;
export const MAX_OVERLAY_BYTES = 1 << 20;
/** Commands in a line of JSON: reading one takes about 1 ms. */
const COMMANDS_PER_LINE = 200;

export interface Overlay {
  /** Identifies the change that has written it. */
  readonly id: string;
  /** The generation of the configuration at that time. */
  readonly generation: number;
  readonly commands: readonly Command[];
}

/** Resolves with the value of an overlay. Works in slices. */
export async function overlayText({ id, generation, commands }: Overlay): Promise<string> {
  const slice = new Slice();
  const lines: string[] = [];
  for (let i = 0; i < commands.length || i === 0; i += COMMANDS_PER_LINE) {
    lines.push(JSON.stringify(commands.slice(i, i + COMMANDS_PER_LINE)));
    if (slice.spent) await slice.next();
  }
  const packed = await deflate(lines.join('\n'));
  return JSON.stringify({ id, generation, commands: packed.toString('base64') });
}

/** Resolves with the overlay; undefined: the value is none. `isCommand`: checks the shape of one. Works in slices. */
export async function overlayOf(
  value: Buffer,
  isCommand: (value: unknown) => value is Command,
): Promise<Overlay | undefined> {
  if (value.length > MAX_OVERLAY_BYTES) return undefined;
  try {
    const { id, generation, commands: packed } = JSON.parse(value.toString('utf8'));
    if (typeof id !== 'string' || !Number.isSafeInteger(generation) || typeof packed !== 'string')
      return undefined;
    const octets = await inflate(Buffer.from(packed, 'base64'), { maxOutputLength: MAX_JSON_BYTES });
    const slice = new Slice();
    const commands: Command[] = [];
    for (const line of octets.toString('utf8').split('\n')) {
      const some: unknown = JSON.parse(line);
      if (!Array.isArray(some) || !some.every(isCommand)) return undefined;
      commands.push(...some);
      if (slice.spent) await slice.next();
    }
    return { id, generation, commands };
  } catch {
    return undefined;
  }
}
