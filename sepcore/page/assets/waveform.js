// The waveform of a voice, drawn to a canvas.

const NUM_PEAKS = 1200;

function drawWaveform(canvas, voice) {
  const pixels = devicePixelRatio;
  canvas.width = canvas.clientWidth * pixels;
  canvas.height = canvas.clientHeight * pixels;
  voice.peaks ??= peaksOf(voice.buffer);
  const drawing = canvas.getContext("2d");
  drawing.fillStyle = getComputedStyle(canvas).color;
  const middle = canvas.height / 2;
  const step = canvas.width / voice.peaks.length;
  voice.peaks.forEach((peak, number) => {
    const height = Math.max(peak * middle, pixels / 2);
    drawing.fillRect(number * step, middle - height, Math.max(step, 1), 2 * height);
  });
}

/** The greatest absolute sample of each of `NUM_PEAKS` parts, over all channels. */
function peaksOf(buffer) {
  const peaks = new Float32Array(NUM_PEAKS);
  for (let channel = 0; channel < buffer.numberOfChannels; channel += 1) {
    const samples = buffer.getChannelData(channel);
    for (let part = 0; part < NUM_PEAKS; part += 1) {
      const end = Math.floor(((part + 1) * samples.length) / NUM_PEAKS);
      for (let number = Math.floor((part * samples.length) / NUM_PEAKS); number < end; number += 1) {
        peaks[part] = Math.max(peaks[part], Math.abs(samples[number]));
      }
    }
  }
  return peaks;
}
