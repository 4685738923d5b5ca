// The chosen channel: what it makes of what, what is wrong, and what can be done about it.

import { order } from '/assets/asks.js';
import { fill, input, rate, rowOf, span, stateWord, story, text, warnings } from '/assets/words.js';

const byId = id => document.getElementById(id);
const AUTO = 'auto';

export class Detail {
  constructor(publishing) {
    this.element = byId('detail');
    const fields = [...this.element.querySelectorAll('[data-field]')];
    this.fields = Object.fromEntries(fields.map(field => [field.dataset.field, field]));
    this.publishing = publishing;
    this.name = null;
    this.formats = null;
    this.gpus = [];
  }

  show(channel) {
    const { element, fields } = this;
    element.hidden = !channel;
    if (!channel) return;
    if (this.name !== channel.name) this.begin(channel);
    text(fields.state, stateWord(channel));
    fields.state.className = `state ${channel.state}`;
    text(fields.story, story(channel));
    const wrong = warnings(channel);
    fill(fields.warnings, wrong.map(words => [words]), () => rowOf('li', 'span'));
    fields.warnings.hidden = !wrong.length;
    fill(fields.facts, this.facts(channel), () => rowOf('div', 'dt', 'dd'));
    const rows = channel.rungs.map(rung => [
      rung.name, rung.width ? `${rung.width}×${rung.height}` : '–', rate(rung.bitrate), rate(rung.measured_bitrate), rung.codecs || '–',
    ]);
    fill(fields.rungs, rows, () => rowOf('tr', 'td', 'td', 'td', 'td', 'td'));
    this.choices(channel);
    if (this.formats !== channel.formats.join()) {
      this.formats = channel.formats.join();
      fields.watch.replaceChildren(...addresses(channel).map(([label, path]) => line(label, location.origin + path)));
    }
  }

  // Another channel than before.
  begin({ name }) {
    this.name = name;
    this.formats = null;
    text(byId('detail-title'), name);
    const base = `/api/v1/channels/${encodeURIComponent(name)}`;
    this.feed = action('Feed on the air', 'Change', value => order(`${base}/feed`, { feed: value }));
    this.seat = action('Seat of its worker', 'Move', value => order(`${base}/move`, { seat: value }));
    this.fields.operate.replaceChildren(this.feed.element, this.seat.element);
    this.fields.publish.replaceChildren(...publishLines(name, this.publishing));
  }

  choices(channel) {
    const feeds = (channel.feeds ?? []).map(feed => [feed.name, feed.name]);
    this.feed.offer([[AUTO, 'as the channel prefers'], ...feeds]);
    const gpus = this.gpus.map(gpu => [gpu.uuid, `${gpu.name} (${gpu.ordinal})`]);
    this.seat.offer([[AUTO, 'as the channel prefers'], ['software', 'software'], ...gpus]);
  }

  facts(channel) {
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
    if (channel.latency) rows.push(['Latency', stages(channel.latency)]);
    if (channel.seat) rows.push(['Works in', this.gpus.find(gpu => gpu.uuid === channel.seat)?.name ?? channel.seat]);
    if (channel.worker_restarts) rows.push(['Workers lost', String(channel.worker_restarts)]);
    return rows;
  }
}

// What each stage adds: from the arrival of a picture to where a viewer can fetch it.
function stages(latency) {
  const words = { input: 'input', decode: 'decoding', scale: 'scaling', encode: 'encoding', segment: 'segment' };
  const known = Object.entries(words).filter(([stage]) => latency[`${stage}_ms`] != null);
  return known.map(([stage, word]) => `${word} ${span(latency[`${stage}_ms`])}`).join(', ');
}

// A choice with a button, and under it why it was not done.
function action(label, verb, act) {
  const element = byId('action').content.firstElementChild.cloneNode(true);
  const [select, button, said] = [element.querySelector('select'), element.querySelector('button'), hint('')];
  element.querySelector('span').textContent = label;
  button.textContent = verb;
  said.setAttribute('role', 'status');
  element.append(said);
  element.addEventListener('submit', async event => {
    event.preventDefault();
    button.disabled = true;
    const why = await act(select.value);
    said.textContent = why || 'Done.';
    said.classList.toggle('wrong', Boolean(why));
    button.disabled = false;
  });
  let offered = '';
  const offer = choices => {
    if (offered === JSON.stringify(choices)) return;
    offered = JSON.stringify(choices);
    const before = select.value;
    select.replaceChildren(...choices.map(([value, words]) => new Option(words, value)));
    if (choices.some(([value]) => value === before)) select.value = before;
  };
  return { element, offer };
}

export function addresses({ name, formats }) {
  const base = `/live/${encodeURIComponent(name)}`;
  const has = (...wanted) => !formats.length || formats.some(format => wanted.includes(format));
  const list = [];
  if (has('cmaf', 'hls')) list.push(['HLS', `${base}/master.m3u8`]);
  if (has('cmaf', 'dash')) list.push(['DASH', `${base}/manifest.mpd`]);
  if (has('ts')) list.push(['HLS with MPEG-TS', `${base}/ts/master.m3u8`]);
  return list;
}

function line(label, value) {
  const element = byId('line').content.firstElementChild.cloneNode(true);
  const [field, button] = [element.querySelector('input'), element.querySelector('button')];
  element.querySelector('span').textContent = label;
  field.value = value;
  field.addEventListener('focus', () => field.select());
  button.setAttribute('aria-label', `Copy ${label}`);
  button.addEventListener('click', async () => {
    button.textContent = await copied(field) ? 'Copied' : 'Press Ctrl+C';
    setTimeout(() => { button.textContent = 'Copy'; }, 1500);
  });
  return element;
}

// The clipboard is there in secure contexts only; over plain HTTP from another machine the old way works.
async function copied(field) {
  try {
    await navigator.clipboard.writeText(field.value);
    return true;
  } catch {
    field.focus();
    field.select();
    return document.execCommand('copy');
  }
}

function hint(words) {
  const element = document.createElement('p');
  element.className = 'hint';
  element.textContent = words;
  return element;
}

function publishLines(name, publishing) {
  if (!publishing.rtmp_port && !publishing.rtmps_port) return [hint('This headend has no RTMP listener.')];
  const address = (scheme, port, usual) => port && `${scheme}://${location.hostname}${port === usual ? '' : `:${port}`}/live`;
  const secure = address('rtmps', publishing.rtmps_port, 443);
  const server = address('rtmp', publishing.rtmp_port, 1935) || secure;
  const key = publishing.default_keys
    ? `The key is the channel's stream_key in the configuration; where none is set, it is the channel's name: ${name}.`
    : "The key is the channel's stream_key in the configuration. It is not shown here.";
  return [
    line('OBS: Settings, Stream, Service “Custom”, Server', server),
    hint(`OBS: Stream Key. ${key} Set a keyframe interval of 2 s.`),
    ...secure && secure !== server ? [line('The same through TLS', secure)] : [],
    line('ffmpeg, with your key for KEY', `ffmpeg -re -i INPUT -c copy -f flv ${server}/KEY`),
  ];
}
