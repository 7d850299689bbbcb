/** The site that is shown. */
import type { Site } from "./api-types";
import { Plant } from "./plant";

let current = $state.raw<Plant | null>(null);

export function plant(): Plant | null {
  return current;
}

export function setPlant(site: Site | null): void {
  current = site ? new Plant(site) : null;
}
