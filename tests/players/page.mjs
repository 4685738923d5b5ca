// Opens the page in headless Chromium as a desk, a dark room and a phone see it: no error, no request elsewhere, no fault that axe-core knows
// of, keys that work, and a picture that moves. Prints one line of JSON for each; screenshots go to the folder that is given.
//
// node page.mjs URL FOLDER (QA_NODE_MODULES holds playwright-core and axe-core)

import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const [url, folder] = process.argv.slice(2);
const require = createRequire(join(process.env.QA_NODE_MODULES, '/'));
const { chromium } = require('playwright-core');
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

const views = {
  desk: { viewport: { width: 1680, height: 1000 } },
  dark: { viewport: { width: 1200, height: 900 }, colorScheme: 'dark' },
  phone: { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 },
};

async function look(browser, name, options) {
  // The page's policy lets no script in but its own; axe-core comes from outside of it.
  const context = await browser.newContext({ ...options, bypassCSP: true });
  const page = await context.newPage();
  const complaints = [];
  const foreign = [];
  page.on('console', message => { if (['error', 'warning'].includes(message.type())) complaints.push(message.text()); });
  page.on('pageerror', cause => complaints.push(cause.message));
  page.on('request', request => { if (!request.url().startsWith(url) && !request.url().startsWith('blob:')) foreign.push(request.url()); });
  await page.goto(url);
  await page.waitForFunction(() => document.querySelectorAll('#tiles li').length > 0, null, { timeout: 15000 });
  const plays = await page.waitForFunction(() => document.querySelector('video').currentTime > 1, null, { timeout: 20000 }).then(() => true, () => false);
  await page.screenshot({ path: join(folder, `page-${name}.png`), fullPage: true });
  await page.evaluate(axe);
  const audit = await page.evaluate(() => globalThis.axe.run(document, { rules: { 'video-caption': { enabled: false } } }));
  const faults = audit.violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(node => node.target.join(' ')).join(', ')}`);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth + 1);
  const chosen = async key => {
    if (key) await page.keyboard.press(key);
    await page.waitForTimeout(300);
    return page.evaluate(() => document.querySelector('#detail-title').textContent);
  };
  const walk = [await chosen(), await chosen('j'), await chosen('k')];
  await page.keyboard.press('?');
  const helps = await page.evaluate(() => document.querySelector('#keys').open);
  await context.close();
  console.log(JSON.stringify({ view: name, plays, complaints, foreign, faults, wide, walk, helps }));
}

const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--autoplay-policy=no-user-gesture-required'] });
for (const [name, options] of Object.entries(views)) await look(browser, name, options);
await browser.close();
