/** What the commands of `lvs-director cluster` do. Each throws LvsError. */
import { hostname, userInfo } from 'node:os';
import { isClusterName, MAX_CONFIG_BYTES } from '../../cluster/records.ts';
import { candidatesOf, holdersOf } from '../../cluster/roles.ts';
import { propose, spread } from '../../cluster/spread.ts';
import { readRegularFile } from '../../config/load.ts';
import { LvsError } from '../../model/errors.ts';
import type { ClusterAccess } from '../../runtime/cluster/cluster-access.ts';
import { ClusterCopy } from '../../runtime/cluster/cluster-copy.ts';
import { loadConfiguration } from '../../runtime/configuration/configuration.ts';
import { readSecretFile } from '../../runtime/host/secret-file.ts';
import { answersText } from './cluster-answers.ts';

/** Maximum length of a token and what surrounds it, bytes. */
const MAX_TOKEN_BYTES = 1024;

export interface ApplyOptions {
  readonly note: string;
  /** Maximum number of directors that apply it at the same time; 0: all. */
  readonly atMost: number;
  /** Seconds. */
  readonly timeout: number;
}

type Print = (text: string) => void;
type Complain = (line: string) => void;

const author = (): string => `${userInfo().username}@${hostname()}`;

export async function join(
  access: ClusterAccess,
  tokenFile: string | undefined,
  print: Print,
): Promise<void> {
  const { store, settings } = access;
  const token = (
    tokenFile === undefined ? await input() : await readSecretFile(tokenFile, 'token', MAX_TOKEN_BYTES)
  ).trim();
  const copy = new ClusterCopy(settings.state, settings.cluster);
  const id = await store.join(settings.node, token, author());
  const former = copy.state;
  // The generation of another cluster means nothing in this one.
  copy.save({ id, generation: former?.id === id ? former.generation : 0, held: undefined });
  print(`${settings.node}: joined the cluster ${settings.cluster}\n`);
}

async function input(): Promise<string> {
  let text = '';
  for await (const part of process.stdin.setEncoding('utf8')) {
    text += part;
    if (text.length > MAX_TOKEN_BYTES) throw new LvsError('INVALID', 'token: too long');
  }
  return text;
}

export async function leave(access: ClusterAccess, node: string | undefined, print: Print): Promise<void> {
  const name = nameOf(access, node);
  await access.store.leave(name);
  print(`${name}: left the cluster\n`);
}

export async function pause(access: ClusterAccess, node: string | undefined, print: Print): Promise<void> {
  const name = nameOf(access, node);
  await access.store.pause(name, author());
  print(`${name}: paused\n`);
}

export async function resume(access: ClusterAccess, node: string | undefined, print: Print): Promise<void> {
  const name = nameOf(access, node);
  await access.store.resume(name);
  print(`${name}: resumed\n`);
}

export async function evict(access: ClusterAccess, node: string, print: Print): Promise<void> {
  const name = nameOf(access, node);
  await access.store.evict(name, author());
  print(`${name}: evicted\n`);
}

function nameOf({ settings }: ClusterAccess, node = settings.node): string {
  if (isClusterName(node)) return node;
  throw new LvsError('INVALID', `invalid name '${node}': expected letters, digits, '.', '_' and '-'`);
}

export async function members(access: ClusterAccess, json: boolean, print: Print): Promise<void> {
  const view = await access.store.view();
  const { config, nodes, members: running, paused, evicted } = view;
  const stored = config?.generation ?? 0;
  const groups = holdersOf(view);
  if (json) {
    const all = [...nodes.keys()].map((node) => ({
      node,
      isPaused: paused.has(node),
      ...(running.has(node) && { member: running.get(node) }),
    }));
    const excluded = [...evicted.keys()];
    print(`${JSON.stringify({ generation: stored, nodes: all, evicted: excluded, groups }, null, 2)}\n`);
    return;
  }
  const lines = [`generation ${stored}`];
  for (const node of nodes.keys()) {
    const member = running.get(node);
    const state = paused.has(node) ? 'paused' : (member?.state ?? 'active');
    if (!member) lines.push(`${node}: not running${paused.has(node) ? ', paused' : ''}`);
    else {
      const { generation, isReady, version, addresses, rejected } = member;
      const behind = generation < stored ? `, behind ${stored}` : '';
      const why = rejected ? `, rejected ${rejected.generation}: ${rejected.error.split('\n', 1)[0]}` : '';
      lines.push(
        `${node}: ${state}, ${isReady ? 'ready' : 'not ready'}, generation ${generation}${behind}${why}, version ${version}, ${addresses.join(' ')}`,
      );
    }
  }
  for (const node of evicted.keys()) lines.push(`${node}: evicted`);
  for (const { name, holders } of groups) {
    const spares = candidatesOf(view).filter((node) => !holders.includes(node));
    const others = spares.length > 0 ? `; spare: ${spares.join(', ')}` : '';
    lines.push(`group ${name}: ${holders.join(', ')} announce it${others}`);
  }
  print(`${lines.join('\n')}\n`);
}

/** Returns the text of a file without errors. */
async function checked(path: string, complain: Complain): Promise<string> {
  if (!/\.ya?ml$/i.test(path))
    throw new LvsError('CONFIG', `${path}: expected lvs.yaml (lvs-director compile --format yaml)`);
  const { warnings } = await loadConfiguration(path);
  for (const warning of warnings) complain(warning);
  const text = await readRegularFile(path);
  if (text.length > MAX_CONFIG_BYTES)
    throw new LvsError('CONFIG', `${path}: ${text.length} bytes: expected at most ${MAX_CONFIG_BYTES}`);
  return text.toString('utf8');
}

export async function plan(
  access: ClusterAccess,
  path: string,
  timeout: number,
  print: Print,
  complain: Complain,
): Promise<boolean> {
  const text = await checked(path, complain);
  return await ask(access, text, timeout, print);
}

/** Prints what each director answers, and resolves with whether all accept the configuration. */
async function ask({ store }: ClusterAccess, text: string, timeout: number, print: Print): Promise<boolean> {
  const answers = await propose(store, { author: author(), text }, timeout * 1000);
  const { text: lines, isValid } = answersText(answers, timeout);
  print(lines);
  return isValid;
}

export async function apply(
  access: ClusterAccess,
  path: string,
  options: ApplyOptions,
  print: Print,
  complain: Complain,
): Promise<boolean> {
  return await applyText(access, await checked(path, complain), options, print, complain);
}

export async function rollback(
  access: ClusterAccess,
  number: number,
  options: ApplyOptions,
  print: Print,
  complain: Complain,
): Promise<boolean> {
  const { text } = await generationOf(access, number);
  return await applyText(access, text, { ...options, note: `rollback to ${number}` }, print, complain);
}

async function applyText(
  access: ClusterAccess,
  text: string,
  { note, atMost, timeout }: ApplyOptions,
  print: Print,
  complain: Complain,
): Promise<boolean> {
  const { store } = access;
  const from = await store.present();
  if (!(await ask(access, text, timeout, print))) {
    complain('nothing is changed');
    return false;
  }
  const { generation } = await store.apply({ text, author: author(), note, atMost }, from);
  print(`generation ${generation}\n`);
  let isApplied = true;
  for (const { node, outcome, error } of await spread(store, generation, timeout * 1000)) {
    if (outcome !== 'applied' && outcome !== 'left') isApplied = false;
    print(`${node}: ${outcome ?? 'not applied yet'}${error === undefined ? '' : `: ${error}`}\n`);
  }
  return isApplied;
}

export async function history({ store }: ClusterAccess, print: Print): Promise<void> {
  const present = await store.present();
  // Each may be 1 MB.
  for (let number = Math.max(1, present - 49); number <= present; number++) {
    const generation = await store.generation(number);
    if (!generation) continue;
    const { time, author: by, note } = generation;
    print(`${number} ${time} ${by}${note === '' ? '' : ` ${note}`}\n`);
  }
}

export async function show(access: ClusterAccess, number: number | undefined, print: Print): Promise<void> {
  const generation = number ?? (await access.store.present());
  if (generation === 0)
    throw new LvsError(
      'INVALID',
      `cluster ${access.settings.cluster}: no configuration yet (lvs-director cluster apply)`,
    );
  print((await generationOf(access, generation)).text);
}

async function generationOf({ store, settings }: ClusterAccess, number: number) {
  const generation = await store.generation(number);
  if (generation) return generation;
  throw new LvsError('INVALID', `cluster ${settings.cluster}: generation ${number}: not found`);
}

export async function log({ store }: ClusterAccess, limit: number, print: Print): Promise<void> {
  for (const { time, node, event, text } of await store.log(limit))
    print(`${time} ${node} ${event} ${text}\n`);
}
