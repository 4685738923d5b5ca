// The operator's screen: asks the API every two seconds and brings it up to date in place, so that focus, selection and open sections stay
// as they are. The chosen channel is in the address, so that it can be sent to a colleague.

import { ask } from '/assets/asks.js';
import { Detail, addresses } from '/assets/detail.js';
import { Events, showDevices, showPlan } from '/assets/machine.js';
import { Player } from '/assets/player.js';
import { Tiles } from '/assets/tiles.js';
import { inTrouble, text } from '/assets/words.js';

const POLL_MS = 2000;
const PLAN_EVERY = 10;
const byId = id => document.getElementById(id);
const publishing = { rtmp_port: 1935, default_keys: false };
const detail = new Detail(publishing);
const tiles = new Tiles(() => {});
let events;
let channels = [];
let turn = 0;

const player = new Player(byId('video'), {
  onNotice(words) {
    byId('notice').textContent = words;
    byId('notice').hidden = !words;
  },
  onRungs(names) {
    const options = names.map((name, level) => new Option(name, level));
    byId('quality').replaceChildren(new Option('Automatic', -1), ...options);
    byId('quality').parentElement.hidden = names.length < 2;
  },
});

function asked() {
  return decodeURIComponent(location.hash.slice(1));
}

// The channel of the address; else one that plays, else the first that is on the air.
function chosen() {
  const find = name => channels.find(channel => channel.name === name);
  return find(asked()) ?? find(player.channel) ?? channels.find(channel => channel.newest_segment != null) ?? channels[0];
}

function show() {
  const channel = chosen();
  tiles.show(channels, channel?.name);
  detail.show(channel);
  events?.choose(channel?.name);
  if (channel && player.channel !== channel.name && channel.newest_segment != null) watch(channel);
}

function watch(channel) {
  const first = addresses(channel).find(([label]) => label.startsWith('HLS'));
  if (!first) return;
  player.play(channel.name, first[1]);
  text(byId('playing'), `Player: ${channel.name}`);
}

function choose(name) {
  if (!name) return;
  location.hash = encodeURIComponent(name);
  tiles.focus(name);
}

function summary() {
  const count = (fits, word) => {
    const number = channels.filter(fits).length;
    return number ? `, ${number} ${word}` : '';
  };
  if (!channels.length) return 'No channel is configured. Publish to a key of a wildcard channel, or add a channel to the configuration.';
  const all = `${channels.length} channel${channels.length === 1 ? '' : 's'}`;
  return all + count(channel => channel.state === 'live', 'live') + count(inTrouble, 'in trouble');
}

async function poll() {
  try {
    detail.gpus = showDevices(await ask('/api/v1/devices'));
    channels = await ask('/api/v1/channels') ?? [];
    show();
    text(byId('summary'), summary());
    document.title = channels.some(inTrouble) ? '(!) headend' : 'headend';
    if (turn % PLAN_EVERY === 0) showPlan();
    turn += 1;
  } catch (cause) {
    text(byId('summary'), `headend does not answer (${cause.message}). Trying again …`);
  }
  setTimeout(poll, POLL_MS);
}

const keys = {
  j: () => choose(tiles.next(1)),
  k: () => choose(tiles.next(-1)),
  t: () => choose(tiles.next(1, inTrouble)),
  '/': () => byId('find').focus(),
  m: () => { byId('video').muted = !byId('video').muted; },
  o: () => {
    const part = document.querySelector('[data-part=operate]');
    part.open = true;
    part.querySelector('summary').focus();
  },
  '?': () => byId('keys').showModal(),
};

function listen() {
  byId('quality').addEventListener('change', event => player.choose(Number(event.target.value)));
  byId('sound').addEventListener('click', () => keys.m());
  byId('help').addEventListener('click', () => keys['?']());
  byId('video').addEventListener('volumechange', () => {
    byId('sound').textContent = byId('video').muted ? 'Turn sound on' : 'Turn sound off';
  });
  addEventListener('hashchange', show);
  addEventListener('keydown', event => {
    const typing = event.target.closest('input, select, textarea, dialog, video');
    if (typing || event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
}

async function begin() {
  listen();
  try {
    Object.assign(publishing, await ask('/api/v1/publishing'));
    if (publishing.events) events = new Events();
  } catch {
    // The usual port is shown until the page is loaded again.
  }
  setInterval(() => text(byId('figures'), player.figures()), 500);
  await poll();
  // The only channel needs no clicks to say where to publish.
  if (channels.length === 1) document.querySelector('[data-part=publish]').open = true;
}

begin();
