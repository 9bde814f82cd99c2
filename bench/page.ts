/**
 * Measures the status page of 40 services with 20 servers each, whose figures all change: bytes of a refresh, and what Chromium needs to draw it, with all services closed and all open.
 */
import type { CDPSession } from 'playwright-core';
import { browserMissing, openBrowser } from '../test/support/browser.ts';
import { Served } from '../test/support/served.ts';
import { Site } from '../test/support/site.ts';
import type { Effort, Figure } from './measure.ts';

const SERVICES = 40;
const SERVERS = 20;
const SAMPLES = 60;
const REFRESHES = { quick: 5, full: 20 } as const;

/** Returns the processor time of the page's thread, without that for the commands of this bench, ms. */
async function taskTime(session: CDPSession): Promise<number> {
  const { metrics } = await session.send('Performance.getMetrics');
  const of = (name: string) => metrics.find((metric) => metric.name === name)?.value ?? 0;
  return (of('TaskDuration') - of('DevToolsCommandDuration')) * 1000;
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!;

export async function statusPage({ quick }: Effort): Promise<Figure[]> {
  const site = new Site(SERVICES, SERVERS);
  for (let i = 0; i < SAMPLES; i++) await site.tick();
  await using served = await Served.open({}, site);
  const figures: Figure[] = [];
  const note = (name: string, value: number, unit: Figure['unit']) =>
    figures.push({ name: `page: ${name}`, value, unit });
  const token = /data-version="([^"]+)"/.exec(await served.text('/'))![1]!;
  await site.tick();
  for (const encoding of ['identity', 'gzip', 'br']) {
    const answer = await served.get(`/page.json?since=${token}`, {
      headers: { 'accept-encoding': encoding },
    });
    note(`a refresh, ${encoding}`, Number(answer.headers.get('content-length')), 'bytes');
  }
  if (browserMissing !== undefined) {
    console.error(`bench: drawing the page is left out: ${browserMissing}`);
    return figures;
  }
  await using browser = await openBrowser();
  const page = await browser.newPage({ viewport: { width: 1400, height: 900 } });
  const session = await page.context().newCDPSession(page);
  // Processor time: the machine may do something else.
  await session.send('Performance.enable', { timeDomain: 'threadTicks' });
  // The bench says when to refresh.
  await page.route('**/api/v1/events', (route) => route.fulfill({ status: 503, body: '' }));
  await page.goto(served.url('/'));
  await page.locator('#live', { hasText: 'live,' }).waitFor();
  note('first view', await taskTime(session), 'ms');
  for (const open of [false, true]) {
    if (open) await page.getByRole('button', { name: 'Expand all' }).click();
    const times: number[] = [];
    for (let i = 0; i < REFRESHES[quick ? 'quick' : 'full']; i++) {
      await site.tick();
      const before = await taskTime(session);
      const version = await page.evaluate('document.body.dataset.version');
      await page.evaluate(`document.dispatchEvent(new Event('visibilitychange'))`);
      await page.locator(`body:not([data-version="${version}"])`).waitFor({ state: 'attached' });
      await page.evaluate('new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))');
      times.push((await taskTime(session)) - before);
    }
    note(`to draw a refresh, all services ${open ? 'open' : 'closed'}`, median(times), 'ms');
  }
  return figures;
}
