/** Sound until acknowledged. A browser allows none before a click or a key: until then we say loudly that it is off. */
import type { Priority } from "./api-types";

interface Tone {
  hertz: number[];
  every_ms: number;
}

const TONES: Record<Priority, Tone> = {
  critical: { hertz: [960, 770, 960, 770], every_ms: 1500 },
  high: { hertz: [770, 960], every_ms: 3000 },
  medium: { hertz: [660, 660], every_ms: 6000 },
  low: { hertz: [520], every_ms: 12000 },
};

class Sound {
  armed = $state(false);
  available = typeof AudioContext !== "undefined";
  #context: AudioContext | null = null;
  #priority: Priority | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** The first click or key anywhere arms it. */
  armOnGesture(): void {
    if (!this.available) return;
    const arm = (): void => void this.arm();
    addEventListener("pointerdown", arm);
    addEventListener("keydown", arm);
  }

  async arm(): Promise<void> {
    if (!this.available || this.armed) return;
    this.#context ??= new AudioContext();
    await this.#context.resume();
    this.armed = this.#context.state === "running";
    if (this.armed) this.#play();
  }

  /** What must be heard now: the most urgent unacknowledged priority, null for silence. */
  call(priority: Priority | null): void {
    if (priority === this.#priority) return;
    this.#priority = priority;
    this.#play();
  }

  #play(): void {
    clearTimeout(this.#timer);
    const context = this.#context;
    if (!context || !this.armed || !this.#priority) return;
    const { hertz, every_ms } = TONES[this.#priority];
    hertz.forEach((f, i) => beep(context, f, context.currentTime + i * 0.22));
    this.#timer = setTimeout(() => this.#play(), every_ms);
  }
}

function beep(context: AudioContext, hertz: number, at: number): void {
  const [oscillator, gain] = [context.createOscillator(), context.createGain()];
  oscillator.frequency.value = hertz;
  gain.gain.setValueAtTime(0, at);
  gain.gain.linearRampToValueAtTime(0.25, at + 0.015);
  gain.gain.setValueAtTime(0.25, at + 0.16);
  gain.gain.linearRampToValueAtTime(0, at + 0.19);
  oscillator.connect(gain).connect(context.destination);
  oscillator.start(at);
  oscillator.stop(at + 0.2);
}

export const sound = new Sound();
