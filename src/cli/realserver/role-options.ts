/** Options of the command line that say what a real server is to be. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { canonical, familyOfText } from '../../config/canonical-address.ts';
import type { Encapsulation } from '../../realserver/tunnel/encapsulation.ts';

/** Adds the options that say what the host is to be. */
export const withRole = (command: Command): Command =>
  command
    .option('--config <file>', "the director's lvs.conf or lvs.yaml")
    .option('--vip <addresses>', 'virtual addresses, with commas between', addresses)
    .addOption(
      new Option('--method <method>', 'forwarding method (default: dr)').choices(['dr', 'tunnel', 'nat']),
    )
    .option('--device <device>', 'carries the VIP: lo, lo:0, dummy0, tunl0 (default: lo)')
    .option('--net-device <device>', 'the device towards the director')
    .option('--gateway <address>', 'nat: the default route, which has to be the director')
    .option(
      '--tunnel <kinds>',
      'tunnel: ipip, gre, gue:PORT, with commas between (default: ipip)',
      encapsulations,
    );

function addresses(text: string): string[] {
  const list = text.split(',');
  const wrong = list.find((address) => familyOfText(address) === 0);
  if (wrong !== undefined) throw new InvalidArgumentError(`'${wrong}' is no address.`);
  // As the kernel names them: what it lists is compared with these.
  return list.map(canonical);
}

/** ipip, gre, gue:PORT, with commas between. */
function encapsulations(text: string): Encapsulation[] {
  return text.split(',').map((word) => {
    const [type, port] = word.split(':');
    if ((type === 'ipip' || type === 'gre') && port === undefined) return { type };
    if (type === 'gue' && Number(port) > 0 && Number(port) < 65_536) return { type, port: Number(port) };
    throw new InvalidArgumentError(`'${word}' is no kind of tunnel: ipip, gre, gue:PORT.`);
  });
}
