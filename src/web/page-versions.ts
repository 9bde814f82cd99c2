/** The parts of the page with the version in which each changed last, so that a browser fetches only what it lacks. */
import type { Html } from './html.ts';

/** A part of the page: one element with this ID. */
export interface PagePart {
  readonly id: string;
  readonly html: Html;
}

/** What a browser lacks. */
export interface PageUpdate {
  /** Token of the version that the browser has then. */
  readonly version: string;
  /** IDs of all parts in their order. */
  readonly order: readonly string[];
  /** The elements that are new or changed, by their IDs. */
  readonly parts: Readonly<Record<string, string>>;
}

/** Number of versions that `knows` accepts. */
const MAX_KNOWN = 64;

export class PageVersions {
  /** Distinguishes versions of this process from those of an earlier one. */
  readonly #process = `${process.pid.toString(36)}${Date.now().toString(36)}`;
  #version = 0;
  #parts = new Map<string, { readonly text: string; readonly version: number }>();

  /** Records the current parts. */
  update(parts: readonly PagePart[]): void {
    const next = this.#version + 1;
    let hasChanged = parts.length !== this.#parts.size;
    const all = new Map<string, { readonly text: string; readonly version: number }>();
    for (const { id, html } of parts) {
      const known = this.#parts.get(id);
      const isSame = known?.text === html.text;
      hasChanged ||= !isSame;
      all.set(id, isSame ? known : { text: html.text, version: next });
    }
    this.#parts = all;
    if (hasChanged) this.#version = next;
  }

  /** Returns the token of the current version. */
  get token(): string {
    return `${this.#process}-${this.#version}`;
  }

  /** Reports whether a token is one that this process gave not long ago. */
  knows(token: string): boolean {
    const version = this.#versionOf(token);
    return version >= Math.max(0, this.#version - MAX_KNOWN) && version <= this.#version;
  }

  /** Returns what a browser with the version of this token lacks: everything, if the token is from another process. */
  since(token: string): PageUpdate {
    const version = this.#versionOf(token);
    const changed = [...this.#parts].filter(([, part]) => part.version > version);
    return {
      version: this.token,
      order: [...this.#parts.keys()],
      parts: Object.fromEntries(changed.map(([id, { text: html }]) => [id, html])),
    };
  }

  #versionOf(token: string): number {
    const [process, text] = token.split('-');
    return process === this.#process && /^\d{1,15}$/.test(text ?? '') ? Number(text) : -1;
  }
}
