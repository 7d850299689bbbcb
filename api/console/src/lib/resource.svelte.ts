/** Something read from the API that is read again when news of it comes; old data stay while new are read. */
import { ApiError } from "./api";

const RETRY_MS = 8000;

export class Resource<T> {
  data = $state.raw<T | null>(null);
  error = $state<ApiError | null>(null);
  loading = $state(false);
  /** Loading for longer than 300 ms: time to say what is being read. */
  slow = $state(false);

  #read: (signal: AbortSignal) => Promise<T>;
  #running: AbortController | null = null;
  #again = false;
  #retry: ReturnType<typeof setTimeout> | undefined;

  constructor(read: (signal: AbortSignal) => Promise<T>) {
    this.#read = read;
  }

  /** Read it again; several wishes while one is being read make one more reading. */
  async reload(): Promise<void> {
    if (this.#running) {
      this.#again = true;
      return;
    }
    const running = new AbortController();
    this.#running = running;
    await this.#once(running);
    if (this.#running !== running) return;
    this.#running = null;
    if (this.#again) {
      this.#again = false;
      await this.reload();
    }
  }

  /** Stop reading for good. */
  stop(): void {
    clearTimeout(this.#retry);
    this.#again = false;
    this.#running?.abort();
    this.#running = null;
  }

  async #once(running: AbortController): Promise<void> {
    clearTimeout(this.#retry);
    this.loading = true;
    const slow = setTimeout(() => (this.slow = true), 300);
    try {
      const data = await this.#read(running.signal);
      if (running.signal.aborted) return;
      this.data = data;
      this.error = null;
    } catch (error) {
      if (running.signal.aborted) return;
      if (!(error instanceof ApiError)) throw error;
      this.error = error;
      if (error.status !== 404) this.#retry = setTimeout(() => void this.reload(), RETRY_MS);
    } finally {
      clearTimeout(slow);
      this.loading = false;
      this.slow = false;
    }
  }
}

/**
 * A resource tied to a component: read at once, whenever `depends` changes, and stopped with it.
 * A change of `key` forgets the old data first.
 */
export function resource<T>(
  read: (signal: AbortSignal) => Promise<T>,
  depends: () => unknown = () => null,
  key: () => unknown = () => null,
): Resource<T> {
  const made = new Resource(read);
  $effect(() => {
    key();
    return () => {
      made.stop();
      made.data = null;
    };
  });
  $effect(() => {
    key();
    depends();
    void made.reload();
  });
  return made;
}
