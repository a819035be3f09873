// What a player is made of: the stems with their controls, and the voices, one a file, with their gains.

const FADE_S = 0.008; // a jump in loudness would click

/** A stem's controls, and how loud they let it be. */
class Stem {
  constructor(element, onChange) {
    this.element = element;
    this.name = element.querySelector(".name").textContent;
    this.mute = element.querySelector(".mute");
    this.solo = element.querySelector(".solo");
    this.volume = element.querySelector(".volume");
    for (const button of [this.mute, this.solo]) {
      button.addEventListener("click", () => {
        setPressed(button, !isPressed(button));
        onChange();
      });
    }
    this.volume.addEventListener("input", onChange);
  }

  /** Linear gain; `isSoloed` says whether any stem of the song is soloed. Mute wins over solo. */
  loudness(isSoloed) {
    const isHeard = !isPressed(this.mute) && (!isSoloed || isPressed(this.solo));
    return isHeard ? Number(this.volume.value) : 0;
  }
}

/** One file: the mixture (its stem is null), or a version of a stem. */
class Voice {
  constructor(script, stem) {
    this.script = script;
    this.stem = stem;
    this.version = script.dataset.version;
    this.buffer = null;
    this.peaks = script.dataset.peaks ? Float32Array.from(bytesOf(script.dataset.peaks), (peak) => peak / 255) : null;
  }

  get name() {
    return this.stem ? `${this.stem.name} (${this.version})` : this.version;
  }

  async decode(context) {
    const bytes = bytesOf(this.script.textContent);
    try {
      this.buffer = await context.decodeAudioData(bytes.buffer);
    } catch {
      throw new Error(`${this.name} cannot be played: this browser does not decode ${this.script.type.split(";")[0]}.`);
    }
  }

  connect(output, gain) {
    this.gain = new GainNode(output.context, { gain });
    this.gain.connect(output);
  }

  /** From now on let it be heard at a linear gain. */
  fadeTo(gain) {
    this.gain?.gain.setTargetAtTime(gain, this.gain.context.currentTime, FADE_S);
  }

  start(when, offset, loop, loopEnd) {
    const { context } = this.gain;
    this.fade = new GainNode(context, { gain: 0 });
    this.fade.gain.setTargetAtTime(1, when, FADE_S);
    this.source = new AudioBufferSourceNode(context, { buffer: this.buffer, loop, loopEnd });
    this.source.connect(this.fade).connect(this.gain);
    this.source.start(when, offset);
  }

  stop() {
    const [source, fade] = [this.source, this.fade];
    const now = fade.context.currentTime;
    source.onended = () => fade.disconnect();
    fade.gain.setTargetAtTime(0, now, FADE_S);
    source.stop(now + 5 * FADE_S);
  }
}

function bytesOf(base64) {
  const characters = atob(base64);
  const bytes = new Uint8Array(characters.length);
  for (let number = 0; number < bytes.length; number += 1) bytes[number] = characters.charCodeAt(number);
  return bytes;
}

function isPressed(button) {
  return button.getAttribute("aria-pressed") === "true";
}

function setPressed(button, pressed) {
  button.setAttribute("aria-pressed", pressed);
}
