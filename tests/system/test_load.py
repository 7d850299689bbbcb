"""The load generator against a real broker and the real ingest: every reading arrives once, in its row."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.load_plant import plant_of
from collector.adapters.journal_sqlite import SqliteJournal
from collector.adapters.memory_journal import MemoryJournal
from collector.adapters.mqtt import Broker, MqttSource
from collector.ingest import Ingest
from collector.live import LiveTable
from collector.projecting import Projecting
from commands import load
from commands.part_servers import start_mosquitto
from config.clock import ScaledClock
from edge.readings import Birth, decode, decode_batch
from tests.unit.collector.feeding import Store
from tests.waiting import until

RIGHTS = "user collector\ntopic readwrite #\n"
SMALL = load.Shape(agents=5, points=6, batch=7)


@pytest.mark.parametrize("shape", [*load.SHAPES.values(), SMALL])
def test_batches_are_numbered_and_hold_every_reading_once(shape: load.Shape) -> None:
    readings = 10 * shape.points
    batches = [decode_batch(b) for b in load.batches_of(3, shape, readings, 1_763_700_000_000)]
    assert [b.s for b in batches] == list(range(1, len(batches) + 1))
    keys = [(i, b.t + d) for b in batches for i, d in zip(b.i, b.d, strict=True)]
    assert len(set(keys)) == len(keys) == readings
    assert {i for i, _ in keys} == {r.index for r in decode(load.birth_of(3, shape), Birth).points}


@pytest.mark.parametrize("shape", [*load.SHAPES.values(), SMALL])
def test_lines_hold_the_same_readings_in_as_many_messages(shape: load.Shape) -> None:
    asked = (3, shape, 10 * shape.points, 1_763_700_000_000)
    messages = [text.decode() for text in load.lines_of(*asked)]
    batches = [decode_batch(batch) for batch in load.batches_of(*asked)]
    assert len(messages) == len(batches)
    for message, batch in zip(messages, batches, strict=True):
        names = [load.point_name(3, index).split("/")[1] for index in batch.i]
        times = [(batch.t + late) * 1_000_000 for late in batch.d]
        lines = [line.split(" ") for line in message.splitlines()]
        assert {head for head, _, _ in lines} == {f"readings,asset=rack-3,site={load.SITE}"}
        said = [(at, *text.split("=")) for _, texts, at in lines for text in texts.split(",")]
        assert [int(at) for at, _, _ in said] == times
        assert [name for _, name, _ in said] == names
        assert [float(value) for _, _, value in said] == list(batch.v)


@pytest.mark.system
async def test_everything_that_is_published_is_stored_once(
    part_programs: Callable[[str], Path], tmp_path: Path
) -> None:
    program = part_programs("mosquitto")
    server = start_mosquitto(program, tmp_path, users={"collector": "word"}, acl=RIGHTS)
    plant, clock, store = plant_of(SMALL), ScaledClock(), Store()
    live, journal = LiveTable([plant]), SqliteJournal(tmp_path / "journal")
    projecting = Projecting(journal, store, live, asyncio.to_thread, clock)
    source = MqttSource(Broker(server.host, server.port, "collector", "word"), clock)
    ingest = Ingest(source, journal, live, [], [plant], clock, projecting, asyncio.to_thread)
    ingest.restore()
    running = asyncio.create_task(ingest.run())
    publisher = load.Publisher(SMALL, 5 * 6 * 40, clock.now())
    await until(lambda: source.connected, 10)
    await publisher.connect(server.host, server.port, "collector", "word")
    await publisher.answered()
    await publisher.send()
    await publisher.close()
    await projecting.drain()
    await source.close()
    await running
    journal.close()
    server.stop()
    assert len(store.rows) == publisher.readings == 1200
    assert len({(point, time) for point, time, _, _ in store.rows}) == 1200


@pytest.mark.system
async def test_the_command_pours_readings_without_a_collector_and_says_how_fast(
    part_programs: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = part_programs("mosquitto")
    server = start_mosquitto(program, tmp_path, users={"collector": "word"}, acl=RIGHTS)
    words = ["--pour", "--shape", "meter3", "--readings", "6000", "--port", str(server.port)]
    user = ["--user", "collector", "--password", "word"]
    assert await asyncio.to_thread(load.main, [*words, *user]) == 0
    server.stop()
    ready, report = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert ready == {"ready": True, "readings": 6000, "messages": 2000}
    assert report["readings_per_s"] > 0


@pytest.mark.system
async def test_a_rate_is_kept(part_programs: Callable[[str], Path], tmp_path: Path) -> None:
    program = part_programs("mosquitto")
    server = start_mosquitto(program, tmp_path, users={"collector": "word"}, acl=RIGHTS)
    plant, clock = plant_of(SMALL), ScaledClock()
    source = MqttSource(Broker(server.host, server.port, "collector", "word"), clock)
    ingest = Ingest(source, MemoryJournal(), LiveTable([plant]), [], [plant], clock)
    ingest.restore()
    running = asyncio.create_task(ingest.run())
    publisher = load.Publisher(SMALL, 1200, clock.now(), rate=4000.0)
    await until(lambda: source.connected, 10)
    await publisher.connect(server.host, server.port, "collector", "word")
    await publisher.answered()
    begun = clock.monotonic()
    await publisher.send()
    assert clock.monotonic() - begun > 0.25
    await publisher.close()
    await source.close()
    await running
    server.stop()
    assert ingest.stats.readings == 1200
