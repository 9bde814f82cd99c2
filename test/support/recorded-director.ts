/** A scripted director whose packets are sent through a recording sender, as captures need it. */
import { RecordingSender } from '../../src/runtime/packet-capture.ts';
import type { Address } from '../../src/wire/address.ts';
import type { Frame } from '../../src/wire/frame.ts';
import { Directed } from './directed.ts';

export class RecordedDirector extends Directed {
  readonly sender = new RecordingSender({ transmit: (frame, nextHop) => super.transmit(frame, nextHop) });

  override transmit(frame: Frame, nextHop: Address): boolean {
    return this.sender.transmit(frame, nextHop);
  }
}
