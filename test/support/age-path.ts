/**
 * Makes the kernel path that a killed director has left one of the layout before, in which some arrays and fields were missing:
 *
 *   node dist/test/support/age-path.js /sys/fs/bpf/lvs-director
 */
import { Bpf } from '../../src/ebpf/bpf.ts';
import { BpfMap, mapOptions } from '../../src/ebpf/map.ts';
import { existingPins } from '../../src/offload/pins.ts';
import { loadSystem } from '../../src/sys/system.ts';
import { FORMER_LAYOUT } from '../../src/table/header.ts';
import { SETTINGS } from '../../src/table/record-layout.ts';

const [, , root = ''] = process.argv;
const bpf = new Bpf(await loadSystem());
const pins = existingPins(bpf, root);
if (!pins) throw new Error(`${root}: no path of this network namespace`);
const descriptor = pins.open('settings');
using map = new BpfMap(bpf, mapOptions(bpf, descriptor), 1, descriptor);
const { bytes, view } = map.mapped();
view.setUint32(SETTINGS.version, FORMER_LAYOUT.version, true);
bytes.set(Buffer.from(FORMER_LAYOUT.digest), SETTINGS.digest);
bytes.fill(0, SETTINGS.passFrom, SETTINGS.sysctls);
pins.remove('meters');
