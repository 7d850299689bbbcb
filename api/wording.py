"""Sentences that the API makes itself, in English and 中文."""

from config.rules import Level, Rule
from config.standards import Fixed, Interval, MaxGap, Meter, PerPeriod

_UNITS = {
    "day": ("day", "天"), "week": ("week", "周"), "half_month": ("half-month", "半个月"),
    "month": ("month", "月"), "quarter": ("quarter", "季度"), "half_year": ("half-year", "半年"),
    "year": ("year", "年"),
}  # fmt: skip
_TIMES = {1: "once", 2: "twice"}


def every_text(interval: Interval) -> dict[str, str]:
    """How often, in words."""
    match interval:
        case Fixed():
            return _fixed(interval)
        case MaxGap():
            return {
                "en": f"at most {interval.days} days apart",
                "zh": f"间隔不超过 {interval.days} 天",
            }
        case PerPeriod():
            return _per_period(interval)
        case Meter():
            return {"en": f"every {interval.every:g} h", "zh": f"每 {interval.every:g} 小时"}


def _fixed(interval: Fixed) -> dict[str, str]:
    n, unit = interval.period.n, interval.period.unit
    english, chinese = _UNITS[unit]
    if n == 1:
        return {"en": f"every {english}", "zh": f"每{_counted(chinese)}一次"}
    return {"en": f"every {n} {english}s", "zh": f"每 {n} {_counted(chinese)}一次"}


def _counted(chinese: str) -> str:
    return "个月" if chinese == "月" else chinese


def _per_period(interval: PerPeriod) -> dict[str, str]:
    english, chinese = _UNITS[interval.unit]
    often = _TIMES.get(interval.times, f"{interval.times} times")
    return {"en": f"{often} each {english}", "zh": f"每{chinese} {interval.times} 次"}


def why_text(rule: Rule, unit: str) -> str:
    """What makes the rule abnormal."""
    delay = f" for {rule.on_delay_s:g} s" if rule.on_delay_s else ""
    if rule.kind == "limit":
        return " or ".join(_level(level, unit) for level in rule.levels) + delay
    if rule.kind == "state":
        return f"state {', '.join(str(s) for s in rule.abnormal_states)}{delay}"
    return f"no usable reading{delay}"


def _level(level: Level, unit: str) -> str:
    side = "above" if level.side == "high" else "below"
    return f"{side} {level.limit:g} {unit}".rstrip()
