/** Reads the VIPs of VRRP instances of keepalived.conf(5), for a director that takes them over. */
import { isUnicast, parseAddress } from '../../wire/address.ts';
import { canonical, familyOfText } from '../canonical-address.ts';
import type { Interface } from '../document.ts';
import { type Leave, lastOf } from './keepalived-services.ts';
import type { Statement } from './keepalived-statements.ts';

const BLOCKS: readonly string[] = ['virtual_ipaddress', 'virtual_ipaddress_excluded'];

/** Returns the VIPs of an instance. Each that cannot be taken is reported to `leave`. */
export function vipsOf(instance: Statement, leave: Leave): Interface[] {
  const body = instance.body ?? [];
  const device = lastOf(body, 'interface')?.words[1];
  return body
    .filter(({ words }) => BLOCKS.includes(words[0]!))
    .flatMap((block) => block.body ?? [])
    .flatMap((each) => {
      const vip = vipOf(each, device);
      if (typeof vip !== 'string') return [vip];
      leave(each, vip);
      return [];
    });
}

/** Reads ADDRESS[/PREFIX] [dev NAME] [label NAME:SUFFIX]; returns the reason where that is invalid. */
function vipOf(
  { words: [text = '', ...rest] }: Statement,
  instanceDevice: string | undefined,
): Interface | string {
  const [host = '', bits] = text.split('/');
  const address = parseAddress(host);
  if (address === undefined || !isUnicast(address)) return 'invalid address';
  const most = familyOfText(host) === 4 ? 32 : 128;
  const prefix = Number(bits ?? most);
  if (!/^\d*$/.test(bits ?? '') || prefix > most) return 'invalid prefix length';
  const after = (word: string) => {
    const at = rest.indexOf(word);
    return at < 0 ? undefined : rest[at + 1];
  };
  const device = after('dev') ?? instanceDevice;
  if (device === undefined) return 'no interface';
  const [, alias] = after('label')?.split(':') ?? [];
  return { device, ...(alias && { alias }), address: canonical(host), prefix };
}
