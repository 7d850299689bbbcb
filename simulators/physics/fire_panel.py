"""A fire panel: zones with detectors, a battery, and lamps that say what is the matter."""

from collections.abc import Sequence

from simulators.physics.equipment import Build, Imposed, Outputs, first

LAMPS = ("disabled", "supervisory", "test", "mains_fault", "battery_fault", "manual")


class FirePanel:
    """A panel. `fire` and `zone_fault` take a `zone` (default 1); each lamp can be imposed by its name."""

    kinds = ("fire", "zone_fault", *LAMPS)

    def __init__(self, build: Build) -> None:
        self._rng = build.rng
        self._zones = [name for name in build.points if name.startswith("zone_")]
        loop = build.points.get("loop_current")
        self._loop_scale = 1000.0 if loop and loop.unit == "mA" else 1.0

    def update(self, now_ms: int, imposed: Sequence[Imposed]) -> Outputs:
        burning = {f"zone_{_zone(one)}_fire" for one in imposed if one.kind == "fire"}
        faulty = {f"zone_{_zone(one)}_fault" for one in imposed if one.kind == "zone_fault"}
        shown: Outputs = {zone: float(zone in burning or zone in faulty) for zone in self._zones}
        on_battery = first(imposed, "mains_fault") is not None
        flat = first(imposed, "battery_fault") is not None
        shown |= {lamp: float(first(imposed, lamp) is not None) for lamp in LAMPS}
        noise = self._rng.normal(0.0, 1.0, 2)
        battery = 21.0 if flat else 25.6 if on_battery else 27.4
        shown |= {
            "service": "test" if shown["test"] else "normal",
            "mode": "manual" if shown["manual"] else "automatic",
            "fire": float(bool(burning)),
            "fault": float(bool(faulty) or on_battery or flat),
            "battery_voltage": battery + 0.03 * float(noise[0]),
            "loop_current": self._loop_scale
            * (0.118 + 0.025 * len(burning) + 0.0015 * float(noise[1])),
        }
        return shown


def _zone(one: Imposed) -> int:
    return round(one.number("zone", 1))
