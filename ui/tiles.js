// All channels at a glance: a tile each, in the order of their names, found and filtered.

import { inTrouble, input, stateWord, text, warnings } from '/assets/words.js';

const byId = id => document.getElementById(id);

export class Tiles {
  constructor(onChange) {
    this.list = byId('tiles');
    this.tiles = new Map();
    this.channels = [];
    this.chosen = null;
    for (const [id, event] of [['find', 'input'], ['which', 'change']]) {
      byId(id).addEventListener(event, () => { this.filter(); onChange(); });
    }
  }

  show(channels, chosen) {
    this.channels = channels;
    this.chosen = chosen;
    const names = new Set(channels.map(channel => channel.name));
    for (const [name, tile] of this.tiles) if (!names.has(name)) { tile.remove(); this.tiles.delete(name); }
    for (const channel of channels) this.tile(channel);
    this.filter();
  }

  tile(channel) {
    let tile = this.tiles.get(channel.name);
    if (!tile) {
      tile = byId('tile').content.firstElementChild.cloneNode(true);
      tile.querySelector('a').href = `#${encodeURIComponent(channel.name)}`;
      this.tiles.set(channel.name, tile);
      this.list.append(tile);
    }
    text(tile.querySelector('.name'), channel.name);
    const state = tile.querySelector('.state');
    text(state, stateWord(channel));
    state.className = `state ${channel.state}`;
    const wrong = warnings(channel);
    text(tile.querySelector('.more'), wrong[0] ?? said(channel));
    tile.classList.toggle('trouble', inTrouble(channel));
    const link = tile.querySelector('a');
    if (channel.name === this.chosen) link.setAttribute('aria-current', 'true');
    else link.removeAttribute('aria-current');
    picture(tile.querySelector('img'), channel);
  }

  filter() {
    const wanted = byId('find').value.trim().toLowerCase();
    const which = byId('which').value;
    const fits = channel => channel.name.toLowerCase().includes(wanted)
      && (which === 'all' || (which === 'live' ? channel.state === 'live' : inTrouble(channel)));
    this.shown = this.channels.filter(fits);
    const shown = new Set(this.shown.map(channel => channel.name));
    for (const [name, tile] of this.tiles) tile.hidden = !shown.has(name);
    const none = byId('none');
    none.hidden = this.shown.length > 0 || !this.channels.length;
    text(none, which === 'trouble' && !wanted ? 'No channel is in trouble.' : 'No channel fits.');
  }

  // The name of the channel that is `step` further than the chosen one among those that are shown and fit.
  next(step, fits = () => true) {
    const { shown } = this;
    const from = shown.findIndex(channel => channel.name === this.chosen);
    for (let away = 1; away <= shown.length; away += 1) {
      const channel = shown[(((from < 0 && step < 0 ? 0 : from) + step * away) % shown.length + shown.length) % shown.length];
      if (fits(channel)) return channel.name;
    }
    return null;
  }

  focus(name) {
    this.tiles.get(name)?.querySelector('a').focus();
  }
}

function said({ feed, feeds, source }) {
  const onAir = feeds?.find(({ name }) => name === feed) ?? feeds?.[0];
  return onAir ? input(onAir) : source ?? '';
}

// Another number is another picture; the one that is shown stays until the next one is here.
function picture(image, { name, thumbnail }) {
  image.hidden = thumbnail == null;
  if (thumbnail == null) {
    image.removeAttribute('src');
    return;
  }
  const address = `/api/v1/channels/${encodeURIComponent(name)}/thumbnail.jpg?n=${thumbnail}`;
  if (image.getAttribute('src') !== address) image.src = address;
}
