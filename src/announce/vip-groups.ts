/** Knows which VIPs belong to which group. */
import { createHash } from 'node:crypto';
import type { VipGroup } from '../model/announcement.ts';

interface Members {
  readonly vips: readonly string[];
  readonly id: string;
}

export class VipGroups {
  #groups: readonly VipGroup[] | undefined;
  #vips: ReadonlySet<string> = new Set();
  #groupOf = new Map<string, string>();
  #rest: string | undefined;
  #members = new Map<string, Members>();

  /** The groups of the configuration; undefined: it has none. */
  get configured(): readonly VipGroup[] | undefined {
    return this.#groups;
  }

  /** Sets the groups and the VIPs that exist. */
  set(groups: readonly VipGroup[] | undefined, vips: ReadonlyMap<string, unknown>): void {
    const areSame = vips.size === this.#vips.size && [...vips.keys()].every((vip) => this.#vips.has(vip));
    if (groups === this.#groups && areSame) return;
    this.#groups = groups;
    this.#vips = new Set(vips.keys());
    const named = (groups ?? []).flatMap((group) =>
      (group.vips ?? []).map((vip) => [vip, group.name] as const),
    );
    this.#groupOf = new Map(named);
    this.#rest = groups?.find((group) => group.vips === undefined)?.name;
    const byGroup = new Map<string, string[]>((groups ?? []).map(({ name }) => [name, []]));
    for (const vip of [...vips.keys()].sort()) byGroup.get(this.of(vip) ?? '')?.push(vip);
    this.#members = new Map([...byGroup].map(([name, all]) => [name, { vips: all, id: idOf(all) }]));
  }

  /** Returns the name of the group that has a VIP; undefined: none, so that every director announces it. */
  of(vip: string): string | undefined {
    return this.#groupOf.get(vip) ?? this.#rest;
  }

  /** Returns the VIPs of a group. */
  vips(group: string): readonly string[] {
    return this.#members.get(group)?.vips ?? [];
  }

  /** Identifies the VIPs of a group: the same on directors that have the same VIPs in it, and empty if there are none. */
  id(group: string): string {
    return this.#members.get(group)?.id ?? '';
  }
}

const idOf = (vips: readonly string[]): string =>
  vips.length === 0 ? '' : createHash('sha256').update(vips.join(' ')).digest('base64url').slice(0, 22);
