/**
 * Opens a page in Chromium, in the namespace where it is run. Prints `live` when the event stream is connected, then
 * `seen` with the problems of the page when the page shows the text.
 *
 *   node dist/test/support/page-monitor.js http://127.0.0.1:9112/ quiesced
 */
import { openBrowser, pageProblems } from './browser.ts';

const [url = '', text = ''] = process.argv.slice(2);
const browser = await openBrowser();
const page = await browser.newPage();
const problems = pageProblems(page, new URL(url).origin);
await page.goto(url);
await page.locator('#live', { hasText: 'live,' }).waitFor();
process.stdout.write('live\n');
await page.locator('main').getByText(text, { exact: true }).first().waitFor({ timeout: 60_000 });
process.stdout.write(`seen ${JSON.stringify(problems)}\n`);
await browser.close();
