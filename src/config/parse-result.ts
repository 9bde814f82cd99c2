/** The result of both parsers, and the problems that they collect. */

import type { VipGroup } from '../model/announcement.ts';
import type {
  AnnounceDocument,
  DestinationDocument,
  Document,
  Interface,
  JoinDocument,
  ServiceDocument,
  SyncDocument,
} from './document.ts';
import type { Place, Problem } from './problem.ts';

/** Parts of a document whose position in the file is kept, so that a later check can report it. */
export type Placed =
  | ServiceDocument
  | DestinationDocument
  | Interface
  | SyncDocument
  | JoinDocument
  | AnnounceDocument
  | VipGroup;

export interface Parsed {
  /** Complete only when no problem is an error. */
  readonly document: Document;
  readonly problems: readonly Problem[];
  readonly places: ReadonlyMap<Placed, Place>;
}

/** Collects problems and positions of one file. */
export class Notes {
  readonly problems: Problem[] = [];
  readonly places = new Map<Placed, Place>();
  readonly #file: string;
  /** A line that makes several services is read several times; each of its problems is reported once. */
  readonly #said = new Set<string>();

  constructor(file: string) {
    this.#file = file;
  }

  error(place: Place, message: string): undefined {
    this.#note('error', place, message);
  }

  warning(place: Place, message: string): void {
    this.#note('warning', place, message);
  }

  /** Records the position of `part`, and returns it. */
  at<T extends Placed>(place: Place, part: T): T {
    this.places.set(part, place);
    return part;
  }

  #note(severity: Problem['severity'], { line, column, length }: Place, message: string): void {
    const key = `${line}:${column}: ${message}`;
    if (this.#said.has(key)) return;
    this.#said.add(key);
    this.problems.push({ severity, file: this.#file, line, column, length, message });
  }
}
