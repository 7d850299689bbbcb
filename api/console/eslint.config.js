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
      eqeqeq: ["error", "always", { null: "ignore" }],
      "no-console": "error",
      // Our own router; SvelteKit's helper does not exist here.
      "svelte/no-navigation-without-resolve": "off",
      // Style directives set element.style, which the content security policy allows; style attributes
      // in the markup are found by tests/catalogue.test.ts.
      "svelte/no-inline-styles": "off",
      "svelte/no-useless-children-snippet": "off", // the snippet of Load takes the data, needed or not
      "svelte/prefer-svelte-reactivity": "off", // sets and dates inside one computation are no state
      "svelte/no-useless-mustaches": "off", // {" "} keeps a space that would be dropped
      "svelte/no-at-html-tags": "error",
    },
  },
  { files: ["dev/**"], rules: { complexity: "off" } }, // one made-up moment, told in one go
);
