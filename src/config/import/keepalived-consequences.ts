/** Carries over what keepalived does when checks of a virtual server fail: sorry server, inhibit_on_failure, quorum. */
import type { Notify, NotifyEvent } from '../../model/notify.ts';
import { DEFAULT_QUORUM } from '../document.ts';
import {
  addSorryServer,
  type DestinationDraft,
  type Draft,
  hasConsequences,
  wholeNumber,
} from './import-result.ts';
import type { WatchedServer } from './keepalived-check.ts';
import { scriptOf } from './keepalived-script.ts';
import { firstAddress, type Leave, lastOf, type ServedAddress } from './keepalived-services.ts';
import type { Statement } from './keepalived-statements.ts';
import { destinationPort, readWay, type Way } from './keepalived-ways.ts';

type Keywords = Readonly<Partial<Record<NotifyEvent, string>>>;

export interface VirtualServer {
  readonly body: readonly Statement[];
  readonly watched: readonly WatchedServer[];
  readonly served: ServedAddress;
  /** How it reaches its real servers. */
  readonly way: Way;
}

/** keepalived removes a server that fails, unless inhibit_on_failure is set. */
export function readConsequences(draft: Draft, server: VirtualServer, leave: Leave): void {
  const { body, watched } = server;
  readSorryServer(draft, server, leave);
  readQuorum(draft, body, leave);
  const own = readNotify(body, { 'quorum-up': 'quorum_up', 'quorum-down': 'quorum_down' }, leave);
  if (own) draft.notify = own;
  const isInhibited = isSet(body, 'inhibit_on_failure');
  for (const { statement, destination } of watched) {
    const notify = readNotify(
      statement.body ?? [],
      { 'destination-up': 'notify_up', 'destination-down': 'notify_down' },
      leave,
    );
    if (notify) destination.notify = notify;
    setInhibit(destination, isInhibited || isSet(statement.body ?? [], 'inhibit_on_failure'), draft);
  }
}

function setInhibit(destination: DestinationDraft, isInhibited: boolean, draft: Draft): void {
  if (!isInhibited && hasConsequences(draft)) destination.inhibit = false;
}

/** Reports whether a keyword is set; a value may switch it off. */
function isSet(statements: readonly Statement[], keyword: string): boolean {
  const found = lastOf(statements, keyword);
  return found !== undefined && /^(on|true|yes)$/.test(found.words[1] ?? 'on');
}

/** Reads the programs of events by their keywords; undefined: there are none. */
function readNotify(body: readonly Statement[], keywords: Keywords, leave: Leave): Notify | undefined {
  const programs = Object.entries(keywords).flatMap(([event, keyword]) => {
    const statement = lastOf(body, keyword);
    if (!statement) return [];
    // A user may follow the script, which is one word, or in single quotes.
    const [word = '', script = '', ...others] = statement.words;
    const [, quoted, user] = /^('[^']*')(.*)$/.exec([script, ...others].join(' ')) ?? [];
    if ((user ?? others.join(' ')) !== '')
      leave(statement, 'the user of one script is not supported: script-user is used');
    let isRead = true;
    const fail: Leave = (at, why) => {
      isRead = false;
      leave(at, why);
    };
    const words = scriptOf({ ...statement, words: [word, quoted ?? script] }, { fail, leave });
    return isRead && words.length > 0 ? [[event, words] as const] : [];
  });
  return programs.length > 0 ? Object.fromEntries(programs) : undefined;
}

function readSorryServer(draft: Draft, { body, served, way }: VirtualServer, leave: Leave): void {
  const statement = lastOf(body, 'sorry_server');
  const method = lastOf(body, 'sorry_server_lvs_method');
  const inhibit = lastOf(body, 'sorry_server_inhibit');
  if (!statement) {
    for (const each of [method, inhibit]) if (each) leave(each, 'the virtual server has no sorry_server');
    return;
  }
  const [, host = '', portText] = statement.words;
  const port = portText === undefined ? 0 : (wholeNumber(portText) ?? -1);
  const options = { ...((method && readWay(method, leave)) ?? way), weight: 1 };
  const forwarded = port < 0 ? port : destinationPort(served.service, port, options, served.isGrouped);
  const why = addSorryServer(draft, firstAddress(host), forwarded, options);
  if (why !== undefined) leave(statement, why);
  else if (inhibit) draft.sorry!.at(-1)!.inhibit = true;
}

function readQuorum(draft: Draft, body: readonly Statement[], leave: Leave): void {
  const read = (keyword: string, otherwise: number, least: number): number => {
    const statement = lastOf(body, keyword);
    if (!statement) return otherwise;
    const number = wholeNumber(statement.words[1]);
    if (number !== undefined && number >= least) return number;
    leave(statement, `invalid ${keyword}: ${otherwise} is used`);
    return otherwise;
  };
  const weight = read('quorum', DEFAULT_QUORUM, 1);
  const hysteresis = read('hysteresis', 0, 0);
  // keepalived then does as without hysteresis.
  const isInvalid = hysteresis >= weight && hysteresis > 0;
  if (isInvalid) leave(lastOf(body, 'hysteresis')!, 'invalid hysteresis: expected less than the quorum');
  if (weight === DEFAULT_QUORUM && (hysteresis === 0 || isInvalid)) return;
  draft.quorum = { weight, hysteresis: isInvalid ? 0 : hysteresis };
}
