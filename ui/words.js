// How things are said: numbers, states and what is wrong, in the words of the documentation.

export function text(element, value) {
  if (element.textContent !== value) element.textContent = value;
}

export function rowOf(tag, ...cells) {
  const row = document.createElement(tag);
  row.append(...cells.map(cell => document.createElement(cell)));
  return row;
}

// Brings the children of `parent` to these rows of texts, touching only what differs.
export function fill(parent, rows, makeRow) {
  while (parent.children.length > rows.length) parent.lastElementChild.remove();
  while (parent.children.length < rows.length) parent.append(makeRow());
  rows.forEach((row, at) => row.forEach((value, column) => text(parent.children[at].children[column], value)));
}

export function rate(bits) {
  if (!bits) return '–';
  return bits >= 1e6 ? `${(bits / 1e6).toFixed(bits >= 1e7 ? 1 : 2)} Mb/s` : `${Math.round(bits / 1000)} kb/s`;
}

export function size(bytes) {
  return bytes >= 2 ** 30 ? `${(bytes / 2 ** 30).toFixed(1)} GiB` : `${Math.round(bytes / 2 ** 20)} MiB`;
}

export function span(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 120e3) return `${(ms / 1000).toFixed(1)} s`;
  return ms < 7200e3 ? `${Math.round(ms / 60e3)} min` : `${Math.round(ms / 3600e3)} h`;
}

export function stateWord({ state, feed }) {
  const waiting = feed === 'pattern' ? 'Test pattern' : 'Waiting';
  return { live: 'Live', holding: 'Holding', slate: 'Slate', stopped: 'Stopped', waiting }[state] ?? state;
}

// One sentence on what a viewer sees and what the publisher can do about it.
export function story({ state, feed }) {
  if (state === 'live') return 'A publisher is on the air.';
  if (state === 'holding') return 'The publisher sends nothing. Its last picture is held for a moment.';
  if (state === 'stopped') return 'The channel was stopped by an operator.';
  if (state === 'slate') {
    return feed === 'pattern'
      ? 'The publisher went away. The test pattern is on the air until it comes back.'
      : 'The publisher went away. Its absence is covered until it comes back.';
  }
  if (feed === 'pattern') return 'The test pattern is on the air. Publishing replaces it without a break.';
  return 'Nothing is on the air yet. The channel waits for its first publisher.';
}

// All that is wrong with a channel now, worst first.
export function warnings(channel) {
  const feeds = channel.feeds ?? [];
  const list = [];
  if (channel.fallback) list.push(channel.seat ? `Not where it should be: ${channel.fallback}` : `Waits for a seat: ${channel.fallback}`);
  if (channel.overload?.level) list.push(`Too slow for the whole ladder; given up: ${channel.overload.steps.join(', ')}`);
  for (const feed of channel.quarantined ?? []) list.push(`${feed} is left out for a while: it killed workers`);
  const look = channel.look ?? [];
  if (look.length) list.push(`The input on the air is ${look.join(' and ')}`);
  for (const feed of feeds) for (const words of feed.warnings) list.push(feeds.length > 1 ? `${feed.name}: ${words}` : words);
  return list;
}

export function inTrouble(channel) {
  return channel.state === 'slate' || channel.state === 'holding' || warnings(channel).length > 0;
}

// A feed in one line: H.264 High 1280×720 25 fps, AAC 48 kHz stereo, 4.1 Mb/s, GOP 2.0 s, 3 errors.
export function input({ video, audio, bitrate_bps: bitrate, arrival_jitter_ms: jitter, errors }) {
  const parts = [];
  if (video) {
    const pictures = video.frame_rate ? ` ${+video.frame_rate.toFixed(2)} fps` : '';
    parts.push(`${video.codec}${video.profile ? ` ${video.profile}` : ''} ${video.width}×${video.height}${pictures}`);
  }
  if (audio) {
    const channels = { 1: 'mono', 2: 'stereo' }[audio.channels] ?? `${audio.channels} channels`;
    parts.push(`${audio.codec} ${audio.sample_rate / 1000} kHz ${channels}`);
  }
  if (!parts.length) return 'connected, nothing described yet';
  parts.push(rate(bitrate));
  if (video?.gop) parts.push(`GOP ${video.gop.seconds.toFixed(1)} s${video.gop.open ? ' open' : ''}`);
  if (jitter >= 100) parts.push(`jitter ${jitter} ms`);
  const count = Object.values(errors).reduce((sum, kind) => sum + kind, 0);
  if (count) parts.push(`${count} error${count === 1 ? '' : 's'} (${Object.keys(errors).join(', ')})`);
  return parts.join(', ');
}
