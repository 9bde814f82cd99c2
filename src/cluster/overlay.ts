/** Rules that ipvsadm has set over and above the configuration: one value in etcd, with the fewest commands that make them. */
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import type { Command } from '../model/command.ts';

/** Maximum length of the commands as JSON, and of the value, bytes. */
const MAX_JSON_BYTES = 4 << 20;
export const MAX_OVERLAY_BYTES = 1 << 20;

export interface Overlay {
  /** Identifies the change that has written it. */
  readonly id: string;
  /** The generation of the configuration at that time. */
  readonly generation: number;
  readonly commands: readonly Command[];
}

/** Returns the value of an overlay. */
export function overlayText({ id, generation, commands }: Overlay): string {
  return JSON.stringify({
    id,
    generation,
    commands: deflateRawSync(JSON.stringify(commands)).toString('base64'),
  });
}

/** Returns the overlay; undefined: the value is none. `isCommand`: checks the shape of one. */
export function overlayOf(
  value: Buffer,
  isCommand: (value: unknown) => value is Command,
): Overlay | undefined {
  if (value.length > MAX_OVERLAY_BYTES) return undefined;
  try {
    const { id, generation, commands: packed } = JSON.parse(value.toString('utf8'));
    if (typeof id !== 'string' || !Number.isSafeInteger(generation) || typeof packed !== 'string')
      return undefined;
    const octets = inflateRawSync(Buffer.from(packed, 'base64'), { maxOutputLength: MAX_JSON_BYTES });
    const commands: unknown = JSON.parse(octets.toString('utf8'));
    return Array.isArray(commands) && commands.every(isCommand) ? { id, generation, commands } : undefined;
  } catch {
    return undefined;
  }
}
