/** What is drawn behind and before a trend: band, alarm spans, gaps, limits with their symbols. */
import type uPlot from "uplot";
import type { Priority } from "./api-types";
import { number } from "./format";

export interface Decor {
  /** Least and greatest value of the axis. */
  reach: [number, number];
  band: [number, number] | null;
  /** `letter` stands in the symbol at its left end. */
  limits: { value: number; priority: Priority; letter: string; text: string; decimals: number }[];
  spans: { from: number; to: number; priority: Priority }[];
  gaps: [number, number][];
  /** Named instants: a line with a word. */
  marks: { at: number; text: string }[];
  gapText: (ms: number) => string;
}

export const NO_DECOR: Omit<Decor, "reach" | "gapText"> = { band: null, limits: [], spans: [], gaps: [], marks: [] };

/** The axis that shows the values, the band's nearer parts and the limits, with some room. */
export function reach(values: readonly (number | null)[], band: [number, number] | null, limits: readonly number[]): [number, number] {
  const seen = values.filter((v) => v !== null);
  const near = [...seen, ...limits, ...(seen.length > 0 ? [] : (band ?? []))];
  if (near.length === 0) return [0, 1];
  const [lo, hi] = [Math.min(...near), Math.max(...near)];
  const room = (hi - lo || Math.abs(hi) || 1) * 0.12;
  return [lo - room, hi + room];
}

type Paint = (chart: uPlot, ctx: CanvasRenderingContext2D, style: (name: string) => string) => void;

/** uPlot hooks that read the tokens each time, so that a change of theme needs nothing more. */
export function decorate(node: Element, decor: () => Decor): uPlot.Hooks.Arrays {
  const style = (name: string): string => getComputedStyle(node).getPropertyValue(name).trim();
  const hook = (paint: Paint) => (chart: uPlot): void => {
    const ctx = chart.ctx;
    ctx.save();
    ctx.beginPath();
    ctx.rect(chart.bbox.left, chart.bbox.top, chart.bbox.width, chart.bbox.height);
    ctx.clip();
    paint(chart, ctx, style);
    ctx.restore();
  };
  return {
    drawClear: [hook((chart, ctx, s) => behind(chart, ctx, s, decor()))],
    draw: [hook((chart, ctx, s) => before(chart, ctx, s, decor())), (chart): void => lastDot(chart, chart.ctx, style)],
  };
}

const px = (): number => devicePixelRatio || 1;

function behind(chart: uPlot, ctx: CanvasRenderingContext2D, style: (n: string) => string, decor: Decor): void {
  const { top, height, left, width } = chart.bbox;
  if (decor.band) {
    const [hi, lo] = [chart.valToPos(decor.band[1], "y", true), chart.valToPos(decor.band[0], "y", true)];
    ctx.globalAlpha = 0.35;
    ctx.fillStyle = style("--band");
    ctx.fillRect(left, hi, width, lo - hi);
    ctx.globalAlpha = 1;
  }
  for (const span of decor.spans) {
    const [x, w] = stretch(chart, span.from, span.to);
    ctx.globalAlpha = 0.22;
    ctx.fillStyle = style(`--${span.priority}`);
    ctx.fillRect(x, top, w, height);
    ctx.globalAlpha = 1;
    ctx.fillRect(x, top, w, 5 * px());
    ctx.strokeStyle = style(`--${span.priority}-edge`);
    ctx.lineWidth = 0.75 * px();
    ctx.strokeRect(x, top, w, 5 * px());
  }
  for (const [from, to] of decor.gaps) hatch(chart, ctx, style, from, to);
}

function stretch(chart: uPlot, from: number, to: number): [x: number, width: number] {
  const x = chart.valToPos(from / 1000, "x", true);
  return [x, Math.max(2 * px(), chart.valToPos(to / 1000, "x", true) - x)];
}

function hatch(chart: uPlot, ctx: CanvasRenderingContext2D, style: (n: string) => string, from: number, to: number): void {
  const { top, height } = chart.bbox;
  const [x, w] = stretch(chart, from, to);
  ctx.save();
  ctx.beginPath();
  ctx.rect(x, top, w, height);
  ctx.clip();
  ctx.strokeStyle = style("--hatch-line");
  ctx.globalAlpha = 0.6;
  ctx.lineWidth = px();
  ctx.beginPath();
  for (let d = x - height; d < x + w; d += 6 * px()) {
    ctx.moveTo(d, top + height);
    ctx.lineTo(d + height, top);
  }
  ctx.stroke();
  ctx.restore();
  ctx.save();
  ctx.setLineDash([3 * px(), 2 * px()]);
  ctx.strokeStyle = style("--shape");
  ctx.lineWidth = px();
  ctx.strokeRect(x, top, w, height);
  ctx.restore();
}

function before(chart: uPlot, ctx: CanvasRenderingContext2D, style: (n: string) => string, decor: Decor): void {
  ctx.font = `${11 * px()}px ${style("--font")}`;
  ctx.textBaseline = "alphabetic";
  limits(chart, ctx, style, decor);
  marks(chart, ctx, style, decor);
  gapWords(chart, ctx, style, decor);
}

function limits(chart: uPlot, ctx: CanvasRenderingContext2D, style: (n: string) => string, decor: Decor): void {
  const { left, width } = chart.bbox;
  for (const limit of decor.limits) {
    const y = chart.valToPos(limit.value, "y", true);
    ctx.setLineDash([5 * px(), 3 * px()]);
    ctx.strokeStyle = style("--plot-limit");
    ctx.lineWidth = px();
    line(ctx, left, y, left + width, y);
    ctx.setLineDash([]);
    const above = y - 17 * px() > chart.bbox.top;
    symbol(ctx, limit, left + 5 * px(), y + (above ? -15 : 3) * px(), 12 * px(), style);
    ctx.fillStyle = style("--ink-3");
    ctx.textAlign = "left";
    ctx.fillText(`${number(limit.value, limit.decimals)} ${limit.text}`, left + 22 * px(), y + (above ? -5 : 13) * px());
  }
}

function marks(chart: uPlot, ctx: CanvasRenderingContext2D, style: (n: string) => string, decor: Decor): void {
  const { top, height, left, width } = chart.bbox;
  for (const [i, mark] of decor.marks.entries()) {
    const x = chart.valToPos(mark.at / 1000, "x", true);
    ctx.strokeStyle = style("--ink");
    ctx.lineWidth = 1.5 * px();
    line(ctx, x, top, x, top + height);
    ctx.fillStyle = style("--ink");
    const right = x > left + width * 0.55;
    ctx.textAlign = right ? "right" : "left";
    ctx.fillText(mark.text, x + (right ? -5 : 5) * px(), top + (14 + i * 14) * px());
  }
}

function gapWords(chart: uPlot, ctx: CanvasRenderingContext2D, style: (n: string) => string, decor: Decor): void {
  const { top, height, left, width } = chart.bbox;
  const widest = [...decor.gaps].sort((a, b) => b[1] - b[0] - (a[1] - a[0]))[0];
  if (!widest) return;
  const [x, w] = stretch(chart, ...widest);
  const text = decor.gapText(widest[1] - widest[0]);
  const need = ctx.measureText(text).width;
  ctx.fillStyle = style("--ink-3");
  ctx.textAlign = "left";
  const at = x + w + 6 * px() + need < left + width ? x + w + 6 * px() : x - need - 6 * px();
  if (at < left) {
    ctx.fillStyle = style("--panel");
    ctx.fillRect(x + w / 2 - need / 2 - 4 * px(), top + height * 0.68, need + 8 * px(), 16 * px());
    ctx.fillStyle = style("--ink-2");
    ctx.fillText(text, x + w / 2 - need / 2, top + height * 0.68 + 12 * px());
    return;
  }
  ctx.fillText(text, at, top + height * 0.75);
}

function line(ctx: CanvasRenderingContext2D, x1: number, y1: number, x2: number, y2: number): void {
  ctx.beginPath();
  ctx.moveTo(x1, y1);
  ctx.lineTo(x2, y2);
  ctx.stroke();
}

const CORNERS: Record<Exclude<Priority, "low">, [number, number][]> = {
  critical: [[0, 0], [1, 0], [1, 1], [0, 1]],
  high: [[0.5, 0], [1, 1], [0, 1]],
  medium: [[0.5, 0], [1, 0.5], [0.5, 1], [0, 0.5]],
};

/** A dot where the line ends: the newest value. */
function lastDot(chart: uPlot, ctx: CanvasRenderingContext2D, style: (n: string) => string): void {
  const [time, value] = chart.data;
  const at = (value ?? []).findLastIndex((v) => v != null);
  const [t, v] = [time[at], value?.[at]];
  if (t === undefined || v == null) return;
  ctx.beginPath();
  ctx.arc(chart.valToPos(t, "x", true), chart.valToPos(v, "y", true), 3 * px(), 0, 2 * Math.PI);
  ctx.fillStyle = style("--plot-1");
  ctx.fill();
}

interface Mark {
  priority: Priority;
  letter: string;
}

function symbol(ctx: CanvasRenderingContext2D, { priority, letter }: Mark, x: number, y: number, size: number, style: (n: string) => string): void {
  ctx.beginPath();
  if (priority === "low") ctx.arc(x + size / 2, y + size / 2, size / 2, 0, 2 * Math.PI);
  else {
    CORNERS[priority].forEach(([dx, dy], i) => ctx[i === 0 ? "moveTo" : "lineTo"](x + dx * size, y + dy * size));
    ctx.closePath();
  }
  ctx.fillStyle = style("--panel");
  ctx.fill();
  ctx.strokeStyle = style(`--${priority}-ink`);
  ctx.lineWidth = 1.25 * px();
  ctx.stroke();
  const font = ctx.font;
  ctx.font = `600 ${Math.round(size * (letter.length > 1 ? 0.5 : 0.6))}px ${style("--font")}`;
  ctx.textAlign = "center";
  ctx.fillStyle = style(`--${priority}-ink`);
  ctx.fillText(letter, x + size / 2, y + size * (priority === "high" ? 0.86 : 0.72));
  ctx.font = font;
}
