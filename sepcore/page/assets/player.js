// The players of a page: every <section class="player"> plays its mixture and its stems in sync.
//
// All files of a song run at once, started at one moment of one clock, and what is heard is a matter of their gains
// alone. So another version can be listened to in the middle of a note.

const LEAD_S = 0.05; // the sources are started ahead of the clock, or those started last would come late

let context = null; // one clock for all players; made when the first one plays, since browsers want a click before
let active = null; // the player that plays, or is about to

class Player {
  constructor(element) {
    this.element = element;
    this.duration = Number(element.dataset.duration);
    this.state = "paused"; // or "loading", or "playing"
    this.heard = "mixture";
    this.offset = 0; // where the song stood at the clock's `startedAt`
    this.startedAt = 0;

    this.playButton = element.querySelector(".play");
    this.loopButton = element.querySelector(".loop");
    this.seekBar = element.querySelector(".seek");
    this.time = element.querySelector(".time");
    this.status = element.querySelector(".status");
    this.heardButtons = [...element.querySelectorAll("[data-heard]")];
    this.stems = [...element.querySelectorAll(".stem")].map((stem) => new Stem(stem, () => this.hearStems()));
    this.voices = [...element.querySelectorAll("script[data-version]")].map((script) => {
      const owner = script.closest(".stem");
      return new Voice(script, this.stems.find((stem) => stem.element === owner) ?? null);
    });
    this.listen();
    this.render();
    this.showPosition();
  }

  listen() {
    this.playButton.addEventListener("click", () => this.toggle());
    this.loopButton.addEventListener("click", () => this.setLoop(!this.isLooping));
    this.seekBar.addEventListener("input", () => this.seek(Number(this.seekBar.value)));
    const keys = this.element.dataset.keys === "page" ? document : this.element;
    keys.addEventListener("keydown", (event) => this.onKey(event));
    for (const button of this.heardButtons) {
      button.addEventListener("click", () => this.hear(button.dataset.heard));
    }
    for (const timeline of this.element.querySelectorAll(".timeline")) {
      timeline.addEventListener("pointerdown", (event) => this.onPoint(event, timeline));
      timeline.addEventListener("pointermove", (event) => event.buttons && this.onPoint(event, timeline));
    }
    const redraw = () => this.drawWaveforms();
    new ResizeObserver(redraw).observe(this.element);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  }

  // What it does

  toggle() {
    if (this.state === "paused") this.play();
    else this.pause();
  }

  async play() {
    if (active !== this) active?.pause();
    active = this;
    this.setState("loading");
    try {
      context ??= new AudioContext();
      await context.resume();
      await this.load();
    } catch (error) {
      if (active === this) active = null;
      this.setState("paused");
      this.status.textContent = error.message;
      return;
    }
    // While it was decoding, somebody may have paused it, or played another.
    if (this.state === "loading") this.start();
  }

  pause() {
    if (this.state === "playing") {
      this.offset = this.position;
      this.stopVoices();
    }
    if (active === this) active = null;
    this.setState("paused");
  }

  seek(position) {
    const isPlaying = this.state === "playing";
    if (isPlaying) this.stopVoices();
    this.offset = Math.min(Math.max(position, 0), this.duration);
    if (isPlaying) this.start();
    this.showPosition();
  }

  hear(version) {
    this.heard = version;
    this.render();
  }

  /** A stem's control was touched: it says nothing about the mixture, so the stems are heard. */
  hearStems() {
    this.hear(this.heard === "mixture" ? this.heardButtons[1].dataset.heard : this.heard);
  }

  setLoop(loop) {
    if (this.state === "playing") {
      this.offset = this.position;
      this.startedAt = Math.max(this.startedAt, context.currentTime);
      for (const voice of this.voices) voice.source.loop = loop;
    }
    setPressed(this.loopButton, loop);
  }

  // How it does it

  get isLooping() {
    return isPressed(this.loopButton);
  }

  /** Seconds from the start of the song. */
  get position() {
    if (this.state !== "playing") return this.offset;
    const position = this.offset + Math.max(context.currentTime - this.startedAt, 0);
    return this.isLooping ? position % this.loopEnd : Math.min(position, this.duration);
  }

  /** What each voice is to be heard at: `[{ version, stem, gain }]`. */
  get gains() {
    const isSoloed = this.stems.some((stem) => isPressed(stem.solo));
    return this.voices.map(({ version, stem }) => ({
      version,
      stem: stem?.name ?? null,
      gain: version === this.heard ? (stem?.loudness(isSoloed) ?? 1) : 0,
    }));
  }

  /** Decode the song's files, once; after an error the next call tries again. */
  async load() {
    if (this.output) return;
    await Promise.all(this.voices.map((voice) => voice.buffer ?? voice.decode(context)));
    // Played out to the last sample of the shortest, or the others would fall behind at each turn.
    this.loopEnd = Math.min(this.duration, ...this.voices.map((voice) => voice.buffer.duration));
    this.output = new GainNode(context);
    this.output.connect(context.destination);
    this.gains.forEach(({ gain }, number) => this.voices[number].connect(this.output, gain));
    this.element.classList.add("loaded");
    this.drawWaveforms();
  }

  start() {
    if (this.offset >= this.loopEnd) this.offset = 0;
    this.startedAt = context.currentTime + LEAD_S;
    for (const voice of this.voices) voice.start(this.startedAt, this.offset, this.isLooping, this.loopEnd);
    this.voices.at(-1).source.onended = () => this.rewind();
    this.setState("playing");
    this.animate();
  }

  stopVoices() {
    for (const voice of this.voices) voice.stop();
  }

  rewind() {
    this.pause();
    this.seek(0);
  }

  setState(state) {
    this.state = state;
    this.status.textContent = state === "loading" && !this.output ? "Decoding …" : "";
    this.render();
    this.showPosition();
  }

  onKey(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const step = this.stepOf(event);
    if (event.key === " " && event.target.tagName !== "BUTTON") this.toggle();
    else if (step) this.seek(this.position + step);
    else return;
    event.preventDefault();
  }

  /** Seconds that a key on the seek bar moves; the browser does the others, such as Home and End. */
  stepOf({ key, target }) {
    const step = this.duration > 60 ? 5 : 1;
    const across = { ArrowLeft: -step, ArrowRight: step }[key] ?? 0;
    if (target === document.body) return across; // up and down scroll the page
    return target === this.seekBar ? across || ({ ArrowDown: -step, ArrowUp: step }[key] ?? 0) : 0;
  }

  onPoint(event, timeline) {
    if (event.button > 0) return;
    const { left, width } = timeline.getBoundingClientRect();
    timeline.setPointerCapture(event.pointerId);
    this.seek(((event.clientX - left) / width) * this.duration);
    this.seekBar.focus({ preventScroll: true }); // so that the keys go on from here
    event.preventDefault();
  }

  // What it shows

  render() {
    const isPaused = this.state === "paused";
    this.element.dataset.state = this.state;
    this.playButton.setAttribute("aria-label", isPaused ? "Play" : "Pause");
    for (const button of this.heardButtons) setPressed(button, button.dataset.heard === this.heard);
    const { gains } = this;
    gains.forEach(({ gain }, number) => this.voices[number].fadeTo(gain));
    for (const stem of this.stems) {
      const isHeard = this.heard === "mixture" || gains.some((voice) => voice.stem === stem.name && voice.gain > 0);
      stem.element.classList.toggle("silent", !isHeard);
    }
  }

  animate() {
    if (this.state !== "playing") return;
    this.showPosition();
    requestAnimationFrame(() => this.animate());
  }

  showPosition() {
    const { position, duration } = this;
    this.element.style.setProperty("--position", position / duration);
    this.seekBar.value = position;
    this.seekBar.setAttribute("aria-valuetext", `${Math.floor(position)} of ${Math.round(duration)} seconds`);
    this.time.textContent = `${clock(position)} / ${clock(duration)}`;
  }

  drawWaveforms() {
    for (const canvas of this.element.querySelectorAll(".waveform")) {
      const owner = canvas.closest(".stem");
      const voice = this.voices.find(({ stem }) => (stem?.element ?? null) === owner);
      if (voice.peaks || voice.buffer) drawWaveform(canvas, voice);
    }
  }
}

function clock(seconds) {
  const tenths = Math.floor(seconds * 10 + 1e-6);
  const minutes = Math.floor(tenths / 600);
  return `${minutes}:${((tenths % 600) / 10).toFixed(1).padStart(4, "0")}`;
}

for (const element of document.querySelectorAll(".player")) {
  element.player = new Player(element);
}
