// The list of channels: asks the API every two seconds and brings the cards up to date in place, so that focus,
// selection and open sections stay as they are.

import { Player } from '/assets/player.js';

const POLL_MS = 2000;
const byId = id => document.getElementById(id);
const cards = new Map();
const gpuNames = new Map();
const publishing = { rtmp_port: 1935, default_keys: false };
let chosen = false;

const player = new Player(byId('video'), {
  onNotice(text) {
    byId('notice').textContent = text;
    byId('notice').hidden = !text;
  },
  onRungs(names) {
    const options = names.map((name, level) => new Option(name, level));
    byId('quality').replaceChildren(new Option('Automatic', -1), ...options);
    byId('quality').parentElement.hidden = names.length < 2;
  },
});
byId('quality').addEventListener('change', event => player.choose(Number(event.target.value)));
byId('sound').addEventListener('click', () => { byId('video').muted = !byId('video').muted; });
byId('video').addEventListener('volumechange', () => {
  byId('sound').textContent = byId('video').muted ? 'Turn sound on' : 'Turn sound off';
});

function text(element, value) {
  if (element.textContent !== value) element.textContent = value;
}

function megabits(bits) {
  if (!bits) return '–';
  return bits >= 1e6 ? `${(bits / 1e6).toFixed(2)} Mb/s` : `${Math.round(bits / 1000)} kb/s`;
}

// One sentence on what a viewer sees and what the publisher can do about it.
function story({ state, feed }) {
  if (state === 'live') return 'A publisher is on the air.';
  if (state === 'holding') return 'The publisher sends nothing. Its last picture is held for a moment.';
  if (state === 'slate') {
    return feed === 'pattern'
      ? 'The publisher went away. The test pattern is on the air until it comes back.'
      : 'The publisher went away. Its absence is covered until it comes back.';
  }
  if (feed === 'pattern') return 'The test pattern is on the air. Publishing replaces it without a break.';
  return 'Nothing is on the air yet. The channel waits for its first publisher.';
}

function megabitsShort(bits) {
  return bits >= 1e6 ? `${(bits / 1e6).toFixed(1)} Mb/s` : `${Math.round(bits / 1000)} kb/s`;
}

// A feed in one line: H.264 High 1280×720 25 fps, AAC 48 kHz stereo, 4.1 Mb/s, GOP 2.0 s, 3 errors.
function input({ video, audio, bitrate_bps: bitrate, arrival_jitter_ms: jitter, errors }) {
  const parts = [];
  if (video) {
    const rate = video.frame_rate ? ` ${+video.frame_rate.toFixed(2)} fps` : '';
    parts.push(`${video.codec}${video.profile ? ` ${video.profile}` : ''} ${video.width}×${video.height}${rate}`);
  }
  if (audio) {
    const channels = { 1: 'mono', 2: 'stereo' }[audio.channels] ?? `${audio.channels} channels`;
    parts.push(`${audio.codec} ${audio.sample_rate / 1000} kHz ${channels}`);
  }
  if (!parts.length) return 'connected, nothing described yet';
  parts.push(megabitsShort(bitrate));
  if (video?.gop) parts.push(`GOP ${video.gop.seconds.toFixed(1)} s${video.gop.open ? ' open' : ''}`);
  if (jitter >= 100) parts.push(`jitter ${jitter} ms`);
  const count = Object.values(errors).reduce((sum, kind) => sum + kind, 0);
  if (count) parts.push(`${count} error${count === 1 ? '' : 's'} (${Object.keys(errors).join(', ')})`);
  return parts.join(', ');
}

function facts(channel) {
  const rows = [];
  const feeds = channel.feeds ?? [];
  for (const feed of feeds) {
    const onAir = feed.name === channel.feed ? ' (on air)' : '';
    rows.push([feeds.length > 1 ? `${feed.name}${onAir}` : 'Input', input(feed)]);
  }
  if (!feeds.length && channel.source) rows.push(['Source', channel.source]);
  if (channel.peer) rows.push(['From', channel.peer]);
  if (channel.rate) rows.push(['Frame rate', `${channel.rate} pictures/s`]);
  if (channel.newest_segment != null) rows.push(['Newest segment', String(channel.newest_segment)]);
  if (channel.seat) rows.push(['Works in', gpuNames.get(channel.seat) ?? channel.seat]);
  if (channel.worker_restarts) rows.push(['Workers lost', String(channel.worker_restarts)]);
  return rows;
}

// Brings the children of `parent` to these rows of texts, touching only what differs.
function fill(parent, rows, makeRow) {
  while (parent.children.length > rows.length) parent.lastElementChild.remove();
  while (parent.children.length < rows.length) parent.append(makeRow());
  rows.forEach((row, at) => row.forEach((value, column) => text(parent.children[at].children[column], value)));
}

function rowOf(tag, ...cells) {
  const row = document.createElement(tag);
  row.append(...cells.map(cell => document.createElement(cell)));
  return row;
}

function line(label, value) {
  const element = byId('line').content.firstElementChild.cloneNode(true);
  const [input, button] = [element.querySelector('input'), element.querySelector('button')];
  element.querySelector('span').textContent = label;
  input.value = value;
  input.addEventListener('focus', () => input.select());
  button.setAttribute('aria-label', `Copy ${label}`);
  button.addEventListener('click', async () => {
    button.textContent = await copied(input) ? 'Copied' : 'Press Ctrl+C';
    setTimeout(() => { button.textContent = 'Copy'; }, 1500);
  });
  return element;
}

// The clipboard is there in secure contexts only; over plain HTTP from another machine the old way works.
async function copied(input) {
  try {
    await navigator.clipboard.writeText(input.value);
    return true;
  } catch {
    input.focus();
    input.select();
    return document.execCommand('copy');
  }
}

function hint(words) {
  const element = document.createElement('p');
  element.className = 'hint';
  element.textContent = words;
  return element;
}

function publishLines(name) {
  if (!publishing.rtmp_port) return [hint('This headend has no RTMP listener.')];
  const port = publishing.rtmp_port === 1935 ? '' : `:${publishing.rtmp_port}`;
  const server = `rtmp://${location.hostname}${port}/live`;
  const key = publishing.default_keys
    ? `The key is the channel's stream_key in the configuration; where none is set, it is the channel's name: ${name}.`
    : "The key is the channel's stream_key in the configuration. It is not shown here.";
  return [
    line('OBS: Settings, Stream, Service “Custom”, Server', server),
    hint(`OBS: Stream Key. ${key} Set a keyframe interval of 2 s.`),
    line('ffmpeg, with your key for KEY', `ffmpeg -re -i INPUT -c copy -f flv ${server}/KEY`),
  ];
}

function addresses({ name, formats }) {
  const base = `/live/${encodeURIComponent(name)}`;
  const has = (...wanted) => !formats.length || formats.some(format => wanted.includes(format));
  const list = [];
  if (has('cmaf', 'hls')) list.push(['HLS', `${base}/master.m3u8`]);
  if (has('cmaf', 'dash')) list.push(['DASH', `${base}/manifest.mpd`]);
  if (has('ts')) list.push(['HLS with MPEG-TS', `${base}/ts/master.m3u8`]);
  return list;
}

function card(channel) {
  const element = byId('channel').content.firstElementChild.cloneNode(true);
  const fields = Object.fromEntries([...element.querySelectorAll('[data-field]')].map(field => [field.dataset.field, field]));
  const made = { element, fields, channel, formats: null };
  element.querySelector('[data-act=play]').addEventListener('click', () => {
    chosen = true;
    watch(made.channel);
    byId('stage').scrollIntoView({ block: 'nearest' });
  });
  text(fields.name, channel.name);
  fields.publish.replaceChildren(...publishLines(channel.name));
  return made;
}

function show(made, channel) {
  const { element, fields } = made;
  made.channel = channel;
  const waiting = channel.feed === 'pattern' ? 'Test pattern' : 'Waiting';
  text(fields.state, { live: 'Live', holding: 'Holding', slate: 'Slate', waiting }[channel.state] ?? channel.state);
  fields.state.className = `state ${channel.state}`;
  text(fields.story, story(channel));
  fill(fields.facts, facts(channel), () => rowOf('div', 'dt', 'dd'));
  const feeds = channel.feeds ?? [];
  const seat = channel.fallback ? [[channel.seat ? `Not on a GPU: ${channel.fallback}` : `Waits for a GPU: ${channel.fallback}`]] : [];
  const warnings = feeds.flatMap(feed => feed.warnings.map(words => [feeds.length > 1 ? `${feed.name}: ${words}` : words])).concat(seat);
  fill(fields.warnings, warnings, () => rowOf('li', 'span'));
  fields.warnings.hidden = !warnings.length;
  picture(fields.thumbnail, channel);
  const rows = channel.rungs.map(rung => [
    rung.name, rung.width ? `${rung.width}×${rung.height}` : '–', megabits(rung.bitrate), megabits(rung.measured_bitrate), rung.codecs || '–',
  ]);
  fill(fields.rungs, rows, () => rowOf('tr', 'td', 'td', 'td', 'td', 'td'));
  element.querySelector('.scroll').hidden = !rows.length;
  if (made.formats !== channel.formats.join()) {
    made.formats = channel.formats.join();
    fields.watch.replaceChildren(...addresses(channel).map(([label, path]) => line(label, location.origin + path)));
  }
  const playing = player.channel === channel.name;
  element.classList.toggle('playing', playing);
  const button = element.querySelector('[data-act=play]');
  button.disabled = playing;
  text(button, playing ? 'Playing' : 'Play');
  button.setAttribute('aria-label', `${playing ? 'Playing' : 'Play'} ${channel.name}`);
}

// Another number is another picture; the one that is shown stays until the next one is here.
function picture(image, { name, thumbnail }) {
  image.hidden = thumbnail == null;
  if (thumbnail == null) {
    image.removeAttribute('src');
    return;
  }
  const address = `/api/v1/channels/${encodeURIComponent(name)}/thumbnail.jpg?n=${thumbnail}`;
  if (image.getAttribute('src') === address) return;
  image.alt = `The input of ${name} now`;
  image.src = address;
}

function watch(channel) {
  const first = addresses(channel).find(([label]) => label.startsWith('HLS'));
  if (!first) return;
  player.play(channel.name, first[1]);
  text(byId('playing'), channel.name);
  for (const made of cards.values()) show(made, made.channel);
}

function update(channels) {
  const names = new Set(channels.map(channel => channel.name));
  for (const [name, made] of cards) if (!names.has(name)) { made.element.remove(); cards.delete(name); }
  for (const channel of channels) {
    if (!cards.has(channel.name)) {
      const made = card(channel);
      cards.set(channel.name, made);
      byId('channels').append(made.element);
    }
  }
  // The only channel needs no clicks to say where to publish.
  if (channels.length === 1 && !update.opened) cards.get(channels[0].name).element.querySelector('details').open = true;
  update.opened = true;
  const onAir = channels.filter(channel => channel.newest_segment != null);
  if (!chosen && !player.channel && onAir.length) watch(onAir[0]);
  for (const channel of channels) show(cards.get(channel.name), channel);
  const live = channels.filter(channel => channel.state === 'live').length;
  text(byId('summary'), channels.length
    ? `${channels.length} channel${channels.length === 1 ? '' : 's'}, ${live} live`
    : 'No channel is configured. Publish to a key of a wildcard channel, or add a channel to the configuration.');
}

// A GPU in one line: nvidia 0 NVIDIA L4 full, healthy, 8 sessions: news, sports.
function showDevices({ gpus }) {
  const list = byId('devices');
  for (const gpu of gpus) gpuNames.set(gpu.uuid, `${gpu.name} (${gpu.ordinal})`);
  fill(list, gpus.map(gpu => {
    const channels = gpu.channels.length ? `: ${gpu.channels.join(', ')}` : '';
    const why = gpu.state_reason || gpu.reason;
    return [`nvidia ${gpu.ordinal} ${gpu.name} ${gpu.verdict}, ${gpu.state}${why ? ` (${why})` : ''}, ${gpu.sessions} sessions${channels}`];
  }), () => rowOf('li', 'span'));
  gpus.forEach((gpu, at) => { list.children[at].className = gpu.state; });
  list.hidden = !gpus.length;
}

async function poll() {
  try {
    const devices = await fetch('/api/v1/devices', { signal: AbortSignal.timeout(5000) });
    if (devices.ok) showDevices(await devices.json());
    const answer = await fetch('/api/v1/channels', { signal: AbortSignal.timeout(5000) });
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    update(await answer.json());
  } catch (cause) {
    text(byId('summary'), `headend does not answer (${cause.message}). Trying again …`);
  }
  setTimeout(poll, POLL_MS);
}

async function begin() {
  try {
    Object.assign(publishing, await (await fetch('/api/v1/publishing')).json());
  } catch {
    // The usual port is shown until the page is loaded again.
  }
  setInterval(() => text(byId('figures'), player.figures()), 500);
  poll();
}

begin();
