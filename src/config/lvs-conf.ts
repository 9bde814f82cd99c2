/**
 * Parses the classic syntax, lvs.conf: one DIRECTIVE=words per line. Every problem is reported with its
 * position.
 */

import { isIP } from 'node:net';
import type { ForwardingMethodName } from '../model/destination.ts';
import type { Protocol, ServiceAddress } from '../model/service.ts';
import { prefixOfMask } from '../wire/address.ts';
import { DEVICE_OR_ALIAS } from './device-names.ts';
import {
  type DestinationDocument,
  type Document,
  EMPTY_DOCUMENT,
  type Interface,
  type ServiceDocument,
} from './document.ts';
import type { Names } from './names.ts';
import { Notes, type Parsed } from './parse-result.ts';
import { didYouMean, nearest, type Place } from './problem.ts';
import { review, type Segment } from './semantic-checks.ts';

const METHODS: Readonly<Record<string, ForwardingMethodName>> = {
  VS_NAT: 'nat',
  VS_DR: 'dr',
  VS_TUN: 'tunnel',
};
/** Replaces the VIP of a file without one, which is an error. */
const NO_VIP = '0.0.0.0';
const PROTOCOLS: Readonly<Record<string, Protocol>> = { t: 'tcp', u: 'udp' };

/** The form of each directive's value. */
const FORMS = {
  LVS_TYPE: 'VS_NAT, VS_DR or VS_TUN',
  INITIAL_STATE: 'on or off',
  VIP: 'device[:alias] address netmask [broadcast]',
  DIRECTOR_INSIDEIP: 'device[:alias] address network netmask [broadcast]',
  DIRECTOR_DEFAULT_GW: "an address, or 'client'",
  DIRECTOR_GW: "an address, or 'client'",
  SERVER_DEFAULT_GW: "an address, or 'client'",
  SERVER_GW: "an address, or 'client'",
  SERVICE: 't|u port scheduler server[:port][,weight] ...',
  SERVER_VIP_DEVICE: 'a device',
  SERVER_NET_DEVICE: 'a device',
} as const;
type Directive = keyof typeof FORMS;
export const DIRECTIVES = Object.keys(FORMS);

/** A word of the file with its position. */
interface Word extends Place {
  readonly text: string;
}
interface Statement {
  readonly directive: Directive;
  readonly name: Word;
  readonly words: readonly Word[];
}

/**
 * Parses lvs.conf. `schedulers`: the supported names; `segments`: networks of the host. Never throws: errors
 * are among the problems.
 */
export async function parseLvsConf(
  text: string,
  file: string,
  names: Names,
  schedulers: readonly string[],
  segments: readonly Segment[] = [],
): Promise<Parsed> {
  const notes = new Notes(file);
  const document = await new Reader(notes, names, schedulers).read(text);
  review(document, notes, segments);
  return { document, problems: notes.problems, places: notes.places };
}

class Reader {
  readonly #notes: Notes;
  readonly #names: Names;
  readonly #schedulers: readonly string[];
  /** Directives that unknown words probably meant. */
  readonly #meant = new Set<string>();

  constructor(notes: Notes, names: Names, schedulers: readonly string[]) {
    this.#notes = notes;
    this.#names = names;
    this.#schedulers = schedulers;
  }

  async read(text: string): Promise<Document> {
    const statements = text.split('\n').flatMap((line, i) => this.#statement(line, i + 1) ?? []);
    const last = Math.max(1, text.trimEnd().split('\n').length);
    const first = (...directives: Directive[]) => this.#only(statements, directives);

    const type = first('LVS_TYPE');
    const method = (type && this.#choice(type, METHODS)) ?? 'dr';
    if (!type) this.#missing(last, 'LVS_TYPE');
    const state = first('INITIAL_STATE');
    const active = (state && this.#choice(state, { on: true, off: false })) ?? true;
    const vips = this.#all(statements, 'VIP').flatMap((each) => this.#interface(each, 2) ?? []);
    if (!statements.some((each) => each.directive === 'VIP')) this.#missing(last, 'VIP');
    const inside = first('DIRECTOR_INSIDEIP');
    const insideAddress = inside && this.#interface(inside, 3);
    const gateway = this.#gateway(first('DIRECTOR_GW', 'DIRECTOR_DEFAULT_GW'));
    const serverGateway = this.#gateway(first('SERVER_GW', 'SERVER_DEFAULT_GW'));
    const vipDevice = this.#device(first('SERVER_VIP_DEVICE'));
    const netDevice = this.#device(first('SERVER_NET_DEVICE'));

    const services: ServiceDocument[] = [];
    // A duplicate VIP is reported once; an invalid one does not hide errors of the services.
    const addresses = vips.length > 0 ? new Set(vips.map(({ address }) => address)) : [NO_VIP];
    for (const statement of this.#all(statements, 'SERVICE'))
      for (const address of addresses) {
        const service = await this.#service(statement, address, method);
        if (service) services.push(this.#notes.at(statement.name, service));
      }
    if (!statements.some((each) => each.directive === 'SERVICE')) this.#missing(last, 'SERVICE');

    return {
      ...EMPTY_DOCUMENT,
      method,
      active,
      vips,
      director: { ...(insideAddress && { inside: insideAddress }), ...(gateway && { gateway }) },
      realServers: {
        ...(vipDevice && { vipDevice }),
        ...(netDevice && { netDevice }),
        ...(serverGateway && { gateway: serverGateway }),
      },
      services,
    };
  }

  #statement(line: string, number: number): Statement | undefined {
    const code = line.replace(/#.*/, '').replace(/\r$/, '');
    if (code.trim() === '') return undefined;
    const found = /^(\s*)([^=\s]*)(\s*)(=?)/.exec(code)!;
    const name: Word = wordAt(found[2]!, number, found[1]!.length + 1);
    const directive = Object.hasOwn(FORMS, name.text) ? (name.text as Directive) : undefined;
    if (!directive) {
      this.#meant.add(nearest(name.text, DIRECTIVES) ?? '');
      this.#notes.error(name, `unknown directive '${name.text}'${didYouMean(name.text, Object.keys(FORMS))}`);
      return undefined;
    }
    if (found[4] !== '=') {
      this.#notes.error(name, `missing '=' after ${directive}: expected ${directive}=${FORMS[directive]}`);
      return undefined;
    }
    const words = [...code.slice(found[0].length).matchAll(/\S+/g)].map((match) =>
      wordAt(match[0], number, found[0].length + match.index + 1),
    );
    if (words.length === 0) {
      this.#notes.error(name, `${directive} has no value: expected ${FORMS[directive]}`);
      return undefined;
    }
    return { directive, name, words };
  }

  #all(statements: readonly Statement[], directive: Directive): Statement[] {
    return statements.filter((each) => each.directive === directive);
  }

  #only(statements: readonly Statement[], directives: readonly Directive[]): Statement | undefined {
    const found = statements.filter((each) => directives.includes(each.directive));
    for (const again of found.slice(1))
      this.#notes.error(
        again.name,
        `duplicate directive ${again.directive} (first on line ${found[0]!.name.line})`,
      );
    return found[0];
  }

  #choice<T>(statement: Statement, choices: Readonly<Record<string, T>>): T | undefined {
    const word = statement.words[0]!;
    this.#noMore(statement, 1);
    if (Object.hasOwn(choices, word.text)) return choices[word.text];
    const near = didYouMean(word.text, Object.keys(choices));
    this.#notes.error(
      word,
      `invalid ${statement.directive} '${word.text}': expected ${FORMS[statement.directive]}${near}`,
    );
    return undefined;
  }

  /** `maskAt`: index of the netmask, which in VIP follows the address, in DIRECTOR_INSIDEIP the network. */
  #interface(statement: Statement, maskAt: number): Interface | undefined {
    const { words, directive } = statement;
    if (words.length < maskAt + 1) {
      this.#notes.error(words.at(-1)!, `${directive} has too few words: expected ${FORMS[directive]}`);
      return undefined;
    }
    this.#noMore(statement, maskAt + 2);
    const [device, address] = [words[0]!, words[1]!];
    const prefix = prefixOfMask(words[maskAt]!.text);
    for (const [i, word] of words.entries()) {
      if (i === 0 || i === maskAt) continue;
      if (isIP(word.text) === 4) continue;
      this.#notes.error(word, `invalid IPv4 address '${word.text}': expected ${FORMS[directive]}`);
      return undefined;
    }
    if (prefix === undefined) {
      this.#notes.error(
        words[maskAt]!,
        `invalid netmask '${words[maskAt]!.text}': expected a netmask such as 255.255.255.0`,
      );
      return undefined;
    }
    const name = this.#deviceName(device);
    if (!name) return undefined;
    const [plain, alias] = name.split(':');
    return this.#notes.at(address, {
      device: plain!,
      ...(alias !== undefined && { alias }),
      address: address.text,
      prefix,
    });
  }

  #deviceName(word: Word): string | undefined {
    if (new RegExp(DEVICE_OR_ALIAS).test(word.text)) return word.text;
    this.#notes.error(word, `invalid device '${word.text}': expected a device such as eth0 or eth0:1`);
    return undefined;
  }

  #device(statement: Statement | undefined): string | undefined {
    if (!statement) return undefined;
    this.#noMore(statement, 1);
    return this.#deviceName(statement.words[0]!);
  }

  #gateway(statement: Statement | undefined): string | undefined {
    if (!statement) return undefined;
    this.#noMore(statement, 1);
    const word = statement.words[0]!;
    if (word.text === 'client' || isIP(word.text) !== 0) return word.text;
    this.#notes.error(word, `invalid gateway '${word.text}': expected an address, or 'client'`);
    return undefined;
  }

  async #service(
    statement: Statement,
    vip: string,
    method: ForwardingMethodName,
  ): Promise<ServiceDocument | undefined> {
    const [kind, portWord, scheduler, ...servers] = statement.words;
    if (!kind || !portWord || !scheduler || servers.length === 0) {
      this.#notes.error(statement.words.at(-1)!, `SERVICE has too few words: expected ${FORMS.SERVICE}`);
      return undefined;
    }
    const protocol = Object.hasOwn(PROTOCOLS, kind.text) ? PROTOCOLS[kind.text] : undefined;
    if (!protocol) {
      this.#notes.error(kind, `invalid protocol '${kind.text}': expected t (TCP) or u (UDP)`);
      return undefined;
    }
    const port = this.#port(portWord, portWord.text, protocol);
    if (!this.#schedulers.includes(scheduler.text)) {
      const near = didYouMean(scheduler.text, this.#schedulers);
      this.#notes.error(
        scheduler,
        `unknown scheduler '${scheduler.text}'${near || `: expected ${this.#schedulers.join(' ')}`}`,
      );
    }
    const destinations: DestinationDocument[] = [];
    for (const word of servers) {
      const each = await this.#destination(word, protocol, port ?? 0, method);
      if (each) destinations.push(each);
    }
    if (port === undefined) return undefined;
    const service: ServiceAddress = { protocol, address: vip, port };
    return { service, options: { scheduler: scheduler.text }, destinations };
  }

  /** Parses `server[:port][,weight]`. */
  async #destination(
    word: Word,
    protocol: Protocol,
    servicePort: number,
    method: ForwardingMethodName,
  ): Promise<DestinationDocument | undefined> {
    const form = /^([^:,]+)(?::([^:,]+))?(?:,(.*))?$/.exec(word.text);
    if (!form) {
      this.#notes.error(word, `invalid server '${word.text}': expected server[:port][,weight]`);
      return undefined;
    }
    const [, name, portText, weightText] = form;
    const part = (text: string, offset: number): Word => wordAt(text, word.line, word.column + offset);
    const address = await this.#names.host(name!, 4);
    if (address === undefined || isIP(address) !== 4)
      this.#notes.error(
        part(name!, 0),
        `'${name}' has no IPv4 address: expected an address, or a name in /etc/hosts`,
      );
    const port =
      portText === undefined ? servicePort : this.#port(part(portText, name!.length + 1), portText, protocol);
    const weight = weightText === undefined ? 1 : Number(weightText);
    const isWeight = weightText === undefined || (/^\d+$/.test(weightText) && weight <= 0x7fffffff);
    if (!isWeight)
      this.#notes.error(
        part(weightText, word.text.length - weightText.length),
        `invalid weight '${weightText}': expected 0 to 2147483647`,
      );
    if (address === undefined || port === undefined || !isWeight) return undefined;
    return this.#notes.at(word, {
      server: name!,
      destination: { address, port },
      options: { method, weight },
    });
  }

  #port(word: Word, text: string, protocol: Protocol): number | undefined {
    const number = /^\d+$/.test(text) ? Number(text) : this.#names.port(text, protocol);
    if (number !== undefined && number >= 1 && number <= 65_535) return number;
    this.#notes.error(
      word,
      `invalid port '${text}': expected 1 to 65535, or a ${protocol} name in /etc/services`,
    );
    return undefined;
  }

  #noMore(statement: Statement, most: number): void {
    const extra = statement.words[most];
    if (extra)
      this.#notes.error(
        extra,
        `unexpected argument '${extra.text}': expected ${statement.directive}=${FORMS[statement.directive]}`,
      );
  }

  #missing(line: number, directive: Directive): void {
    if (this.#meant.has(directive)) return; // reported at the word that probably meant it
    this.#notes.error(
      wordAt('', line, 1),
      `missing directive ${directive}: expected ${directive}=${FORMS[directive]}`,
    );
  }
}

const wordAt = (text: string, line: number, column: number): Word => ({
  text,
  line,
  column,
  length: text.length,
});
