"""Mosquitto and InfluxDB in a site that a proof kills: they are its processes like all others."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from collector.adapters.store_duckdb import DuckDbStore
from collector.ports import ReadingStore
from commands.access import make_secrets, secrets_folder, write_secret
from commands.broker_topics import rights_of
from commands.installation import Installation, RealPart
from commands.mosquitto_files import acl_file, passwords_file
from commands.part_servers import (
    READY_S_MAX,
    PartFailed,
    free_port,
    influxd_command,
    is_healthy,
    mosquitto_command,
    start_influxd,
)
from commands.sharing import INFLUX_TOKEN

INFLUXD: Final = "influxd"
LOOK_S: Final = 0.05


def with_mosquitto(site: Installation, program: Path) -> None:
    """Mosquitto instead of the embedded broker, with the files that a deployment gives it."""
    folder, plants = site.data / "mosquitto", list(site.plants.values())
    users = make_secrets(plants, site.settings)
    write_secret(folder / "secrets" / "passwords", passwords_file(users).rstrip("\n"))
    write_secret(folder / "secrets" / "acl", acl_file(rights_of(plants)).rstrip("\n"))
    site.parts["broker"] = RealPart(mosquitto_command(program, folder, site.broker_port), folder)


def with_influxd(site: Installation, program: Path) -> None:
    """InfluxDB as the store, set up already.

    Raises:
        PartFailed: it was not healthy within 30 s, or refused its setup.
    """
    folder, port = site.data / INFLUXD, free_port()
    server = start_influxd(program, folder, port=port)
    server.stop()
    token = secrets_folder(site.settings) / INFLUX_TOKEN
    write_secret(token, server.token)
    site.told |= {
        "STEWARD_STORE": "influxdb",
        "STEWARD_INFLUX_URL": server.url,
        "STEWARD_INFLUX_TOKEN_FILE": str(token),
    }
    site.parts[INFLUXD] = RealPart(influxd_command(program, folder, port), folder)


@contextmanager
def store_of(site: Installation) -> Iterator[ReadingStore]:
    """The store of a site that does not run any more, as it is on disk.

    Raises:
        PartFailed: InfluxDB does not come up on its files.
    """
    if INFLUXD not in site.parts:
        store: ReadingStore = DuckDbStore(site.data / "store")
        yield store
        store.close()
        return
    url, server = site.told["STEWARD_INFLUX_URL"], site.part(INFLUXD)
    token = (secrets_folder(site.settings) / INFLUX_TOKEN).read_text(encoding="utf-8").strip()
    server.start()
    try:
        _until_healthy(urlsplit(url).port or 0)
        from collector.adapters.store_influx import (
            InfluxStore,
        )  # its client takes a fifth of a second

        store = InfluxStore(url, token, "steward", "steward")
        yield store
        store.close()
    finally:
        server.end(READY_S_MAX)


def _until_healthy(port: int) -> None:
    deadline = time.monotonic() + READY_S_MAX
    while not is_healthy(port):
        if time.monotonic() > deadline:
            raise PartFailed(f"InfluxDB was not healthy again within {READY_S_MAX:.0f} s")
        time.sleep(LOOK_S)
