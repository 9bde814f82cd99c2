/** Options that describe a real server. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { canonical, familyOfText } from '../../config/canonical-address.ts';
import type { Encapsulation } from '../../realserver/tunnel/encapsulation.ts';

/** Adds the options that describe a real server. */
export const withRole = (command: Command): Command =>
  command
    .option('--config <file>', 'lvs.conf or lvs.yaml of the director')
    .option('--vip <addresses>', 'virtual addresses, separated by commas', addresses)
    .addOption(
      new Option('--method <method>', 'forwarding method (default: dr)').choices(['dr', 'tunnel', 'nat']),
    )
    .option('--device <device>', 'device of the VIP: lo, lo:0, dummy0, tunl0 (default: lo)')
    .option('--net-device <device>', 'device in the network of the director')
    .option('--gateway <address>', 'nat: default route, which must be the director')
    .option(
      '--tunnel <kinds>',
      'tunnel: ipip, gre, gue:PORT, separated by commas (default: ipip)',
      encapsulations,
    );

function addresses(text: string): string[] {
  const list = text.split(',');
  const wrong = list.find((address) => familyOfText(address) === 0);
  if (wrong !== undefined) throw new InvalidArgumentError(`Invalid address '${wrong}'.`);
  // In canonical form, because they are compared with addresses that the kernel lists.
  return list.map(canonical);
}

/** Parses ipip, gre, gue:PORT, separated by commas. */
function encapsulations(text: string): Encapsulation[] {
  return text.split(',').map((word) => {
    const [type, port] = word.split(':');
    if ((type === 'ipip' || type === 'gre') && port === undefined) return { type };
    if (type === 'gue' && Number(port) > 0 && Number(port) < 65_536) return { type, port: Number(port) };
    throw new InvalidArgumentError(`Invalid tunnel '${word}': expected ipip, gre or gue:PORT.`);
  });
}
