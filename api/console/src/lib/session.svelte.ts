/** Who sits here, and the look of this screen: theme and density. */
import { call, configure, get, post } from "./api";
import type { Me } from "./api-types";
import { chosen, speak } from "./language.svelte";

/** Set while a session may exist: asking without one would only be refused. */
const SIGNED_IN = "steward.signed-in";
const THEME = "steward.theme";

class Session {
  me = $state.raw<Me | null>(null);
  /** Whether we have asked who sits here. */
  asked = $state(false);
  theme = $state<"day" | "night">(localStorage.getItem(THEME) === "night" ? "night" : "day");
  phone = $state(false);

  async ask(): Promise<void> {
    configure("", () => this.#forget());
    if (!localStorage.getItem(SIGNED_IN)) {
      this.asked = true;
      return;
    }
    try {
      this.#take(await get<Me>("/me"));
    } catch {
      this.me = null; // not signed in any more, or nobody answers: the sign-in page says which
    }
    this.asked = true;
  }

  async signIn(name: string, password: string): Promise<void> {
    await call("/session", { method: "POST", body: { name, password } });
    this.#take(await get<Me>("/me"));
  }

  async setUp(link: string, name: string, password: string): Promise<void> {
    await post("/setup", { link, name, password });
    await this.signIn(name, password);
  }

  async signOut(): Promise<void> {
    await call("/session", { method: "DELETE" });
    this.#forget();
  }

  /** Whether one of these roles is ours; manager, supervisor and admin may everything. */
  may(...roles: string[]): boolean {
    const mine = this.me?.roles ?? [];
    return mine.some((r) => ["admin", "manager", "supervisor", ...roles].includes(r));
  }

  show(theme: "day" | "night"): void {
    this.theme = theme;
    localStorage.setItem(THEME, theme);
    document.documentElement.dataset.theme = theme;
  }

  /** Follow the width of the screen: below 900 px the layout of a phone. */
  watchWidth(): void {
    const narrow = matchMedia("(max-width: 899px)");
    const take = (): void => {
      this.phone = narrow.matches;
      document.documentElement.dataset.density = narrow.matches ? "phone" : "desk";
    };
    narrow.addEventListener("change", take);
    take();
  }

  #forget(): void {
    localStorage.removeItem(SIGNED_IN);
    this.me = null;
  }

  #take(me: Me): void {
    localStorage.setItem(SIGNED_IN, "1");
    configure(me.csrf);
    this.me = me;
    if (!chosen() && me.locale) speak(me.locale.startsWith("zh") ? "zh" : "en", false);
  }
}

export const session = new Session();
