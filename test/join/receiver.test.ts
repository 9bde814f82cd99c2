/** Which heartbeats a director believes. */
import { beforeEach, describe, expect, test } from 'vitest';
import { decodeChallenge, encodeHeartbeat, type Heartbeat, joinKey } from '../../src/join/heartbeat-codec.ts';
import type { Announcement } from '../../src/join/member.ts';
import { HeartbeatReceiver } from '../../src/join/receiver.ts';

const KEY = joinKey(new Uint8Array(32).fill(1));
const OTHER_KEY = joinKey(new Uint8Array(32).fill(2));
const FROM = { address: '10.0.0.3', port: 40_000 };
const RUN = '1111111111111111';
const NEXT_RUN = '2222222222222222';
const PERIOD = 500;
const TIMEOUT = 2000;

/** A director's receiver, and the members that it makes known. */
class Receiving {
  readonly announced: Announcement[] = [];
  readonly lost: string[] = [];
  readonly questions: { readonly run: string; readonly question: string }[] = [];
  readonly receiver: HeartbeatReceiver;
  /** Whether members accept announcements. */
  accepts = true;
  readonly members = new Set<string>();

  constructor(secret: number) {
    this.receiver = new HeartbeatReceiver({
      secret: new Uint8Array(32).fill(secret),
      reply: (datagram) => this.questions.push(decodeChallenge(datagram)!),
      members: {
        announce: (announcement) => {
          if (!this.accepts) return false;
          this.announced.push(announcement);
          this.members.add(announcement.node);
          return true;
        },
        lose: (node) => this.lost.push(node),
        has: (node) => this.members.has(node),
      },
    });
    this.configure();
  }

  configure(keys = [KEY], maxSenders = 100): void {
    this.receiver.configure({ keys, period: PERIOD, timeout: TIMEOUT, maxSenders }, now);
  }

  receive(beat: Buffer): string {
    return this.receiver.receive(beat, FROM, now);
  }

  /** The answer to the last question. */
  get answer(): string {
    return this.questions.at(-1)!.question;
  }
}

let now = 0;
let director: Receiving;
beforeEach(() => {
  now = 1_000_000;
  director = new Receiving(7);
});

const beat = (counter: number, parts: Partial<Heartbeat> = {}, key = KEY): Buffer =>
  encodeHeartbeat({ node: 'rs1', run: RUN, state: 'up', counter, answers: [], places: [], ...parts }, key);

/** Makes the receiver believe a run. */
function prove(run = RUN, counter = 1): void {
  expect(director.receive(beat(counter, { run }))).toBe('unproven');
  expect(director.receive(beat(counter + 1, { run, answers: [director.answer] }))).toBe('accepted');
}

describe('a heartbeat', () => {
  test('is believed when its sender has answered a question', () => {
    expect(director.receive(beat(1))).toBe('unproven');
    expect(director.questions).toEqual([{ run: RUN, question: expect.stringMatching(/^[0-9a-f]{16}$/) }]);
    expect(director.announced).toEqual([]);
    expect(director.receive(beat(2, { answers: ['0000000000000000', director.answer] }))).toBe('accepted');
    expect(director.announced).toEqual([{ node: 'rs1', run: RUN, state: 'up', places: [] }]);
    expect(director.receive(beat(3))).toBe('accepted');
  });

  test('is not believed again, nor is an earlier one', () => {
    prove();
    const heartbeat = beat(9);
    expect(director.receive(heartbeat)).toBe('accepted');
    expect(director.receive(heartbeat)).toBe('replayed');
    expect(director.receive(beat(8))).toBe('replayed');
  });

  test('is not believed with another key, or without one', () => {
    expect(director.receive(beat(1, {}, OTHER_KEY))).toBe('unauthenticated');
    director.configure([OTHER_KEY, KEY]);
    expect(director.receive(beat(1))).toBe('unproven');
    director.configure([]);
    expect(director.receive(beat(2, { answers: [director.answer] }))).toBe('unauthenticated');
    expect(director.announced).toEqual([]);
  });

  test('of other content is malformed, and of another protocol foreign', () => {
    expect(director.receive(beat(1, { node: 'a b' }))).toBe('malformed');
    expect(director.receive(Buffer.alloc(100))).toBe('foreign');
    expect(director.receiver.counts).toMatchObject({ malformed: 1, foreign: 1, accepted: 0 });
  });
});

describe('a recorded heartbeat', () => {
  test('of a dead server is not believed by a director that starts later, with whatever answers', () => {
    prove();
    const recorded = [beat(3, { answers: [director.answer] }), beat(4)];
    director = new Receiving(8);
    for (const each of recorded) expect(director.receive(each)).toBe('unproven');
    now += 1;
    for (const each of recorded) expect(director.receive(each)).toBe('unproven');
    expect(director.announced).toEqual([]);
  });

  test('that was withheld is believed for at most 30 s after the last answer', () => {
    prove();
    const withheld = Array.from({ length: 40 }, (_, i) => beat(10 + i));
    const outcomes = withheld.map((each) => {
      now += 1000;
      return director.receive(each);
    });
    expect(outcomes.slice(0, 20)).toEqual(Array(20).fill('accepted'));
    expect(outcomes.slice(30)).toEqual(Array(10).fill('unproven'));
  });

  test('of a run that has ended is not believed beside the next run', () => {
    prove();
    const old = beat(50, { answers: [director.answer] });
    now += 1000;
    prove(NEXT_RUN);
    expect(director.receive(old)).toBe('replayed');
    expect(director.receive(beat(3, { run: NEXT_RUN }))).toBe('accepted');
  });

  test('of a server that left is not believed, as long as its answers would count', () => {
    prove();
    const old = beat(3, { answers: [director.answer] });
    expect(director.receive(beat(4, { state: 'leaving' }))).toBe('accepted');
    director.members.clear();
    for (let i = 0; i < 35; i++) {
      now += 1000;
      director.receiver.tick(now);
      expect(director.receive(old)).toMatch(/replayed|unproven/);
    }
    expect(director.announced.at(-1)).toMatchObject({ state: 'leaving' });
  });
});

test('a sender has to answer again from time to time, and is believed meanwhile', () => {
  prove();
  for (let i = 0; i < 100; i++) {
    now += 1000;
    const answers = director.questions.splice(0).map(({ question }) => question);
    expect(director.receive(beat(3 + i, { answers }))).toBe('accepted');
  }
  expect(director.lost).toEqual([]);
});

test('nothing is stored for 10,000 senders that answer nothing, and none gets a place', () => {
  for (let i = 0; i < 10_000; i++) {
    now += 1;
    expect(director.receive(beat(1, { node: `fake${i}` }))).toBe('unproven');
  }
  expect(director.announced).toEqual([]);
  for (let i = 0; i < 10_000; i++) director.receive(beat(1, { node: `fake${i}` }, OTHER_KEY));
  expect(director.announced).toEqual([]);
});

test('an announcement is passed on when it changes, and every 5 s', () => {
  prove();
  for (let i = 0; i < 12; i++) {
    now += PERIOD;
    director.receive(beat(3 + i));
  }
  expect(director.announced).toHaveLength(2);
  director.receive(beat(20, { state: 'draining' }));
  expect(director.announced.at(-1)).toMatchObject({ state: 'draining' });
});

describe('silence', () => {
  const wait = (ms: number) => {
    for (const end = now + ms; now < end; ) {
      now += 100;
      director.receiver.tick(now);
    }
  };

  test('is reported once, and ends with a heartbeat', () => {
    prove();
    wait(TIMEOUT - 100);
    expect(director.lost).toEqual([]);
    wait(3000);
    expect(director.lost).toEqual(['rs1']);
    director.receive(beat(5));
    expect(director.announced).toHaveLength(2);
    wait(TIMEOUT + 200);
    expect(director.lost).toEqual(['rs1', 'rs1']);
  });

  test('of a server that a former director knew is reported, too', () => {
    director.receiver.expect({ node: 'rs1', run: RUN, state: 'up', places: [] }, now);
    wait(TIMEOUT + 200);
    expect(director.lost).toEqual(['rs1']);
    // It is believed again after it has answered.
    expect(director.receive(beat(77))).toBe('unproven');
    expect(director.receive(beat(78, { answers: [director.answer] }))).toBe('accepted');
  });

  test('while this process did not run is none', () => {
    prove();
    wait(1000);
    now += 60_000;
    director.receiver.tick(now);
    wait(500);
    expect(director.lost).toEqual([]);
    wait(TIMEOUT);
    expect(director.lost).toEqual(['rs1']);
  });

  test('is none while more datagrams arrive than can be verified', () => {
    prove();
    const garbage = beat(1, { node: 'fake' }, OTHER_KEY);
    const flood = () => {
      for (let i = 0; i < 1000; i++) director.receive(garbage);
    };
    for (let i = 0; i < 50; i++) {
      flood();
      wait(100);
    }
    expect(director.receiver.counts.overload).toBeGreaterThan(30_000);
    expect(director.lost).toEqual([]);
    wait(2 * TIMEOUT);
    expect(director.lost).toEqual(['rs1']);
  });
});

test('a server whose announcements are refused does not take the name from another', () => {
  prove();
  director.accepts = false;
  director.receive(beat(1, { run: NEXT_RUN }));
  expect(director.receive(beat(2, { run: NEXT_RUN, answers: [director.answer] }))).toBe('accepted');
  expect(director.receive(beat(3))).toBe('accepted');
});
