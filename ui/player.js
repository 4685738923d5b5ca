// Plays one channel: hls.js where Media Source Extensions are, the browser's own HLS elsewhere.

const NO_PLAYER = 'This build of headend has no player in it, and this browser does not play HLS by itself.\n'
  + 'Run “make deps” (or “npm ci --prefix ui”), build headend again, and reload this page.\n'
  + 'The addresses under “Watch elsewhere” play in VLC, mpv and ffplay meanwhile.';
const RETRY_MS = 2000;

export class Player {
  constructor(video, { onNotice, onRungs }) {
    this.video = video;
    this.onNotice = onNotice;
    this.onRungs = onRungs;
    this.hls = null;
    this.channel = null;
    this.retry = 0;
    video.addEventListener('playing', () => onNotice(''));
    video.addEventListener('error', () => { if (!this.hls && this.channel) this.again('The stream cannot be played.'); });
  }

  // Switches to a channel; `address` is its multivariant playlist.
  play(channel, address) {
    this.stop();
    this.channel = channel;
    this.address = address;
    this.onNotice(`Opening ${channel} …`);
    if (window.Hls?.isSupported()) {
      this.open();
    } else if (this.video.canPlayType('application/vnd.apple.mpegurl')) {
      this.video.src = address;
      this.start();
    } else {
      this.onNotice(NO_PLAYER);
    }
  }

  stop() {
    clearTimeout(this.retry);
    this.hls?.destroy();
    this.hls = null;
    this.channel = null;
    this.video.removeAttribute('src');
    this.video.load();
    this.onRungs([]);
  }

  open() {
    const { Hls } = window;
    const hls = new Hls({ backBufferLength: 30, capLevelToPlayerSize: true });
    this.hls = hls;
    hls.on(Hls.Events.MANIFEST_PARSED, () => {
      this.onRungs(hls.levels.map(level => level.height ? `${level.height}p` : level.name));
      this.start();
    });
    hls.on(Hls.Events.ERROR, (_, error) => {
      if (!error.fatal) return;
      if (error.type === Hls.ErrorTypes.MEDIA_ERROR) hls.recoverMediaError();
      else this.again(error.response?.code === 503 ? 'The channel has nothing to show yet.' : 'The stream cannot be reached.');
    });
    hls.loadSource(this.address);
    hls.attachMedia(this.video);
  }

  start() {
    // Refused autoplay leaves the video's own controls to the viewer; what cannot be loaded has its own event.
    this.video.play().catch(cause => { if (cause.name === 'NotAllowedError') this.onNotice(''); });
  }

  // Opens the same channel once more in a moment: publishers and servers come back.
  again(reason) {
    const { channel, address } = this;
    this.stop();
    this.channel = channel;
    this.onNotice(`${reason} Trying again …`);
    this.retry = setTimeout(() => this.play(channel, address), RETRY_MS);
  }

  choose(level) {
    if (this.hls) this.hls.nextLevel = level;
  }

  // What is seen now, in words; empty while nothing moves.
  figures() {
    const { video, hls } = this;
    if (!this.channel || !video.videoWidth || video.readyState < 2) return '';
    const words = [`${video.videoWidth}×${video.videoHeight}`];
    const level = hls?.levels[hls.currentLevel];
    if (level) words.push(`${(level.bitrate / 1e6).toFixed(2)} Mb/s`);
    const latency = hls ? hls.latency : this.nativeLatency();
    if (latency > 0) words.push(`${latency.toFixed(1)} s behind live`);
    const { buffered } = video;
    if (buffered.length) words.push(`${Math.max(0, buffered.end(buffered.length - 1) - video.currentTime).toFixed(1)} s buffered`);
    const dropped = video.getVideoPlaybackQuality?.().droppedVideoFrames;
    if (dropped) words.push(`${dropped} pictures dropped`);
    return words.join(' · ');
  }

  // Safari tells the wall clock of the picture where the playlist has PROGRAM-DATE-TIME.
  nativeLatency() {
    const start = this.video.getStartDate?.()?.getTime();
    return start > 0 ? (Date.now() - start) / 1000 - this.video.currentTime : 0;
  }
}
