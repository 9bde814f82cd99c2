import type { Browser, Page, Route } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { browserMissing, openBrowser, pageProblems } from '../support/browser.ts';
import { ObservedDirector, TLS, WEB } from '../support/observed.ts';
import { Served } from '../support/served.ts';

test('the build and Chromium are available', ({ skip }) =>
  skip(browserMissing !== undefined, browserMissing));

describe.skipIf(browserMissing !== undefined)('the page in Chromium', () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await openBrowser();
  });
  afterAll(() => browser.close());

  /** Shows the page, and fails if it complained. */
  async function shown(
    observed: ObservedDirector,
    look: (page: Page, served: Served) => Promise<void>,
    options: Parameters<Browser['newContext']>[0] = {},
  ): Promise<void> {
    await using served = await Served.open({}, observed);
    const context = await browser.newContext(options);
    const page = await context.newPage();
    const problems = pageProblems(page, new URL(served.url('/')).origin);
    await page.goto(served.url('/'));
    await look(page, served);
    expect(problems).toEqual([]);
    await context.close();
  }

  const edit = (observed: ObservedDirector, address: string, weight: number) =>
    observed.director.apply(
      {
        op: 'edit-destination',
        service: WEB,
        destination: { address, port: 80 },
        options: { method: 'nat', weight },
      },
      0,
    );

  test('shows services, and updates on events without moving the focus', async () => {
    const observed = new ObservedDirector().serve(WEB, { '10.0.0.1': 3, '10.0.0.2': 1 });
    await shown(observed, async (page) => {
      const row = page.getByRole('row', { name: /10\.0\.0\.2:80/ });
      await expect.poll(() => row.textContent()).toContain('up');
      await page.locator('#live', { hasText: 'live,' }).waitFor();
      await page.getByRole('region', { name: 'Destinations of tcp 192.0.2.1:80' }).focus();
      edit(observed, '10.0.0.2', 0);
      observed.events.add(new Date(0), 'info', 'edited', { what: '<b>bold</b>' });
      await row.getByText('quiesced').waitFor();
      await page.getByText('what: <b>bold</b>').waitFor();
      expect(await page.evaluate('document.activeElement.getAttribute("aria-label")')).toBe(
        'Destinations of tcp 192.0.2.1:80',
      );
    });
  });

  test('works without JavaScript', async () => {
    const observed = new ObservedDirector().serve(WEB, { '10.0.0.1': 3 });
    await shown(
      observed,
      async (page) => {
        expect(await page.getByRole('row', { name: /10\.0\.0\.1:80/ }).textContent()).toContain('up');
        expect(await page.getByText('as of').textContent()).toBe('as of');
      },
      { javaScriptEnabled: false },
    );
  });

  test('reports when the director stops answering, and continues with the next one', async () => {
    const observed = new ObservedDirector().serve(WEB, { '10.0.0.1': 3 });
    const served = await Served.open({}, observed);
    const { port } = served;
    const page = await browser.newPage();
    await page.goto(served.url('/'));
    await page.locator('#live', { hasText: 'live,' }).waitFor();
    await served[Symbol.asyncDispose]();
    await page.getByText('no answer since').waitFor();
    edit(observed, '10.0.0.1', 0);
    await using _another = await Served.open({ port }, observed);
    await page.getByText('quiesced').waitFor();
    await page.locator('#live', { hasText: 'live,' }).waitFor();
    await page.close();
  });

  /** Shows the page with a clock that stands still, once it is live, and with another answer for its events. */
  async function shownAround(
    fulfil: (route: Route) => Promise<void>,
    look: (page: Page, observed: ObservedDirector) => Promise<void>,
  ): Promise<void> {
    const observed = new ObservedDirector().serve(WEB, { '10.0.0.1': 3 });
    await using served = await Served.open({}, observed);
    const page = await browser.newPage();
    await page.clock.install();
    await page.route('**/api/v1/events', fulfil);
    await page.goto(served.url('/'));
    await look(page, observed);
    await page.close();
  }

  test('reloads periodically when event streams are refused', () =>
    shownAround(
      (route) => route.fulfill({ status: 503, body: 'too many' }),
      async (page, observed) => {
        edit(observed, '10.0.0.1', 0);
        await page.clock.runFor(20_000);
        await page.getByText('quiesced').waitFor();
        await page.locator('#live', { hasText: 'live,' }).waitFor();
      },
    ));

  test('reports when no events arrive', () =>
    shownAround(
      () => new Promise(() => {}),
      async (page) => {
        await page.locator('#live', { hasText: 'live,' }).waitFor();
        await page.route('**/', (route) => route.fulfill({ status: 504, body: 'no answer' }));
        await page.clock.runFor(20_000);
        await page.getByText('no answer since').waitFor();
      },
    ));

  test('fits a phone: only tables scroll horizontally', async () => {
    const observed = new ObservedDirector().serve(WEB, { '10.0.0.1': 3 });
    observed.events.add(new Date(0), 'warning', 'check-down', { cause: 'x'.repeat(300) });
    await shown(
      observed,
      async (page) => {
        const width = await page.evaluate('document.documentElement.scrollWidth');
        expect(width).toBeLessThanOrEqual(360);
      },
      { viewport: { width: 360, height: 740 } },
    );
  });

  test('is dark when the browser prefers dark', async () => {
    const observed = new ObservedDirector().serve(WEB, { '10.0.0.1': 3 });
    const ground = async (colorScheme: 'dark' | 'light') => {
      let colour = '';
      const look = async (page: Page) => {
        colour = await page.evaluate('getComputedStyle(document.body).backgroundColor');
      };
      await shown(observed, look, { colorScheme });
      return colour;
    };
    expect(await ground('dark')).not.toBe(await ground('light'));
  });

  test('supports screen readers: landmarks, headings, table headers, a language, a status', async () => {
    const observed = new ObservedDirector().serve(WEB, { '10.0.0.1': 3 });
    await shown(observed, async (page) => {
      expect(await page.locator('html').getAttribute('lang')).toBe('en');
      expect(await page.getByRole('status').textContent()).toBe('ready');
      for (const landmark of ['banner', 'main', 'contentinfo'] as const)
        expect(await page.getByRole(landmark).count()).toBe(1);
      expect(await page.getByRole('heading', { level: 1 }).count()).toBe(1);
      expect(await page.getByRole('heading', { name: 'tcp 192.0.2.1:80', level: 3 }).count()).toBe(1);
      expect(await page.getByRole('columnheader', { name: 'Weight' }).count()).toBe(1);
      expect(await page.getByRole('rowheader', { name: '10.0.0.1:80' }).count()).toBe(1);
      await page.keyboard.press('Tab');
      expect(await page.evaluate('document.activeElement.textContent')).toBe('Skip to the services');
    });
  });

  test('shows 2 services with 2,000 destinations', async () => {
    const observed = new ObservedDirector();
    const addresses = Array.from({ length: 1000 }, (_, i) => `10.0.${i >> 8}.${i & 255}`);
    const weights = Object.fromEntries(addresses.map((address) => [address, 1]));
    observed.serve(WEB, weights).serve(TLS, weights);
    await shown(observed, async (page) => {
      expect(await page.getByRole('row').count()).toBeGreaterThanOrEqual(2000);
      await page.locator('#live', { hasText: 'live,' }).waitFor();
      edit(observed, '10.0.3.231', 0);
      observed.events.add(new Date(0), 'info', 'edited', {});
      await page.getByText('quiesced').waitFor();
    });
  });
});
