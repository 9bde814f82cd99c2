/** A scenario as what `lvs-director replay` takes: a configuration file and a recording of the packets. */

import type { Document, ServiceDocument } from '../../src/config/document.ts';
import { importRules } from '../../src/config/import/ipvsadm-rules.ts';
import { writeYaml } from '../../src/config/yaml/write-yaml.ts';
import type { SettingName } from '../../src/model/settings.ts';
import { LINKTYPE_RAW, pcapHeader, pcapPacket } from '../../src/wire/pcap-file.ts';
import { testNames } from './ipvsadm.ts';
import type { Scenario, Statement } from './scenario-file.ts';
import { OWN, OWN6, ScenarioPlayer, VIPS } from './scenario-player.ts';

/** ms since 1970: when recordings begin. */
const BEGIN = 1_700_000_000_000;

interface Recording {
  /** An lvs.yaml. */
  readonly config: string;
  /** A pcap file of the packets that the director receives. */
  readonly received: Uint8Array;
  /** The IP packets that it sends. */
  readonly sent: readonly Uint8Array[];
}

const isPacket = ({ kind }: Statement): boolean => kind === 'packets';
const isListing = ({ text }: Statement): boolean => /^ipvsadm -[LS]/.test(text);

/** A scenario with packets, up to where rules are changed between them. */
export async function recordingOf({ statements }: Scenario): Promise<Recording> {
  const first = statements.findIndex(isPacket);
  const change = statements.findIndex((each, i) => i > first && !isPacket(each) && !isListing(each));
  const player = new ScenarioPlayer();
  for (const each of statements.slice(0, change < 0 ? undefined : change)) await player.perform(each);
  const config = writeYaml(await documentOf(statements.slice(0, first), player.document));
  const packets = player.received.map(({ at, octets }) => pcapPacket(octets, BEGIN + at));
  return { config, received: Buffer.concat([pcapHeader(LINKTYPE_RAW), ...packets]), sent: player.sent };
}

/** The executable would ask the host for names. */
const withoutNames = (service: ServiceDocument): ServiceDocument => ({
  ...service,
  destinations: service.destinations.map(({ name: _, ...each }) => ({
    ...each,
    server: each.destination.address,
  })),
});

/** What was typed as a configuration of a director with the scenarios' addresses. */
async function documentOf(typed: readonly Statement[], configured: Document | undefined): Promise<Document> {
  const lines = typed.filter(({ kind }) => kind === 'ipvsadm').map(({ text }) => text);
  const rules = lines.filter((line) => line.startsWith('ipvsadm')).join('\n');
  const { document } = await importRules(rules, testNames);
  const settings = lines.flatMap((line) => {
    const match = /^sysctl -w net\.ipv4\.vs\.(\w+)=(\d+)$/.exec(line);
    return match ? [[match[1] as SettingName, Number(match[2])]] : [];
  });
  const at = (device: string, address: string) => ({
    device,
    address,
    prefix: address.includes(':') ? 64 : 24,
  });
  return {
    ...document,
    ...configured,
    // The director speaks from the last address of a family.
    vips: [...VIPS, OWN6].map((address) => at('eth0', address)),
    director: { inside: at('eth1', OWN) },
    settings: { ...configured?.settings, ...Object.fromEntries(settings) },
    services: [...(configured?.services ?? []), ...document.services].map(withoutNames),
  };
}
