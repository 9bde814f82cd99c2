/** `lvs-director deny` and `undeny`: block clients by command, allow them again, and list those that are blocked. */
import type { DeniedClient, DenyRequest, OperationsApi } from '../../control/operations-api.ts';
import type { ServiceAddress } from '../../model/service.ts';

type Print = (text: string) => void;

/** Denies an address or a prefix. Throws LvsError. */
export async function deny(
  request: DenyRequest,
  api: Pick<OperationsApi, 'deny'>,
  print: Print,
  complain: (line: string) => void,
): Promise<void> {
  const denied = await api.deny(request);
  const ended = denied.ended === undefined || denied.newOnly ? '' : `: ${denied.ended} connections ended`;
  print(`${lineOf(denied)}${ended}\n`);
  if (denied.allowedBy !== undefined)
    complain(`${denied.prefix}: without effect: an allow list has ${denied.allowedBy}, and wins`);
}

/** Ends what a command denied. Throws LvsError. */
export async function undeny(
  address: string,
  service: ServiceAddress | undefined,
  api: Pick<OperationsApi, 'undeny'>,
  print: Print,
): Promise<void> {
  const { prefix } = await api.undeny(address, service);
  print(`${prefix}: no longer denied by a command\n`);
}

/** Prints what is denied by commands, and the sizes of the lists of the configuration. Throws LvsError. */
export async function listDenied(api: Pick<OperationsApi, 'denied'>, print: Print): Promise<void> {
  const { commanded, lists } = await api.denied();
  const lines = commanded.map((each) => `${lineOf(each)}\n`);
  for (const [name, entries] of Object.entries(lists))
    lines.push(`${name}: ${entries} entries of the file\n`);
  print(lines.length === 0 ? 'no client is denied\n' : lines.join(''));
}

function lineOf({ prefix, service, left, newOnly }: DeniedClient): string {
  const time = left === undefined ? 'until undeny' : `for ${left} s`;
  return `${prefix}: denied ${time}, ${service ?? 'all services'}${newOnly ? ', new connections only' : ''}`;
}
