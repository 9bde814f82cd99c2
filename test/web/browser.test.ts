import type { Browser, Page, Route } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PERIOD_MS } from '../../src/web/history.ts';
import { browserMissing, openBrowser, pageProblems } from '../support/browser.ts';
import { CLUSTER } from '../support/cluster-status.ts';
import { ObservedDirector, surroundings, TLS, WEB } from '../support/observed.ts';
import { Served } from '../support/served.ts';
import { Site } from '../support/site.ts';

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
    await using served = await Served.open({ period: PERIOD_MS }, observed);
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
      await expect.poll(() => row.textContent()).toContain('no check');
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
        expect(await page.getByRole('row', { name: /10\.0\.0\.1:80/ }).textContent()).toContain('no check');
        expect(await page.getByText('as of').textContent()).toBe('as of');
      },
      { javaScriptEnabled: false },
    );
  });

  test('reports when the director stops answering, and continues with the next one', async () => {
    const observed = new ObservedDirector().serve(WEB, { '10.0.0.1': 3 });
    const served = await Served.open({ period: PERIOD_MS }, observed);
    const { port } = served;
    const page = await browser.newPage();
    await page.goto(served.url('/'));
    await page.locator('#live', { hasText: 'live,' }).waitFor();
    await served[Symbol.asyncDispose]();
    await page.getByText('no answer since').waitFor();
    edit(observed, '10.0.0.1', 0);
    await using _another = await Served.open({ port, period: PERIOD_MS }, observed);
    await page.getByRole('row').getByText('quiesced').waitFor();
    await page.locator('#live', { hasText: 'live,' }).waitFor();
    await page.close();
  });

  /** Shows the page with a clock that stands still, once it is live, and with another answer for its events. */
  async function shownAround(
    fulfil: (route: Route) => Promise<void>,
    look: (page: Page, observed: ObservedDirector) => Promise<void>,
  ): Promise<void> {
    const observed = new ObservedDirector().serve(WEB, { '10.0.0.1': 3 });
    await using served = await Served.open({ period: PERIOD_MS }, observed);
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
        await page.getByRole('row').getByText('quiesced').waitFor();
        await page.locator('#live', { hasText: 'live,' }).waitFor();
      },
    ));

  test('reports when no events arrive', () =>
    shownAround(
      () => new Promise(() => {}),
      async (page) => {
        await page.locator('#live', { hasText: 'live,' }).waitFor();
        await page.route('**/page.json*', (route) => route.fulfill({ status: 504, body: 'no answer' }));
        await page.clock.runFor(20_000);
        await page.getByText('no answer since').waitFor();
      },
    ));

  test('fits a phone: only tables scroll horizontally', async () => {
    const observed = new ObservedDirector().serve(WEB, { '10.0.0.1': 3 });
    observed.events.add(new Date(0), 'warning', 'check-down', { cause: 'x'.repeat(300) });
    observed.around = { ...surroundings, cluster: CLUSTER };
    await shown(
      observed,
      async (page) => {
        const width = await page.evaluate('document.documentElement.scrollWidth');
        expect(width).toBeLessThanOrEqual(360);
      },
      { viewport: { width: 360, height: 740 } },
    );
  });

  test('updates the cluster, keeps its log open, and shows a section that appears later', async () => {
    const observed = new ObservedDirector().serve(WEB, { '10.0.0.1': 3 });
    await shown(observed, async (page) => {
      observed.around = { ...surroundings, cluster: CLUSTER };
      const row = page.locator('.nodes tr', { hasText: 'd1' });
      await row.getByText('online').waitFor();
      await page.getByText('Last events of the cluster').click();
      await page.getByText('generation 7: no such file').waitFor();
      const nodes = CLUSTER.nodes.map((each) =>
        each.node === 'd1' ? { ...each, state: 'offline' as const } : each,
      );
      observed.around = { ...surroundings, cluster: { ...CLUSTER, nodes } };
      await row.getByText('offline').waitFor();
      expect(await page.getByText('generation 7: no such file').isVisible()).toBe(true);
      observed.around = surroundings;
      await page.locator('#cluster').waitFor({ state: 'detached' });
    });
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

  /** Returns the names of the services that are visible, in their order. */
  const visible = (page: Page) => page.locator('#list > details:visible h3').allTextContents();

  test('filters, sorts and opens services of a large site, also by keyboard and after a reload', async () => {
    const site = new Site(40, 20);
    await site.tick();
    await shown(site, async (page) => {
      await page.locator('#live', { hasText: 'live,' }).waitFor();
      // Problems first: the service without a server, those with a failed one, the rest in the order of the file.
      expect((await visible(page)).slice(0, 3)).toEqual(['tcp 192.0.2.18:443', 'web', 'api']);
      expect(await page.locator('#list > details[open]').count()).toBe(0);
      expect(await page.getByRole('status').textContent()).toMatch(/^1 of 40 services without a server, /);

      await page.keyboard.press('/');
      await page.keyboard.type('shop node7 up');
      expect(await visible(page)).toEqual(['shop2', 'shop3']);
      expect(await page.locator('tbody tr:visible').count()).toBe(2);
      expect(await page.locator('#found').textContent()).toBe('2 of 40 services, 2 servers');
      await page.keyboard.press('Escape');
      expect(await visible(page)).toHaveLength(40);

      await page.getByLabel('Sort').selectOption('order');
      expect((await visible(page)).slice(0, 4)).toEqual(['web', 'api', 'mail', 'dns']);
      await page.getByLabel('Show').selectOption('no check');
      expect(await visible(page)).toHaveLength(5);
      await page.reload();
      await page.locator('#live', { hasText: 'live,' }).waitFor();
      expect(await visible(page)).toHaveLength(5);
      expect(await page.getByLabel('Sort').inputValue()).toBe('order');
      await page.getByLabel('Show').selectOption('all');

      const mail = page.locator('#list > details', { has: page.locator('h3', { hasText: /^mail$/ }) });
      await mail.locator('summary').focus();
      await page.keyboard.press('Enter');
      await mail.getByRole('row', { name: '10.1.0.20:8443' }).waitFor();
      await site.tick();
      site.events.add(new Date(0), 'info', 'edited', {});
      await page.locator('#events').getByText('edited').waitFor();
      expect(await page.locator('#list > details[open] h3').allTextContents()).toEqual(['mail']);
      expect(await page.evaluate('document.activeElement.nodeName')).toBe('SUMMARY');
      await page.getByRole('button', { name: 'Expand all' }).click();
      expect(await page.locator('#list > details[open]').count()).toBe(40);
      await page.getByRole('button', { name: 'Collapse all' }).click();
      await page.locator('#problems').getByRole('link', { name: 'api' }).click();
      await page.locator('#list > details[open] h3').waitFor();
      expect(await page.locator('#list > details[open] h3').allTextContents()).toEqual(['api']);
    });
  });

  test('lists events of one cause as one, which opens', async () => {
    await shown(new Site(12, 4), async (page) => {
      const group = page.locator('#events ol > li', { hasText: '12 times' });
      expect(await group.locator('summary').textContent()).toContain(
        'destination: 10.1.0.4:8443, destination-name: node4, cause: http check',
      );
      await group.locator('summary').click();
      expect(await group.locator('li:visible').count()).toBe(12);
    });
  });

  test('shows all of a server on a phone', async () => {
    const site = new Site(3, 4);
    await site.tick();
    await shown(
      site,
      async (page) => {
        await page.locator('#live', { hasText: 'live,' }).waitFor();
        const cut = await page.evaluate(
          `[...document.querySelectorAll('#list *')].filter((e) => e.getBoundingClientRect().right > innerWidth && e.checkVisibility() && !e.closest('thead')).map((e) => e.outerHTML.slice(0, 80))`,
        );
        expect(cut).toEqual([]);
        expect(await page.getByRole('row', { name: 'node2' }).first().isVisible()).toBe(true);
      },
      { viewport: { width: 360, height: 740 } },
    );
  });

  test('loads itself again when another version of the director answers', async () => {
    const observed = new ObservedDirector().serve(WEB, { '10.0.0.1': 3 });
    await shown(observed, async (page) => {
      await page.locator('#live', { hasText: 'live,' }).waitFor();
      observed.around = { ...observed.around, version: '9.9.9' };
      observed.events.add(new Date(0), 'info', 'edited', {});
      await page.locator('body[data-build="9.9.9"]').waitFor();
    });
  });

  test('never runs what names, messages and events contain', async () => {
    const observed = new ObservedDirector().serve(WEB, { '10.0.0.1': 1 });
    const attack = '"><img src=x onerror="window.hurt=1"><script>window.hurt=1</script><!--';
    await shown(observed, async (page, served) => {
      await page.locator('#live', { hasText: 'live,' }).waitFor();
      observed.names.set('tcp 192.0.2.1:80', attack).set('10.0.0.1:80', attack);
      observed.checks.set('10.0.0.1', { type: 'http', state: 'down', since: 1, message: attack, weight: 1 });
      for (const n of [1, 2])
        observed.events.add(new Date(0), 'error', attack, { cause: attack, service: `${attack}${n}` });
      await page.locator('#events').getByText('2 times').waitFor();
      const query = `filter=${encodeURIComponent(attack)}&sort=__proto__&show=constructor`;
      await page.goto(`${served.url('/')}?${query}#s-${attack}%`);
      await page.locator('#live', { hasText: 'live,' }).waitFor();
      expect(await page.locator('h3').textContent()).toBe(attack);
      expect(await page.locator('img').count()).toBe(0);
      expect(await page.evaluate('window.hurt')).toBeUndefined();
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
      await page.getByRole('row').getByText('quiesced').waitFor();
    });
  });
});
