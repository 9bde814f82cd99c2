/** The deny and allow lists: who may begin a connection with which service. */
import type { ListKind } from '../model/access-list.ts';
import { formatService } from '../model/naming.ts';
import type { ServiceAddress } from '../model/service.ts';
import { type Address, formatAddress } from '../wire/address.ts';
import type { Prefix } from '../wire/prefix.ts';
import { PrefixSet } from '../wire/prefix-set.ts';
import type { Service } from './service.ts';
import { serviceAddress } from './service-address.ts';

/** The lists of one service, or of all. */
interface Lists {
  readonly deny: PrefixSet;
  /** Those of `deny` that leave connections that exist. */
  readonly sparing: PrefixSet;
  readonly allow: PrefixSet;
}

/** What decides about a client. */
export interface AccessDecision {
  readonly list: ListKind;
  readonly prefix: Prefix;
  /** True: the list is that of the service; false: of all services. */
  readonly isOwn: boolean;
}

/** Whose list an entry is in: the name of a service, or ALL_SERVICES. */
export const ALL_SERVICES = '';
export const scopeOf = (service: ServiceAddress | undefined): string =>
  service === undefined ? ALL_SERVICES : formatService(service);

/** Lists apply to services by name, whether or not these exist. */
export class AccessLists {
  readonly #seed: number;
  readonly #all: Lists;
  readonly #byName = new Map<string, Lists>();
  /** The lists of services that packets have come to. */
  #byService = new WeakMap<Service, Lists | 'none'>();
  /** True: no list has an entry. */
  isEmpty = true;
  /** True: programs of the kernel do not have all entries. */
  isIncomplete = false;

  /** `seed`: 32 random bits, secret. */
  constructor(seed: number) {
    this.#seed = seed;
    this.#all = emptyLists(seed);
  }

  /** Returns the entries of a list; undefined: it has none. */
  entries(list: ListKind, scope: string): PrefixSet | undefined {
    return this.#listsOf(scope)?.[list];
  }

  /** Adds a prefix to a list. `isEnding`, for deny: connections that exist are to end. */
  add(list: ListKind, scope: string, prefix: Prefix, isEnding: boolean): void {
    const lists = scope === ALL_SERVICES ? this.#all : (this.#byName.get(scope) ?? emptyLists(this.#seed));
    if (scope !== ALL_SERVICES && !this.#byName.has(scope)) {
      this.#byName.set(scope, lists);
      this.#byService = new WeakMap();
    }
    lists[list].add(prefix);
    if (list === 'deny' && !isEnding) lists.sparing.add(prefix);
    else if (list === 'deny') lists.sparing.delete(prefix);
    this.isEmpty = false;
  }

  delete(list: ListKind, scope: string, prefix: Prefix): void {
    const lists = this.#listsOf(scope);
    if (!lists) return;
    lists[list].delete(prefix);
    if (list === 'deny') lists.sparing.delete(prefix);
    if (lists !== this.#all && lists.deny.size + lists.allow.size === 0) {
      this.#byName.delete(scope);
      this.#byService = new WeakMap();
    }
    this.isEmpty = this.#byName.size === 0 && this.#all.deny.size + this.#all.allow.size === 0;
  }

  /** Reports whether a client may not begin a connection with the service. */
  isDenied(service: Service, client: Address): boolean {
    return !this.isEmpty && this.#isIn('deny', service, client) && !this.#isIn('allow', service, client);
  }

  /** Reports whether the connections of a client with the service are to end. */
  isEnding(service: Service, client: Address): boolean {
    if (this.isEmpty) return false;
    const isEndingIn = (lists: Lists | undefined) =>
      lists !== undefined && lists.deny.match(client, lists.sparing) >= 0;
    if (!isEndingIn(this.#all) && !isEndingIn(this.#ownOf(service))) return false;
    return !this.#isIn('allow', service, client);
  }

  /** Returns what decides about a client; undefined: it is in no list. */
  decision(service: Service, client: Address): AccessDecision | undefined {
    for (const list of ['allow', 'deny'] as const)
      for (const isOwn of [true, false]) {
        const lists = isOwn ? this.#ownOf(service) : this.#all;
        const prefix = lists?.[list].find(client);
        if (prefix) return { list, prefix, isOwn };
      }
    return undefined;
  }

  /** Returns the entry of an allow list that all of a prefix is in, so that a deny list has no effect on it. */
  allowing(scope: string, prefix: Prefix): Prefix | undefined {
    return this.#all.allow.covering(prefix) ?? this.#listsOf(scope)?.allow.covering(prefix);
  }

  #listsOf(scope: string): Lists | undefined {
    return scope === ALL_SERVICES ? this.#all : this.#byName.get(scope);
  }

  #isIn(list: ListKind, service: Service, client: Address): boolean {
    return this.#all[list].match(client) >= 0 || (this.#ownOf(service)?.[list].match(client) ?? -1) >= 0;
  }

  #ownOf(service: Service): Lists | undefined {
    if (this.#byName.size === 0) return undefined;
    let own = this.#byService.get(service);
    if (own === undefined) {
      own = this.#byName.get(formatService(serviceAddress(service, formatAddress))) ?? 'none';
      this.#byService.set(service, own);
    }
    return own === 'none' ? undefined : own;
  }
}

const emptyLists = (seed: number): Lists => ({
  deny: new PrefixSet(seed),
  sparing: new PrefixSet(seed),
  allow: new PrefixSet(seed),
});
