/** What a reader of either syntax returns, and how it notes problems while it reads. */
import type { DestinationDocument, Document, Interface, ServiceDocument } from './document.ts';
import type { Place, Problem } from './problem.ts';

/** Parts of a document whose place in the file is remembered, so that a later check can point there. */
export type Placed = ServiceDocument | DestinationDocument | Interface;

export interface Parsed {
  /** Complete only when no problem is an error. */
  readonly document: Document;
  readonly problems: readonly Problem[];
  readonly places: ReadonlyMap<Placed, Place>;
}

/** Collects problems and places of one file. */
export class Notes {
  readonly problems: Problem[] = [];
  readonly places = new Map<Placed, Place>();
  readonly #file: string;
  /** Where one line makes several services it is read several times: a thing is said once. */
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

  /** Remembers where `part` stands, and returns it. */
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
