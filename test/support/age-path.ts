/**
 * Makes the kernel path that a killed director has left one of an earlier layout, which lacks some arrays and fields:
 *
 *   node dist/test/support/age-path.js /sys/fs/bpf/lvs-director 6
 */
import { Bpf } from '../../src/ebpf/bpf.ts';
import { BpfMap, mapOptions } from '../../src/ebpf/map.ts';
import { existingPins } from '../../src/offload/pins.ts';
import { loadSystem } from '../../src/sys/system.ts';
import { FORMER_LAYOUTS } from '../../src/table/header.ts';
import { SERVICE, SERVICE_BYTES, SERVICE_FLAGS, SETTINGS } from '../../src/table/record-layout.ts';

const [, , root = '', version = ''] = process.argv;
const layout = FORMER_LAYOUTS.find((each) => each.version === Number(version));
if (!layout) throw new Error(`no former layout has the version ${version}`);
const bpf = new Bpf(await loadSystem());
const pins = existingPins(bpf, root);
if (!pins) throw new Error(`${root}: no path of this network namespace`);
const opened = (name: string) => {
  const descriptor = pins.open(name);
  return new BpfMap(bpf, mapOptions(bpf, descriptor), 1, descriptor).mapped();
};
const services = opened('services').view;
for (let at = SERVICE.flags; at < services.byteLength; at += SERVICE_BYTES)
  services.setUint32(at, services.getUint32(at, true) & ~SERVICE_FLAGS.BYPASSED, true);
const { bytes, view } = opened('settings');
view.setUint32(SETTINGS.version, layout.version, true);
bytes.set(Buffer.from(layout.digest), SETTINGS.digest);
view.setUint32(SETTINGS.identification, 0, true);
if (layout.isPartial) {
  bytes.fill(0, SETTINGS.passFrom, SETTINGS.sysctls);
  pins.remove('meters');
}
