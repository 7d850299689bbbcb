"""How many kinds of malformed input the suite holds: each row of each table is one kind with an outcome of its own."""

from collections.abc import Sized

from tests.pipeline.malformed import BATCHES
from tests.pipeline.malformed_others import OTHERS
from tests.unit.api import test_http_malformed as http
from tests.unit.api import test_http_malformed_headers as headers
from tests.unit.collector.test_malformed_frames import FRAMES
from tests.unit.config import test_load as slips
from tests.unit.config import test_malformed as configuration
from tests.unit.edge.test_malformed import HEARD, PDUS, SAID
from tests.unit.edge.test_pymodbus_transport import WRONG

TABLES: dict[str, tuple[Sized, ...]] = {
    "MQTT towards the collector": (BATCHES, OTHERS),
    "MQTT from a broker that is none": (FRAMES,),
    "MQTT towards the edge": (HEARD, SAID),
    "Modbus towards the edge": (PDUS, WRONG),
    "HTTP": (
        http.BODIES, http.REQUESTS, http.SESSIONS, http.COOKIES, headers.MATCHES, headers.KEYS,
        headers.KINDS, headers.TOKENS, headers.EVENT_IDS,
    ),
    "configuration": (slips.SPOILED, configuration.SPOILED, configuration.FILES, configuration.SETTINGS),
}  # fmt: skip
KINDS = {door: sum(len(table) for table in tables) for door, tables in TABLES.items()}


def test_there_are_at_least_300_kinds_and_many_at_each_door() -> None:
    assert sum(KINDS.values()) >= 300
    assert min(KINDS.values()) >= 40, KINDS
