"""What agents and the server say of themselves, of lines and devices: each an asset of the system `links`, with points. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from config.plant import STEWARD, Asset, Device, Line, Point, PointSpec
from config.profile import JsonPath, Kind, Lane, Names

SYSTEM: Final = "links"
PERIOD_S: Final = 60.0
SILENCE_S: Final = 300.0
LINK_ERRORS: Final = ("no_answer", "link_down", "device_refused", "undecodable")
"""Reasons of bad readings that speak of the link, each counted by line."""
HEARTBEAT: Final = "heartbeat"
HEARTBEAT_SILENCE_S: Final = 150.0
"""Two may be late together; after that something between an agent and the live table does not work."""
Of = Literal["agent", "line", "device", "server"]


@dataclass(frozen=True, slots=True)
class _Row:
    """One point of every agent, line or device, or of the server."""

    of: Of
    id: str
    en: str
    zh: str
    unit: str = ""
    kind: Kind = "measurement"
    decimals: int = 0
    deadband: float = 0.0
    lane: Lane = "data"
    silence_s: float = SILENCE_S


ROWS: Final = (
    _Row("agent", "outbox_batches", "Batches not stored yet", "未入库批次", deadband=20),
    _Row("agent", "outbox_age", "Age of the oldest of them", "最早未入库批次的时长", "s", deadband=30),
    _Row("agent", "outbox_dropped", "Readings dropped for want of room", "因空间不足丢弃的读数", kind="counter", lane="event"),
    _Row("agent", HEARTBEAT, "Synthetic readings sent", "已发送的合成读数", kind="counter", silence_s=HEARTBEAT_SILENCE_S),
    _Row("line", "utilisation", "Line used", "线路占用率", "%", decimals=1, deadband=5),
    _Row("line", "round_trip", "Time of the last read", "上次读取耗时", "ms", decimals=1, deadband=50),
    _Row("line", "missed", "Cycles missed", "错过的采集周期", kind="counter"),
    _Row("line", "errors_no_answer", "Readings without an answer", "无应答读数", kind="counter"),
    _Row("line", "errors_link_down", "Readings with the link down", "链路中断读数", kind="counter"),
    _Row("line", "errors_device_refused", "Readings that a device refused", "设备拒绝读数", kind="counter"),
    _Row("line", "errors_undecodable", "Readings that made no sense", "无法解码读数", kind="counter"),
    _Row("device", "last_good_age", "Since its last good reading", "距上次有效读数", "s", deadband=60),
)  # fmt: skip
"""Counters begin anew with the agent."""
SERVER_ROWS: Final = (
    _Row("server", "synthetic_age", "Synthetic readings are shown and not in the store since", "已显示未入库的合成读数时长", "s", deadband=30),
    _Row("server", "store_lag", "Readings in the journal wait for the store since", "流水中待入库读数的等待时长", "s", deadband=10),
    _Row("server", "store_waiting", "Entries of the journal that wait for the store", "待入库的流水条目", deadband=1000),
    _Row("server", "queue", "Received from the broker and not journalled yet", "已接收未写入流水的数据量", "kB", deadband=100),
    _Row("server", "commit_time", "Longest write of the journal in the last minute", "最近一分钟流水最长写入耗时", "ms", decimals=1, deadband=20),
    _Row("server", "journal_fill", "Journal filled to its cap", "流水占用率", "%", decimals=1, deadband=1),
    _Row("server", "journal_dropped", "Entries that left the journal before all had read them", "未读完即被清除的流水条目", kind="counter", lane="event"),
    _Row("server", "disk_free", "Free of the disk with the server's data", "服务端数据所在磁盘的剩余空间", "%", decimals=1, deadband=0.5),
    _Row("server", "set_aside", "Readings and messages set aside", "已隔离的读数与消息", kind="counter"),
)  # fmt: skip
"""Of the server itself, the same at each of its sites; counters begin anew with it."""
UNDECLARED: Final = (
    _Row("agent", "outbox_dropped_from", "First of them made at", "其中最早产生于", "s", lane="event"),
    _Row("agent", "outbox_dropped_until", "Last of them made at", "其中最晚产生于", "s", lane="event"),
)  # fmt: skip
"""Said only where something was dropped: nobody waits for them."""


def line_asset(line: Line) -> str:
    """The asset that a line is."""
    return f"{line.agent}/{line.id}"


def device_asset(device: Device, line: Line) -> str:
    """The asset that the link to a device is."""
    return f"{line_asset(line)}/{device.id}"


def link_assets(
    lines: Mapping[str, Line], devices: Iterable[Device], names: Mapping[str, Names]
) -> Iterator[Asset]:
    """The server, every agent, every line with a device and every device; `names` are those of the devices' assets."""
    seen: set[str] = set()
    yield Asset(STEWARD, {"en": "Steward server", "zh": "Steward 服务端"}, SYSTEM)
    for device in devices:
        line = lines[device.line]
        name = names[device.asset]
        link = {tag: text + name.get(tag, name["en"]) for tag, text in (("en", "Link to "), ("zh", "通信链路："))}  # fmt: skip
        rows = (
            (line.agent, "", {"en": f"Agent {line.agent}", "zh": f"边缘代理 {line.agent}"}),
            (line_asset(line), line.agent, {"en": f"Line {line.id}", "zh": f"线路 {line.id}"}),
            (device_asset(device, line), line_asset(line), link),
        )
        for id_, parent, named in rows:
            if id_ not in seen:
                seen.add(id_)
                yield Asset(id_, named, SYSTEM, parent=parent)


def link_points(
    lines: Mapping[str, Line], devices: Iterable[Device], rows: Iterable[_Row] = ROWS
) -> Iterator[Point]:
    """The points of those assets."""
    seen: set[str] = set()
    known = [(row, _spec(row)) for row in rows]
    for device in devices:
        line = lines[device.line]
        assets: Mapping[Of, str] = {
            "agent": line.agent, "line": line_asset(line), "device": device_asset(device, line),
            "server": STEWARD,
        }  # fmt: skip
        for row, spec in known:
            asset = assets[row.of]
            id = f"{asset}/{row.id}"
            if id not in seen:
                seen.add(id)
                yield Point(id, asset, "", spec)


def _spec(row: _Row) -> PointSpec:
    return PointSpec(
        name={"en": row.en, "zh": row.zh}, kind=row.kind, unit=row.unit,
        source=JsonPath(topic="", path=()), decimals=row.decimals, poll="slow", period_s=PERIOD_S,
        deadband=row.deadband, longest_silence_s=row.silence_s, lane=row.lane,
    )  # fmt: skip
