/** Who sits here, and the look of this screen: theme and density. */
import { call, configure, get, post } from "./api";
import type { Me } from "./api-types";
import { chosen, speak } from "./language.svelte";

const THEME = "steward.theme";

class Session {
  me = $state.raw<Me | null>(null);
  /** Whether we have asked who sits here. */
  asked = $state(false);
  theme = $state<"day" | "night">(localStorage.getItem(THEME) === "night" ? "night" : "day");
  phone = $state(false);

  async ask(): Promise<void> {
    configure("", () => (this.me = null));
    try {
      this.#take(await get<Me>("/me"));
    } catch {
      this.me = null;
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
    this.me = null;
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

  #take(me: Me): void {
    configure(me.csrf);
    this.me = me;
    if (!chosen() && me.locale) speak(me.locale.startsWith("zh") ? "zh" : "en", false);
  }
}

export const session = new Session();
