"""`steward report trends`: what is said of every watched point of every site of the running server."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from commands.asking import ask
from config.settings import Settings

DAY_S: Final = 86_400
REFUSALS: Final[Mapping[str, str]] = {
    "after_reset": "{days} whole days since it was serviced or changed, {needed} needed",
    "too_short": "{days} days of readings, {needed} needed",
    "too_few": "readings on {days} days only",
    "stale": "no reading for three days",
    "gap": "no readings for half of the time",
    "not_significant": "no trend in {days} days",
}
"""Why no slope is given, in words."""


def trends_report(settings: Settings) -> list[dict[str, Any]]:
    """Of each site: its id, and its watched points as HTTP says them. Raises `ServerAway`."""
    return [
        {"site": row["id"], "time_zone": row["time_zone"], **ask(settings, f"sites/{row['id']}/trends")}
        for row in ask(settings, "sites")
    ]  # fmt: skip


def lines(report: list[dict[str, Any]]) -> Iterator[str]:
    """One line for each point and state."""
    for site in report:
        for item in site["items"]:
            yield from (f"{site['site']}/{item['point']}{words}" for words in _of_point(site, item))


def _of_point(site: Mapping[str, Any], item: Mapping[str, Any]) -> Iterator[str]:
    if not item["states"]:
        yield ": no readings in a steady state yet" if item["at"] else ": not computed yet"
    for said in item["states"]:
        state = f" ({said['state']['en']})" if said["state"] else ""
        work = "; plan work" if item["suggested"] and said["reached"] else ""
        yield f"{state}: {_creep(site, item, said)}{work}{_usual(site, item, said)}"


def _usual(site: Mapping[str, Any], item: Mapping[str, Any], said: Mapping[str, Any]) -> str:
    """What is usual, and since when it is another; empty until it is learnt."""
    if said["mean"] is None:
        return f"; {said['learnt']} of {site['learn_rows']} readings learnt"
    usual = f"; usual: {said['mean']:.3g} ± {said['sigma']:.2g} {item['unit']}".rstrip()
    if (change := said["change"]) is None:
        return usual
    since = datetime.fromisoformat(change["since"]).astimezone(ZoneInfo(site["time_zone"]))
    way = "higher" if change["up"] else "lower"
    return f"{usual}; {way} than usual since {since:%Y-%m-%d %H:%M} ({site['time_zone']})"


def _creep(site: Mapping[str, Any], item: Mapping[str, Any], said: Mapping[str, Any]) -> str:
    if said["slope"] is None:
        words = REFUSALS[said["refusal"]]
        return words.format(days=said["days"], needed=site["days_needed"])
    weekly = 7 * said["slope"]["per_day"]
    verb = "rises" if weekly > 0 else "falls"
    creep = f"{verb} by {abs(weekly):.3g} {item['unit']} a week".replace("  ", " ")
    reached = said["reached"]
    if reached is None:
        return f"{creep}; no limit ahead"
    earliest = _days(site["now"], reached["earliest"])
    if reached["latest"] is None:
        return f"{creep}; reaches {reached['limit']:g} in {earliest} days at the earliest"
    latest = _days(site["now"], reached["latest"])
    return f"{creep}; reaches {reached['limit']:g} in {earliest} to {latest} days"


def _days(now: str, then: str) -> int:
    """Whole days ahead, 0 for what is past."""
    between = datetime.fromisoformat(then) - datetime.fromisoformat(now)
    return max(0, round(between.total_seconds() / DAY_S))
