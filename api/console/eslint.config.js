import js from "@eslint/js";
import svelte from "eslint-plugin-svelte";
import globals from "globals";
import ts from "typescript-eslint";
import svelteConfig from "./svelte.config.js";

export default ts.config(
  { ignores: ["node_modules/", "../static/"] },
  js.configs.recommended,
  ...ts.configs.recommended,
  ...svelte.configs.recommended,
  { languageOptions: { globals: { ...globals.browser, ...globals.node } } },
  {
    files: ["**/*.svelte", "**/*.svelte.ts"],
    languageOptions: { parserOptions: { parser: ts.parser, svelteConfig } },
  },
  {
    rules: {
      complexity: ["error", 12],
      eqeqeq: "error",
      "no-console": "error",
      // Our own router; SvelteKit's helper does not exist here.
      "svelte/no-navigation-without-resolve": "off",
      "svelte/no-inline-styles": "error", // the content security policy forbids them
      "svelte/no-at-html-tags": "error",
    },
  },
);
