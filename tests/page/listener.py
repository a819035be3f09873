"""Somebody who uses a player in a browser and hears what comes out of it."""

from tests.page.songs import MIXTURE_HZ, TONES_HZ

# What a player lets out, by Goertzel's algorithm: the tones above a tenth of their full level (0.2), in Hz.
LISTEN = """
(hz) => {
  window.tonesOf = (player) => {
    if (!player.output) return "";
    player.tap ??= new AnalyserNode(player.output.context, { fftSize: 4096 });
    player.output.connect(player.tap);
    const samples = new Float32Array(player.tap.fftSize);
    player.tap.getFloatTimeDomainData(samples);
    const rate = player.output.context.sampleRate;
    return hz.filter((tone) => {
      let [real, imaginary] = [0, 0];
      samples.forEach((sample, number) => {
        real += sample * Math.cos((2 * Math.PI * tone * number) / rate);
        imaginary += sample * Math.sin((2 * Math.PI * tone * number) / rate);
      });
      return (2 * Math.hypot(real, imaginary)) / samples.length > 0.02;
    }).join(" ");
  };
  window.loudnessOf = (player) => {
    tonesOf(player);
    const samples = new Float32Array(player.tap.fftSize);
    player.tap.getFloatTimeDomainData(samples);
    return Math.hypot(...samples) / Math.sqrt(samples.length);
  };
}
"""


class Listener:
    """One player of an open page, used by its labels and heard through its output."""

    def __init__(self, page, number=0, *, selector=None):
        self.page, self.selector = page, selector or f"#player-{number}"
        self.at = page.locator(self.selector)
        page.evaluate(LISTEN, [MIXTURE_HZ, *TONES_HZ.values()])

    def press(self, label):
        self.at.get_by_role("button", name=label, exact=True).click()

    def pressed(self, label):
        return self.at.get_by_role("button", name=label, exact=True).get_attribute("aria-pressed") == "true"

    def state(self, expression):
        return self.page.evaluate(f"document.querySelector('{self.selector}').player.{expression}")

    def wait(self, condition):
        """Wait until an expression of ``player`` holds. Playwright's own waiting needs ``eval``, which pages forbid."""
        self.page.evaluate(
            f"""(selector) => new Promise((resolve, reject) => {{
                const {{ player }} = document.querySelector(selector);
                const end = performance.now() + 10_000;
                const poll = () => {{
                    if ({condition}) resolve();
                    else if (performance.now() > end) reject(new Error(`never so; it hears ${{tonesOf(player)}}`));
                    else setTimeout(poll, 10);
                }};
                poll();
            }})""",
            self.selector,
        )

    def hears(self, *tones_hz):
        """Wait until exactly these tones come out."""
        expected = " ".join(str(hz) for hz in sorted(tones_hz))
        self.wait(f"tonesOf(player) === '{expected}'")
