/** Starts the console in the page that the API serves. */
import { mount } from "svelte";
import App from "./App.svelte";
import { speak, language } from "./lib/language.svelte";
import { listen } from "./lib/keys.svelte";
import { followLinks } from "./lib/router.svelte";
import { session } from "./lib/session.svelte";
import { sound } from "./lib/sound.svelte";
import "./tokens.css";
import "./app.css";

speak(language(), false);
session.show(session.theme);
session.watchWidth();
listen();
followLinks(document);
sound.armOnGesture();

const target = document.getElementById("app");
if (!target) throw new Error("no #app in the page");
mount(App, { target });
