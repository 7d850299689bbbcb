/** Which machines the overview can draw from what the plant really has; what is not there is left out. */
import type { Asset, Point } from "./api-types";
import type { Plant } from "./plant";

export interface Pump {
  asset: Asset;
  state: Point | null;
  /** Speed, current, temperature, vibration: those that exist, in this order. */
  measured: Point[];
}

export interface BoosterSet {
  asset: Asset;
  outlet: Point;
  inlet: Point | null;
  flow: Point | null;
  level: Point | null;
  pumps: Pump[];
}

export interface Elevator {
  asset: Asset;
  floor: Point;
  direction: Point | null;
  door: Point | null;
}

/** One small cell: a camera, or a zone of a fire panel that is a point of it. */
export interface CellItem {
  id: string;
  asset: Asset;
  /** The points the cell stands for; none where it stands for the asset and its parts. */
  points: Point[];
  /** A number that names it among its like, "" where only the asset's name does. */
  number: string;
  area: string;
}

export interface Tiles {
  boosters: BoosterSet[];
  elevators: Elevator[];
  zones: CellItem[];
  cameras: CellItem[];
}

export const NONE: Tiles = { boosters: [], elevators: [], zones: [], cameras: [] };

const last = (p: Point): string => p.id.split("/").at(-1) ?? p.id;
const isA = (asset: Asset, what: RegExp): boolean => what.test(asset.class.toLowerCase());
const pick = (points: Point[], id: RegExp, unit?: RegExp): Point | null =>
  points.find((p) => id.test(last(p)) && (!unit || unit.test(p.unit))) ?? null;

const ZONE = /^zone_(\d+)/;
const PRESSURE = /^(bar|kPa|MPa|mbar|Pa)$/;

function pump(plant: Plant, asset: Asset): Pump | null {
  const points = plant.pointsOf(asset.id);
  const state = pick(points, /^(state|status|running|run)$/);
  const measured = [/^Hz$/, /^A$/, /^°C$/, /^mm\/s$/]
    .map((unit) => points.find((p) => unit.test(p.unit)))
    .filter((p) => p !== undefined);
  return state || measured.length > 0 ? { asset, state, measured } : null;
}

function booster(plant: Plant, asset: Asset): BoosterSet | null {
  const points = plant.pointsOf(asset.id);
  const outlet = pick(points, /discharge|outlet/, PRESSURE);
  const pumps = plant.partsOf(asset.id).map((part) => pump(plant, part)).filter((p) => p !== null);
  if (!outlet || pumps.length === 0) return null;
  return {
    asset,
    outlet,
    pumps,
    inlet: pick(points, /suction|inlet|supply/, PRESSURE),
    flow: pick(points, /flow/),
    level: pick(points, /level/),
  };
}

function elevator(plant: Plant, asset: Asset): Elevator | null {
  const points = plant.pointsOf(asset.id);
  const floor = pick(points, /^(floor|position|car_position|current_floor|car_floor)$/);
  if (!floor) return null;
  return { asset, floor, direction: pick(points, /direction/), door: pick(points, /door/) };
}

function zones(plant: Plant, asset: Asset): CellItem[] {
  const byNumber = new Map<string, Point[]>();
  for (const point of plant.pointsOf(asset.id)) {
    const zone = ZONE.exec(last(point))?.[1];
    if (zone) byNumber.set(zone, [...(byNumber.get(zone) ?? []), point]);
  }
  return [...byNumber].map(([number, points]) => ({ id: `${asset.id}#${number}`, asset, points, number, area: plant.area(asset.id) }));
}

/** Everything drawable of a plant. */
export function tiles(plant: Plant | null): Tiles {
  if (!plant) return NONE;
  const all = plant.site.assets;
  const cameras = all.filter((a) => isA(a, /camera/));
  return {
    boosters: all.filter((a) => isA(a, /booster/)).map((a) => booster(plant, a)).filter((b) => b !== null),
    elevators: all.filter((a) => isA(a, /elevator|lift/)).map((a) => elevator(plant, a)).filter((e) => e !== null),
    zones: all.filter((a) => isA(a, /fire/)).flatMap((a) => zones(plant, a)),
    cameras: cameras.map((asset) => ({ id: asset.id, asset, points: [], number: "", area: plant.area(asset.id) })),
  };
}

/** Short name of one of several: the letter and number in its name, e.g. `Elevator A1`, `A1 电梯` → `A1`. */
export function short(name: string, id: string): string {
  return /(?<!\w)(?:[A-Z]\d*|\d+)(?!\w)/.exec(name)?.[0] ?? id.split("/").at(-1)?.slice(-4) ?? name;
}
