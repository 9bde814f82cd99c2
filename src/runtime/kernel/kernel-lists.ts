/** Keeps the deny and allow lists in the map that programs of the kernel look clients up in. */
import { scopeOf } from '../../director/access-lists.ts';
import { serviceKey } from '../../director/administration.ts';
import type { Director } from '../../director/director.ts';
import type { Service } from '../../director/service.ts';
import type { BpfMap } from '../../ebpf/map.ts';
import type { ListKind } from '../../model/access-list.ts';
import type { ServiceAddress } from '../../model/service.ts';
import { Slice } from '../../model/slice.ts';
import { ACCESS_VALUE, accessKey } from '../../offload/access-map.ts';
import { SystemCallError } from '../../sys/system-call-error.ts';
import type { TableMemory } from '../../table/memory.ts';
import { SETTINGS } from '../../table/record-layout.ts';
import { settingsWords } from '../../table/settings-record.ts';
import type { Prefix } from '../../wire/prefix.ts';

/** A service with lists, and the number that the map has these by; NO_SERVICE: it does not exist. */
interface Scope {
  readonly service: ServiceAddress;
  number: number;
}

export interface KernelListsOptions {
  readonly map: Pick<BpfMap, 'update' | 'delete'>;
  /** Has the entries. */
  readonly director: Director;
  /** Has the settings' record. */
  readonly memory: TableMemory;
  readonly failed: (error: SystemCallError) => void;
}

const ALL_SERVICES = 0;
const NO_SERVICE = -1;
const LISTS = ['allow', 'deny'] as const;

export class KernelLists {
  readonly #options: KernelListsOptions;
  readonly #settings: Uint32Array;
  /** By name. */
  readonly #scopes = new Map<string, Scope>();

  constructor(options: KernelListsOptions) {
    this.#options = options;
    this.#settings = settingsWords(options.memory);
  }

  /** Follows the director, to whose lists an entry was added, or from which it was removed. */
  change(list: ListKind, service: ServiceAddress | undefined, prefix: Prefix, isPresent: boolean): void {
    const number = service === undefined ? ALL_SERVICES : this.#scopeOf(service).number;
    if (number !== NO_SERVICE) this.#write(list, number, prefix, isPresent);
    this.#publish(service);
  }

  /** Follows the numbers of services. Works in slices. */
  async review(): Promise<void> {
    const slice = new Slice();
    for (const [name, scope] of this.#scopes) {
      const former = scope.number;
      scope.number = this.#numberOf(scope.service);
      let entries = 0;
      for (const list of LISTS)
        for (const prefix of this.#options.director.context.access.entries(list, name) ?? []) {
          entries++;
          if (former === scope.number) break;
          if (former !== NO_SERVICE) this.#write(list, former, prefix, false);
          if (scope.number !== NO_SERVICE) this.#write(list, scope.number, prefix, true);
          if (slice.spent) await slice.next();
        }
      if (entries === 0) this.#scopes.delete(name);
      this.#publish(scope.service);
    }
  }

  /** Makes programs look up in these lists alone: another director may have left others. */
  begin(): void {
    this.#publish(undefined);
    const listed = new Set([...this.#scopes.values()].map(({ service }) => this.#find(service)));
    for (const service of this.#options.director.context.services.all)
      if (!listed.has(service)) service.setLists(false);
    for (const { service } of this.#scopes.values()) this.#publish(service);
  }

  #scopeOf(service: ServiceAddress): Scope {
    const name = scopeOf(service);
    const known = this.#scopes.get(name);
    if (known) return known;
    const made: Scope = { service, number: this.#numberOf(service) };
    this.#scopes.set(name, made);
    return made;
  }

  #numberOf(service: ServiceAddress): number {
    return this.#find(service)?.index ?? NO_SERVICE;
  }

  #find(service: ServiceAddress): Service | undefined {
    return this.#options.director.context.services.get(serviceKey(service));
  }

  /** A deny list is looked up as long as it has an entry. */
  #publish(service: ServiceAddress | undefined): void {
    const { access } = this.#options.director.context;
    const isDenying = (access.entries('deny', scopeOf(service))?.size ?? 0) > 0;
    if (service === undefined) this.#settings[SETTINGS.lists >> 2] = Number(isDenying);
    else this.#find(service)?.setLists(isDenying);
  }

  #write(list: ListKind, number: number, prefix: Prefix, isPresent: boolean): void {
    const { map, failed } = this.#options;
    try {
      const key = accessKey(list, number, prefix);
      if (isPresent) map.update(key, ACCESS_VALUE);
      else map.delete(key);
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error;
      failed(error);
    }
  }
}
