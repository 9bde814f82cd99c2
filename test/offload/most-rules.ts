/** The most rules of firewall marks that programs have. */
import { MAX_MARK_RULES } from '../../src/offload/marks.ts';
import { familyOf, maskAddress, parseAddress, prefixMask } from '../../src/wire/address.ts';

const prefix = (network: string, bits: number) => {
  const address = parseAddress(network)!;
  const mask = prefixMask(familyOf(address), bits);
  return { address: maskAddress(address, mask, new Uint32Array(4)), mask };
};
/** As many rules as are emitted, each of which compares all that one can. */
export const RULES = Array.from({ length: MAX_MARK_RULES }, (_, i) => {
  const [to, from] = i % 2 === 0 ? ['192.0.2.0', '198.51.100.0'] : ['2001:db8:1::', '2001:db8:2::'];
  return {
    ...{ mark: i + 1, protocol: 6, firstPort: 1 + i, lastPort: 2 + i, services: { 4: i + 1, 6: i + 1 } },
    ...{ to: prefix(to!, 24 + (i % 8)), from: prefix(from!, 24) },
  };
});
