/** Parses one command line of ipvsadm: reads its options in order and checks their combination. */
import type { Command } from '../model/command.ts';
import type { ServiceAddress } from '../model/service.ts';
import { Words } from './args.ts';
import { commandOf } from './command.ts';
import { type Draft, newDraft, serviceOf } from './draft.ts';
import { checkOptions } from './matrix.ts';
import type { Names } from './names.ts';
import { type OptionName, SPELLINGS } from './options.ts';
import { FAILED, Refusal, tryHelp } from './refusal.ts';
import { parseSchedulerFlags } from './scheduler-flags.ts';
import { roleOf, takeIpv6, takeOption, takeTimeouts } from './take.ts';

export type Request =
  | { readonly kind: 'apply'; readonly command: Command }
  | { readonly kind: 'list'; readonly given: ReadonlySet<OptionName>; readonly service?: ServiceAddress }
  | { readonly kind: 'save'; readonly numeric: boolean }
  | { readonly kind: 'restore' }
  | { readonly kind: 'help' | 'version' };

/** Parses a command line of at least one word. Throws a Refusal. */
export async function parseRequest(argv: readonly string[], names: Names): Promise<Request> {
  const words = new Words(argv, SPELLINGS);
  const first = words.next();
  if (first === undefined || 'problem' in first || !('command' in first.spelling.meaning)) throw tryHelp();
  const { command } = first.spelling.meaning;
  if (command === 'help' || command === 'version') return { kind: command };
  const draft = newDraft(command);
  if (first.value !== undefined) draft.role = roleOf(command, first.value);
  let flags = '';
  for (let word = words.next(); word !== undefined; word = words.next()) {
    if ('problem' in word) throw new Refusal(`${word.text}: ${word.problem}`, FAILED, true);
    const { meaning } = word.spelling;
    if ('command' in meaning) throw new Refusal(`invalid option \`${word.text}'`);
    if ('free' in meaning) {
      if (meaning.free === 'ipv6') takeIpv6(draft);
      continue;
    }
    if (draft.given.has(meaning.option)) throw new Refusal(`multiple '${meaning.option}' options specified`);
    draft.given.add(meaning.option);
    if (meaning.option === 'sched-flags') flags = word.value!;
    else
      await takeOption(
        draft,
        meaning.option,
        meaning.value,
        word.value ?? '',
        word.value === undefined,
        names,
      );
  }
  const rest = command === 'set' ? takeTimeouts(draft, words.leftOver) : words.leftOver;
  if (rest.length > 0) throw new Refusal(`unexpected argument ${rest[0]}`);
  draft.flags = parseSchedulerFlags(flags, draft.scheduler);
  checkOptions(command, draft.given);
  return requestOf(draft);
}

function requestOf(draft: Draft): Request {
  switch (draft.command) {
    case 'list':
      return draft.given.has('service-address')
        ? { kind: 'list', given: draft.given, service: serviceOf(draft) }
        : { kind: 'list', given: draft.given };
    case 'save':
      return { kind: 'save', numeric: draft.given.has('numeric') };
    case 'restore':
      return { kind: 'restore' };
    default:
      return { kind: 'apply', command: commandOf(draft, draft.command) };
  }
}
