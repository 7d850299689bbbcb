"""Reads a plant's files whole: every mistake at once, or one Plant that everything else can trust."""

import hashlib
import re
import zoneinfo
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from config.cameras import check_camera, make_recorder
from config.checking import frozen_mistake, refused_keys, silence_mistake, silence_s
from config.deriving import derived_points
from config.duties import make_plans
from config.files import (
    AlarmsFile,
    AssetText,
    DeviceText,
    LineText,
    PlantFile,
    ProfileFile,
    StandardFile,
    SystemsFile,
    UnitsFile,
)
from config.json_paths import at_site
from config.lines import make_line, refused_of_line
from config.links import ROWS, SERVER_ROWS, link_assets, link_points
from config.mistakes import ConfigErrors, Mistake, Mistakes
from config.plant import (
    MODBUS_LINES,
    STEWARD,
    Asset,
    Device,
    Line,
    LineKind,
    Plant,
    Point,
    PointSpec,
    Secret,
    System,
)
from config.profile import Profile, ProfilePoint
from config.profiling import make_profile
from config.reading import read_file
from config.rules import Rule
from config.ruling import check_rule, expand_rule, targets
from config.standards import Plan
from config.watching import score_point

LIBRARY = Path(__file__).parent
"""Where the profiles and standards that come with Steward stand."""
POLL_S = {"fast": 1.0, "normal": 10.0, "slow": 60.0, "hourly": 3600.0}
LINE_KINDS: Mapping[str, Sequence[LineKind]] = {
    "modbus": MODBUS_LINES, "mqtt": ("mqtt",), "camera": ("rtsp",), "gb26875": ("fire",),
}  # fmt: skip
"""Protocol of a profile to the kinds of line that carry it."""
FIRE_UNIT_MAX = 2**48 - 1
UNITS_TOO: Mapping[LineKind, str] = {"tcp": ", 0 or 255", "tls": ", 0 or 255"}
"""Kind of line to the units beside 1..247."""

__all__ = ["ConfigErrors", "Mistake", "load_plant", "load_profile"]


@dataclass(slots=True)
class _Files:
    """Finds and reads the files of one plant; its own folder is looked in before the library."""

    folder: Path
    library: Path
    mistakes: Mistakes
    units: Mapping[str, str] = field(default_factory=dict)
    systems: Mapping[str, System] = field(default_factory=dict)
    texts: dict[str, ProfileFile] = field(default_factory=dict)

    def shown(self, path: Path) -> str:
        for root in (self.folder.parent.parent, self.library):
            if path.is_relative_to(root):
                return path.relative_to(root).as_posix()
        return path.as_posix()

    def find(self, kind: str, name: str) -> Path | None:
        for root in (self.folder, self.library):
            path = root / kind / f"{name}.toml"
            if path.is_file():
                return path
        return None

    def shown_profile(self, name: str) -> str:
        path = self.find("profiles", name)
        return self.shown(path) if path else f"profiles/{name}.toml"

    def hash(self, kind: str, name: str) -> str:
        """Of the text of a file; empty if there is none, or none that can be read (a mistake already)."""
        path = self.find(kind, name)
        try:
            return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path else ""
        except OSError:
            return ""

    def names(self, kind: str) -> list[str]:
        return [
            p.stem for root in (self.folder, self.library) for p in (root / kind).glob("*.toml")
        ]

    def read_common(self) -> None:
        units = read_file(self.library / "units.toml", UnitsFile, "units.toml", self.mistakes)
        systems = read_file(
            self.library / "systems.toml", SystemsFile, "systems.toml", self.mistakes
        )
        self.units = units.units if units else {}
        rows = systems.systems.items() if systems else ()
        self.systems = {key: System(key, names.table()) for key, names in rows}

    def profile(self, name: str) -> Profile | None:
        path = self.find("profiles", name)
        if path is None:
            return None
        text = read_file(path, ProfileFile, self.shown(path), self.mistakes, refused_keys)
        if text is None:
            return None
        if text.profile != name:
            self.mistakes.add(
                self.shown(path), "profile", f"{text.profile!r} is not the file's name"
            )
        self.texts[name] = text
        return make_profile(text, self.shown(path), self.units, self.mistakes)


def load_profile(path: Path) -> Profile:
    """One device profile by its file.

    Raises:
        ConfigErrors: every mistake in it.
    """
    mistakes = Mistakes()
    files = _Files(path.parent.parent, LIBRARY, mistakes)
    files.read_common()
    text = read_file(path, ProfileFile, path.name, mistakes, refused_keys)
    profile = make_profile(text, path.name, files.units, mistakes) if text else None
    mistakes.raise_if_any()
    if profile is None:
        raise AssertionError("a file without mistakes gives a profile")
    return profile


def load_plant(
    folder: Path, *, library: Path = LIBRARY, endpoints: Mapping[str, str] | None = None
) -> Plant:
    """The plant of a folder (plant.toml, alarms.toml, own profiles/ and standards/), expanded.

    `endpoints` puts lines elsewhere, line id to "host:port" (simulators listen on free ports).

    Raises:
        ConfigErrors: every mistake of all its files.
    """
    folder = folder.resolve()
    mistakes = Mistakes()
    files = _Files(folder, library, mistakes)
    files.read_common()
    path = folder / "plant.toml"
    text = read_file(path, PlantFile, files.shown(path), mistakes, refused_of_line)
    if text is None:
        mistakes.raise_if_any()
        raise AssertionError("a missing plant file is a mistake")
    whole = _hash(folder, files, mistakes)
    plant = _Builder(files, text, files.shown(path), endpoints or {}).build(whole)
    mistakes.raise_if_any()
    return plant


def _hash(folder: Path, files: "_Files", mistakes: Mistakes) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*.toml") if path.is_file()):
        try:
            text = path.read_bytes()
        except OSError as error:
            mistakes.add(files.shown(path), "", f"cannot be read: {error.strerror}")
            continue
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + text)
    return digest.hexdigest()[:16]


@dataclass(slots=True)
class _Builder:
    files: _Files
    text: PlantFile
    shown: str
    endpoints: Mapping[str, str]
    profiles: dict[str, Profile] = field(default_factory=dict)
    unsound: set[str] = field(default_factory=set)
    assets: dict[str, Asset] = field(default_factory=dict)
    points: dict[str, Point] = field(default_factory=dict)
    specs: dict[str, Sequence[PointSpec]] = field(default_factory=dict)
    """By profile, in the order of its points."""

    @property
    def mistakes(self) -> Mistakes:
        return self.files.mistakes

    def wrong(self, path: str, message: str) -> None:
        self.mistakes.add(self.shown, path, message)

    def build(self, hash: str) -> Plant:
        text = self.text
        self._check_plain()
        lines = {key: self._line(key, line) for key, line in text.lines.items()}
        self._check_agents(lines.values())
        self._check_shared_ports(lines.values())
        self._own_assets()
        devices = {key: self._device(key, device, lines) for key, device in text.devices.items()}
        self._check_shared_units()
        self._add_links(lines, devices)
        rules = self._rules()
        plans = self._plans()
        used = {asset.system for asset in self.assets.values()}
        return Plant(
            site=text.site, name=text.name.table(), time_zone=text.time_zone,
            calendar=text.calendar, seasons=dict(text.seasons),
            systems={k: s for k, s in self.files.systems.items() if k in used},
            locations={k: n.table() for k, n in text.locations.items()},
            agents=tuple(sorted({line.agent for line in lines.values()})),
            lines=lines, devices=devices, profiles=self.profiles, assets=self.assets,
            points=self.points, rules=rules, plans=plans, poll_classes=POLL_S | text.poll,
            hash=hash, profile_hashes={p: self.files.hash("profiles", p) for p in self.profiles},
        )  # fmt: skip

    def _check_plain(self) -> None:
        if self.text.time_zone not in zoneinfo.available_timezones():
            self.wrong("time_zone", f"{self.text.time_zone!r} is no IANA zone, e.g. Asia/Shanghai")
        for path in self.text.locations:
            if not re.fullmatch(r"[a-z0-9-]+(/[a-z0-9-]+)*", path):
                self.wrong("locations", f"{path!r} is not of the form building/floor/room")

    def _line(self, key: str, line: LineText) -> Line:
        return make_line(key, line, self.endpoints.get(key), self.files.folder, self._wrong_line)

    def _wrong_line(self, path: str, message: str) -> None:
        self.wrong(f"lines.{path}", message)

    def _own_assets(self) -> None:
        for key, asset in self.text.assets.items():
            if asset.system not in self.files.systems:
                self.mistakes.unknown(
                    self.shown, f"assets.{key}.system", asset.system, list(self.files.systems)
                )
            if asset.location and asset.location not in self.text.locations:
                self.mistakes.unknown(
                    self.shown, f"assets.{key}.location", asset.location, list(self.text.locations)
                )
            self._check_supply(key, asset)
            self.assets[key] = self._asset(key, asset)

    def _check_supply(self, key: str, asset: AssetText) -> None:
        """What an asset serves and what it is fed by must be there, and nothing feeds itself."""
        for place in asset.serves:
            if place not in self.text.locations:
                self.mistakes.unknown(
                    self.shown, f"assets.{key}.serves", place, list(self.text.locations)
                )
        if asset.fed_by is not None and asset.fed_by not in self.text.assets:
            self.mistakes.unknown(
                self.shown, f"assets.{key}.fed_by", asset.fed_by, list(self.text.assets)
            )
        if self._feeds_itself(key):
            self.wrong(f"assets.{key}.fed_by", f"{asset.fed_by} is in the end fed by {key}")

    def _feeds_itself(self, key: str) -> bool:
        seen: set[str] = set()
        at: str | None = key
        while at in self.text.assets and at not in seen:
            seen.add(at)
            at = self.text.assets[at].fed_by
        return at == key

    def _asset(self, key: str, asset: AssetText) -> Asset:
        parent = key.rpartition("/")[0]
        if parent and parent not in self.text.assets:
            self.mistakes.unknown(self.shown, f"assets.{key}", parent, list(self.text.assets))
        return Asset(
            id=key, name=asset.name.table(), system=asset.system, location=asset.location,
            asset_class=asset.class_ or "", parent=parent, in_service=asset.in_service,
        )  # fmt: skip

    def _device(self, key: str, text: DeviceText, lines: Mapping[str, Line]) -> Device:
        device = Device(
            id=key, profile=text.profile, line=text.line, asset=text.asset, unit=str(text.unit),
            path=text.path, user=text.user,
            secret=Secret(text.password.secret) if text.password else None,
            http_port=text.http_port or 0, recorder=make_recorder(text.recorder), view=text.view,
            learnt=text.learnt,
        )  # fmt: skip
        profile = self._profile_of(key, text)
        line = lines.get(text.line)
        if line is None:
            self.mistakes.unknown(self.shown, f"devices.{key}.line", text.line, list(lines))
        if text.asset not in self.assets:
            self.mistakes.unknown(self.shown, f"devices.{key}.asset", text.asset, list(self.assets))
        if line is not None:
            self._check_unit(key, text, line)
        if profile is None or line is None or text.asset not in self.assets:
            return device
        self._check_line(key, profile, line)
        check_camera(key, text, profile, line, self.wrong)
        self._add_parts(device, profile)
        for row, spec in zip(profile.points, self._specs_of(device.profile), strict=True):
            self._add_point(key, device, row, spec)
        if profile.watch is not None:
            score = score_point(device, profile.watch)
            self.points[score.id] = score
        self._add_derived(device)
        return device

    def _profile_of(self, key: str, text: DeviceText) -> Profile | None:
        if text.profile not in self.profiles and text.profile not in self.unsound:
            if self.files.find("profiles", text.profile) is None:
                names = self.files.names("profiles")
                self.mistakes.unknown(self.shown, f"devices.{key}.profile", text.profile, names)
                return None
            profile = self.files.profile(text.profile)
            if profile is None:
                self.unsound.add(text.profile)
                return None
            self.profiles[text.profile] = profile
        return self.profiles.get(text.profile)

    def _check_line(self, key: str, profile: Profile, line: Line) -> None:
        if (wanted := LINE_KINDS.get(profile.protocol)) is None:
            if line.reader != profile.protocol:
                self.wrong(f"devices.{key}.line", f"{line.id} is {line.reader or line.kind}; {profile.id} needs reader = {profile.protocol!r}")  # fmt: skip
        elif line.kind not in wanted:
            self.wrong(
                f"devices.{key}.line",
                f"{line.id} is {line.kind}; {profile.id} needs {' or '.join(wanted)}",
            )

    def _check_unit(self, key: str, text: DeviceText, line: Line) -> None:
        unit = text.unit
        if line.kind in MODBUS_LINES and unit not in units_of(line.kind):
            allowed = f"in 1..247{UNITS_TOO.get(line.kind, '')}"
            of_text = f"{unit!r} is a text in quotes, not a whole number {allowed}" if unit else f"is missing: the Modbus unit, a whole number {allowed}"  # fmt: skip
            self.wrong(f"devices.{key}.unit", of_text if isinstance(unit, str) else f"{unit} is not {allowed}")  # fmt: skip
        if line.kind == "mqtt" and not re.fullmatch(r"[A-Za-z0-9_.:-]+", str(unit)):
            self.wrong(f"devices.{key}.unit", f"{unit!r} is not a name for a topic")
        if line.kind == "fire" and not (isinstance(unit, int) and 0 <= unit <= FIRE_UNIT_MAX):
            self.wrong(f"devices.{key}.unit", f"{unit!r} is not in 0..{FIRE_UNIT_MAX}: the six bytes of its source address as one number")  # fmt: skip

    def _check_agents(self, lines: Iterable[Line]) -> None:
        for line in lines:
            if line.agent == STEWARD:
                self.wrong(f"lines.{line.id}.agent", f"{STEWARD!r} says what is derived here; allowed: any other")  # fmt: skip

    def _check_shared_ports(self, lines: Iterable[Line]) -> None:
        """Two lines on one serial port, or of one agent on one socket, take each other's answers."""
        seen: dict[tuple[str, ...], str] = {}
        for line in lines:
            own = _port_of(line)
            if own and own in seen:
                self.wrong(f"lines.{line.id}.{line.kind}", f"is {seen[own]}'s too: what shares a port is one line with several devices")  # fmt: skip
            seen.setdefault(own, line.id)

    def _check_shared_units(self) -> None:
        seen: dict[tuple[str, str], str] = {}
        for key, device in self.text.devices.items():
            place = (device.line, str(device.unit))
            if place in seen and device.unit != "":
                self.wrong(
                    f"devices.{key}.unit", f"{device.unit} on {device.line} is {seen[place]}'s"
                )
            seen[place] = key

    def _add_parts(self, device: Device, profile: Profile) -> None:
        whole = self.assets[device.asset]
        self.assets[device.asset] = _with(
            whole, device.id, whole.asset_class or profile.asset_class
        )
        for part, names in profile.parts.items():
            id = f"{device.asset}/{part}"
            if id not in self.assets:
                self.assets[id] = Asset(
                    id=id, name=names, system=whole.system, location=whole.location,
                    parent=device.asset, in_service=whole.in_service,
                )  # fmt: skip
            part_class = self.assets[id].asset_class or profile.part_class.get(part, "")
            self.assets[id] = _with(self.assets[id], device.id, part_class)

    def _add_point(self, key: str, device: Device, row: ProfilePoint, spec: PointSpec) -> None:
        asset = self.assets[f"{device.asset}/{row.part}" if row.part else device.asset].id
        id = f"{asset}/{row.id}"
        if id in self.points:
            self.wrong(f"devices.{key}", f"{id} is already read from {self.points[id].device}")
            return
        self.points[id] = Point(id, asset, device.id, spec)

    def _add_derived(self, device: Device) -> None:
        shown = self.files.shown_profile(device.profile)
        wrong = partial(self.mistakes.add, shown)
        file = self.files.texts[device.profile]
        found = list(derived_points(file, device.asset, self.points, wrong))
        self.points |= {point.id: point for point in found}

    def _specs_of(self, profile: str) -> Sequence[PointSpec]:
        """Its points as they are at this site: made once, however many devices have them."""
        if profile not in self.specs:
            rows = self.profiles[profile].points
            self.specs[profile] = [self._spec(profile, row) for row in rows]
        return self.specs[profile]

    def _spec(self, profile: str, row: ProfilePoint) -> PointSpec:
        period_s = self._period_s(profile, row)
        return PointSpec(
            name=row.name, kind=row.kind, unit=row.unit,
            source=at_site(row.source, self.text.time_zone), decimals=row.decimals, range=row.range, expected=row.expected,
            states=row.states, rolls_over_at=row.rolls_over_at,
            rate_max=row.rate_max, frozen_after_s=row.frozen_after_s, poll=row.poll,
            period_s=period_s, deadband=row.deadband,
            deadband_percent=row.deadband_percent, longest_silence_s=silence_s(row, period_s),
            lane=row.lane, tags=row.tags, trend=row.trend,
        )  # fmt: skip

    def _period_s(self, profile: str, row: ProfilePoint) -> float:
        """How often the point is read; its silence must be longer, and the time for which it may stand still."""
        path, classes = f"points.{row.id}", POLL_S | self.text.poll
        if row.poll not in classes:
            shown = self.files.shown_profile(profile)
            self.mistakes.unknown(shown, f"{path}.poll", row.poll, list(classes))
        period_s = classes.get(row.poll, POLL_S["normal"])
        if message := silence_mistake(row, period_s):
            shown = self.files.shown_profile(profile)
            self.mistakes.add(shown, f"{path}.longest_silence", message)
        if message := frozen_mistake(row, period_s):
            shown = self.files.shown_profile(profile)
            self.mistakes.add(shown, f"{path}.frozen_after", message)
        return period_s

    def _add_links(self, lines: Mapping[str, Line], devices: Mapping[str, Device]) -> None:
        """Agents, lines and devices as assets of their own; what of them is unsound is a mistake already."""
        names = {key: asset.name for key, asset in self.assets.items()}
        sound = [d for d in devices.values() if d.line in lines and d.asset in names]
        for agent in sorted({STEWARD, *(lines[device.line].agent for device in sound)} & self.text.assets.keys()):  # fmt: skip
            self.wrong(f"assets.{agent}", "is an agent of this plant, and as that an asset already")
        self.assets |= {asset.id: asset for asset in link_assets(lines, sound, names)}
        self.points |= {
            point.id: point for point in link_points(lines, sound, (*ROWS, *SERVER_ROWS))
        }

    def _link_rules(self) -> Iterator[Rule]:
        shown = "links.toml"
        file = read_file(self.files.library / shown, AlarmsFile, shown, self.mistakes)
        for key, text in (file.rules if file else {}).items():
            found = list(targets(text.on, self.assets, self.points))
            if found:  # of a plant without a sound device there are none
                check_rule(text, shown, f"rules.{key}", found, self.mistakes)
                yield from expand_rule(self.text.site, key, text, found)

    def _rules(self) -> dict[str, Rule]:
        rules = {rule.id: rule for rule in self._link_rules()}
        for device in self.text.devices.values():
            for rule in self._profile_rules(device):
                rules[rule.id] = rule
        path = self.files.folder / "alarms.toml"
        if not path.exists():
            return rules
        shown = self.files.shown(path)
        file = read_file(path, AlarmsFile, shown, self.mistakes)
        for key, text in (file.rules if file else {}).items():
            found = list(targets(text.on, self.assets, self.points))
            check_rule(text, shown, f"rules.{key}", found, self.mistakes)
            rules |= {r.id: r for r in expand_rule(self.text.site, key, text, found)}
        return rules

    def _profile_rules(self, device: DeviceText) -> Iterator[Rule]:
        file = self.files.texts.get(device.profile)
        if file is None:
            return
        shown = self.files.shown_profile(device.profile)
        for key, text in file.rules.items():
            part, dot, own = text.on.rpartition(".")
            path = f"{device.asset}/{part}-*/{own}" if dot else f"{device.asset}/{own}"
            found = list(targets(path, self.assets, self.points))
            check_rule(text, shown, f"rules.{key}", found, self.mistakes)
            yield from expand_rule(self.text.site, key, text, found)

    def _plans(self) -> dict[str, Plan]:
        plans: dict[str, Plan] = {}
        site = (self.text.site, self.text.plans_start or "")
        for name in self.text.standards:
            path = self.files.find("standards", name)
            if path is None:
                self.mistakes.unknown(self.shown, "standards", name, self.files.names("standards"))
                continue
            shown = self.files.shown(path)
            file = read_file(path, StandardFile, shown, self.mistakes)
            if file is not None:
                made = make_plans(file, shown, site, self.assets, self.points, self.mistakes)
                plans |= {plan.id: plan for plan in made}
        return plans


def units_of(kind: LineKind) -> Container[object]:
    """Modbus units that a device may have: over TCP, where nobody else hears, 0 and 255 too."""
    return {0, 255, *range(1, 248)} if kind in UNITS_TOO else range(1, 248)


def _port_of(line: Line) -> tuple[str, ...]:
    """What only one line can have; () for none. Serial ports and this machine's are each agent's own."""
    if line.kind == "rtu":
        return (line.agent, line.path)
    if line.kind not in ("rtu_over_tcp", "fire"):
        return ()
    own = line.kind == "fire" or line.host in ("localhost", "::1") or line.host.startswith("127.")
    return (line.agent if own else "", line.kind, line.host, str(line.port))


def _with(asset: Asset, device: str, asset_class: str) -> Asset:
    return Asset(
        id=asset.id, name=asset.name, system=asset.system, location=asset.location,
        asset_class=asset_class, parent=asset.parent, in_service=asset.in_service, device=device,
    )  # fmt: skip
