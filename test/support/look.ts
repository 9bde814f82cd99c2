/**
 * Looks at a page in Chromium, from wherever it is run: says `live` when the page is, and when it shows the text, `seen`
 * and what it complained of meanwhile.
 *
 *   node dist/test/support/look.js http://127.0.0.1:9112/ quiesced
 */
import { complaints, openBrowser } from './browser.ts';

const [url = '', text = ''] = process.argv.slice(2);
const browser = await openBrowser();
const page = await browser.newPage();
const heard = complaints(page, new URL(url).origin);
await page.goto(url);
await page.locator('#live', { hasText: 'live,' }).waitFor();
process.stdout.write('live\n');
await page.locator('main').getByText(text, { exact: true }).first().waitFor({ timeout: 60_000 });
process.stdout.write(`seen ${JSON.stringify(heard)}\n`);
await browser.close();
