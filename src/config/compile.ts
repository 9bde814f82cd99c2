/** A document compiled into the commands that make a fresh director do what it says. */
import type { Command } from '../model/command.ts';
import type { Document } from './document.ts';

export function compile(document: Document): Command[] {
  if (!document.active) return [];
  return document.services.flatMap(({ service, options, destinations }): Command[] => [
    { op: 'add-service', service, options },
    ...destinations.map(
      (each): Command => ({
        op: 'add-destination',
        service,
        destination: each.destination,
        options: each.options,
      }),
    ),
  ]);
}
