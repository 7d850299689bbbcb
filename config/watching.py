"""What profiles ask to watch, checked; and the point that a watch becomes."""

from config.checking import Context
from config.plant import SCORE, Device, Point, PointSpec
from config.profile import JsonPath, TrendSpec, WatchSpec

SILENCE_ROWS = 3
"""So many rows that did not come are silence."""
SILENCE_S_MIN = 60.0


def trend_of(context: Context, key: str) -> TrendSpec | None:
    """How a point is watched, if it is: a number, by a state of the same part or of the whole."""
    text = context.file.points[key]
    if text.trend is None:
        return None
    if text.kind != "measurement":
        context.wrong(f"{key}.trend", f"is of a {text.kind}: a trend needs a measurement")
    by, part = text.trend.by, key.rpartition(".")[0]
    states = [k for k, other in context.file.points.items() if other.kind in ("state", "flag")]
    fit = [state for state in states if state.rpartition(".")[0] in ("", part)]
    if by is not None and by not in fit:
        context.mistakes.unknown(context.shown, f"points.{key}.trend.by", by, fit)
    return TrendSpec(by or "", text.trend.horizon)


def watch_of(context: Context) -> WatchSpec | None:
    """Which points are judged together: numbers of the whole device, none of which overtakes the others."""
    text = context.file.watch
    if text is None:
        return None
    points = context.file.points
    fit = [k for k, p in points.items() if p.kind == "measurement" and p.lane == "data" and "." not in k]  # fmt: skip
    for name in text.points:
        if name not in fit:
            context.mistakes.unknown(context.shown, "watch.points", name, fit)
    if len(set(text.points)) < len(text.points):
        context.mistakes.add(context.shown, "watch.points", "names a point twice")
    if SCORE in points:
        context.mistakes.add(context.shown, f"points.{SCORE}", "is the point that [watch] makes")
    return WatchSpec(tuple(text.points), text.every, text.learn)


def score_point(device: Device, watch: WatchSpec) -> Point:
    """The point of a watched device that says how unusual its points are together."""
    spec = PointSpec(
        name={"en": "Unusual together", "zh": "综合异常度"}, kind="measurement", unit="σ",
        source=JsonPath(topic="", path=()), decimals=1, period_s=watch.every_s,
        longest_silence_s=max(SILENCE_S_MIN, SILENCE_ROWS * watch.every_s), derived=True,
    )  # fmt: skip
    return Point(f"{device.asset}/{SCORE}", device.asset, "", spec)
