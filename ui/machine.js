// The machine: GPUs with their load, what happened, and who is placed where.

import { ask, follow } from '/assets/asks.js';
import { fill, rowOf, size, text } from '/assets/words.js';

const byId = id => document.getElementById(id);
const KEPT_EVENTS = 200;
const SHOWN_EVENTS = 60;
const AGAIN_MS = 5000;

// GPUs, each with what the driver says of its load where that is fresh.
export function showDevices(list) {
  const gpus = list?.gpus ?? [];
  byId('machine').hidden = !gpus.length;
  const parent = byId('devices');
  while (parent.children.length > gpus.length) parent.lastElementChild.remove();
  while (parent.children.length < gpus.length) parent.append(byId('device').content.firstElementChild.cloneNode(true));
  gpus.forEach((gpu, at) => showDevice(parent.children[at], gpu));
  return gpus;
}

function showDevice(element, gpu) {
  const why = gpu.state_reason || gpu.reason;
  const channels = gpu.channels.length ? `: ${gpu.channels.join(', ')}` : '';
  element.className = gpu.state;
  text(element.querySelector('h3'), `${gpu.name} (${gpu.ordinal})`);
  text(element.querySelector('.more'), `${gpu.verdict}, ${gpu.state}${why ? ` (${why})` : ''}. ${gpu.sessions} sessions of ours${channels}`);
  const meters = element.querySelector('.meters');
  const rows = loads(gpu);
  while (meters.children.length > rows.length) meters.lastElementChild.remove();
  while (meters.children.length < rows.length) meters.append(byId('meter').content.firstElementChild.cloneNode(true));
  rows.forEach(([word, share, said], row) => {
    const [label, meter, figure] = ['dt', 'meter', 'span'].map(tag => meters.children[row].querySelector(tag));
    text(label, word);
    meter.setAttribute('aria-label', `${word} of ${gpu.name}`);
    [meter.high, meter.value] = [0.9, share];
    text(figure, said);
  });
}

function loads({ load, memory_bytes: memory, reserved_bytes: reserved }) {
  const rows = [];
  const percent = (word, share) => { if (share != null) rows.push([word, share / 100, `${share} %`]); };
  percent('Encoder', load?.encoder_percent);
  percent('Decoder', load?.decoder_percent);
  percent('Kernels', load?.kernels_percent);
  const used = load?.memory_used_bytes ?? reserved;
  if (memory) rows.push([load?.memory_used_bytes == null ? 'Memory lent' : 'Memory', used / memory, `${size(used)} of ${size(memory)}`]);
  const celsius = load?.temperature_celsius;
  if (celsius != null) rows.push(['Temperature', celsius / (load.temperature_limit_celsius || 100), `${celsius} °C`]);
  const [drawn, limit] = [load?.power_milliwatts, load?.power_limit_milliwatts];
  if (drawn != null && limit) rows.push(['Power', drawn / limit, `${Math.round(drawn / 1000)} of ${Math.round(limit / 1000)} W`]);
  return rows;
}

// What happened, newest first.
export class Events {
  constructor() {
    this.all = [];
    this.last = '';
    this.chosen = null;
    byId('only').addEventListener('change', () => this.show());
    this.listen();
  }

  async listen() {
    try {
      const status = await follow('/api/v1/events', this.last, ({ id, event, data }) => this.take(id, event, data));
      // This headend has no events, or shows them to others only.
      if ([401, 403, 404].includes(status) && !this.all.length) return;
    } catch {
      // It went away; it comes back.
    }
    setTimeout(() => this.listen(), AGAIN_MS);
  }

  take(id, kind, data) {
    if (id) this.last = id;
    let event;
    try {
      event = JSON.parse(data);
    } catch {
      return;
    }
    this.all.unshift({ kind, ...event });
    this.all.length = Math.min(this.all.length, KEPT_EVENTS);
    this.show();
  }

  choose(name) {
    if (this.chosen === name) return;
    this.chosen = name;
    this.show();
  }

  show() {
    byId('happened').hidden = !this.all.length;
    const fits = event => !byId('only').checked || !event.channel || event.channel === this.chosen;
    const rows = this.all.filter(fits).slice(0, SHOWN_EVENTS);
    fill(byId('events'), rows.map(({ time, kind, channel, text: words }) => [clock(time), kind ?? '', channel ?? '', words ?? '']),
      () => rowOf('li', 'time', 'b', 'i', 'span'));
  }
}

function clock(time) {
  const at = new Date(time);
  return Number.isNaN(at.getTime()) ? '' : at.toLocaleTimeString();
}

// Who is placed where.
export async function showPlan() {
  const plan = await ask('/api/v1/plan').catch(() => null);
  const rows = plan?.channels ?? [];
  byId('placed').hidden = !rows.length;
  if (!rows.length) return;
  const number = value => (value == null ? '–' : String(Math.round(value * 100) / 100));
  fill(byId('plan'), rows.map(row => [
    row.channel ?? row.name, row.seat ?? '–', number(row.cores), row.memory_bytes ? size(row.memory_bytes) : '–', number(row.sessions),
    row.reason ? `${row.verdict}: ${row.reason}` : (row.verdict ?? '–'),
  ]), () => rowOf('tr', 'td', 'td', 'td', 'td', 'td', 'td'));
  text(byId('placed-summary'), plan.summary ?? '');
}
