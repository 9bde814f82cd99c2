/** Knows since when other directors have all places of a group of VIPs, and announce them. */
import { areAnnouncedByOthers } from '../../cluster/roles.ts';
import type { ClusterView } from '../../cluster/view.ts';
import type { VipGroup } from '../../model/announcement.ts';

export class OtherAnnouncers {
  readonly #node: string;
  readonly #idOf: (group: string) => string;
  /** By group: when they began to announce it, ms, and which VIPs. */
  readonly #since = new Map<string, { readonly id: string; readonly at: number }>();

  /** `node`: this director. `idOf`: identifies the VIPs of a group. */
  constructor(node: string, idOf: (group: string) => string) {
    this.#node = node;
    this.#idOf = idOf;
  }

  /** Call it when keys have changed. `now`: ms. */
  update(view: ClusterView, groups: readonly VipGroup[], now: number): void {
    const before = new Map(this.#since);
    this.#since.clear();
    for (const group of groups) {
      if (!this.#areAnnouncing(view, group)) continue;
      const id = this.#idOf(group.name);
      const since = before.get(group.name);
      this.#since.set(group.name, since?.id === id ? since : { id, at: now });
    }
  }

  /** Reports whether they have announced the present VIPs of a group for `duration` ms, and still do. */
  haveAnnounced(view: ClusterView, group: VipGroup, duration: number, now: number): boolean {
    const since = this.#since.get(group.name);
    const isLongEnough = since?.id === this.#idOf(group.name) && now - since.at >= duration;
    return isLongEnough && this.#areAnnouncing(view, group);
  }

  #areAnnouncing(view: ClusterView, { name, active }: VipGroup): boolean {
    return areAnnouncedByOthers(view, name, active, this.#node, this.#idOf(name));
  }
}
