/** Keeps the deny and allow lists in the map that programs of the kernel look clients up in. */
import { scopeOf } from '../director/access-lists.ts';
import { serviceKey } from '../director/administration.ts';
import type { Director } from '../director/director.ts';
import type { Service } from '../director/service.ts';
import type { BpfMap } from '../ebpf/map.ts';
import type { ListKind } from '../model/access-list.ts';
import type { ServiceAddress } from '../model/service.ts';
import { Slice } from '../model/slice.ts';
import { ACCESS_VALUE, accessKey } from '../offload/access-map.ts';
import { SystemCallError } from '../sys/system-call-error.ts';
import type { TableMemory } from '../table/memory.ts';
import { SETTINGS, SETTINGS_BYTES } from '../table/record-layout.ts';
import type { Prefix } from '../wire/prefix.ts';

/** The entries of one service, or of all services, and the number that the map has it by. */
interface Scope {
  readonly service: ServiceAddress | undefined;
  readonly entries: Map<string, readonly [list: ListKind, prefix: Prefix]>;
  /** Entries of the deny list. */
  denied: number;
  /** Number of the service's record; -1: it does not exist. */
  number: number;
}

export interface KernelListsOptions {
  readonly map: Pick<BpfMap, 'update' | 'delete'>;
  readonly director: Director;
  /** Has the settings' record. */
  readonly memory: TableMemory;
  readonly failed: (error: SystemCallError) => void;
}

const ALL_SERVICES = 0;
const NO_SERVICE = -1;

export class KernelLists {
  readonly #options: KernelListsOptions;
  readonly #settings: Uint32Array;
  readonly #scopes = new Map<string, Scope>();

  constructor(options: KernelListsOptions) {
    this.#options = options;
    const { buffer, offset } = options.memory.reserve('settings', SETTINGS_BYTES);
    this.#settings = new Uint32Array(buffer, offset, SETTINGS_BYTES / 4);
  }

  /** Adds an entry, or removes it. */
  change(list: ListKind, service: ServiceAddress | undefined, prefix: Prefix, isPresent: boolean): void {
    const scope = this.#scopeOf(service);
    const key = `${list} ${prefix.address.join()}/${prefix.bits}`;
    if (scope.entries.has(key) === isPresent) return;
    if (isPresent) scope.entries.set(key, [list, prefix]);
    else scope.entries.delete(key);
    if (list === 'deny') scope.denied += isPresent ? 1 : -1;
    // A deny list is looked up once it has its first entry, and no longer once it has lost its last one.
    if (scope.number !== NO_SERVICE) this.#write(list, scope.number, prefix, isPresent);
    this.#publish(scope);
  }

  /** Follows the numbers of services. Works in slices. */
  async review(): Promise<void> {
    const slice = new Slice();
    for (const [name, scope] of this.#scopes) {
      const number = this.#numberOf(scope.service);
      if (number !== scope.number) {
        const former = scope.number;
        scope.number = number;
        for (const [list, prefix] of [...scope.entries.values()]) {
          if (former !== NO_SERVICE) this.#write(list, former, prefix, false);
          if (number !== NO_SERVICE) this.#write(list, number, prefix, true);
          if (slice.spent) await slice.next();
        }
      }
      if (scope.entries.size === 0) this.#scopes.delete(name);
      else this.#publish(scope);
    }
  }

  /** Makes programs look up in these lists alone: another director may have left others. */
  begin(): void {
    const { services } = this.#options.director.context;
    const isDenying = (this.#scopes.get(scopeOf(undefined))?.denied ?? 0) > 0;
    this.#settings[SETTINGS.lists >> 2] = Number(isDenying);
    const listed = new Set([...this.#scopes.values()].map(({ number }) => number));
    for (const service of services.all) if (!listed.has(service.index)) service.setLists(false);
  }

  #scopeOf(service: ServiceAddress | undefined): Scope {
    const name = scopeOf(service);
    const known = this.#scopes.get(name);
    if (known) return known;
    const made: Scope = { service, entries: new Map(), denied: 0, number: this.#numberOf(service) };
    this.#scopes.set(name, made);
    return made;
  }

  #numberOf(service: ServiceAddress | undefined): number {
    return service === undefined ? ALL_SERVICES : (this.#find(service)?.index ?? NO_SERVICE);
  }

  #find(service: ServiceAddress): Service | undefined {
    return this.#options.director.context.services.get(serviceKey(service));
  }

  #publish({ service, denied }: Scope): void {
    if (service === undefined) this.#settings[SETTINGS.lists >> 2] = Number(denied > 0);
    else this.#find(service)?.setLists(denied > 0);
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
