"""A real InfluxDB in tests: buckets of their own, what a stranger writes, what is asked past the store."""

import http.client
import itertools
import json
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from influxdb_client import InfluxDBClient

from collector.adapters.store_influx import InfluxStore
from collector.ports import SeriesKey, StoreBatch
from commands.part_servers import InfluxServer

KEY = SeriesKey("riverside", "booster/pressure", "bar", "number")
T0 = 1_773_532_800_000
HOUR = 3_600_000
_names = itertools.count(1)


def batch(values: list[float], key: SeriesKey = KEY, start: int = T0) -> StoreBatch:
    count = len(values)
    none = np.zeros(count, np.int64)
    time = start + np.arange(count) * 1000
    return StoreBatch([key], none, time, np.array(values), none.astype(np.uint8))


def ask(server: InfluxServer, method: str, path: str, body: Any = None) -> Any:
    address = urlsplit(server.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=10)
    text = body if isinstance(body, str) else json.dumps(body)
    connection.request(method, path, text, {"Authorization": f"Token {server.token}"})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    assert answer.status < 300, content
    return json.loads(content) if content else None


def bucket_of(server: InfluxServer, name: str) -> Any:
    return ask(server, "GET", f"/api/v2/buckets?name={name}")["buckets"][0]


def token_for(server: InfluxServer, *permissions: tuple[str, str, str | None]) -> str:
    org = bucket_of(server, server.bucket)["orgID"]
    rights = [
        {"action": action, "resource": {"type": kind, "orgID": org, **({"id": id} if id else {})}}
        for action, kind, id in permissions
    ]
    made = ask(server, "POST", "/api/v2/authorizations", {"orgID": org, "permissions": rights})
    return str(made["token"])


def new_bucket() -> str:
    return f"system-{next(_names)}"


def opened(server: InfluxServer, bucket: str, **more: Any) -> InfluxStore:
    return InfluxStore(server.url, more.pop("token", server.token), server.org, bucket, **more)


def stranger(server: InfluxServer, bucket: str, lines: str) -> None:
    """Write lines of somebody else's."""
    path = f"/api/v2/write?org={server.org}&bucket={bucket}&precision=ms"
    ask(server, "POST", path, lines)


def mixed(rows: list[tuple[str, int, float]]) -> StoreBatch:
    """One batch of points, times and good values."""
    points = list(dict.fromkeys(row[0] for row in rows))
    return StoreBatch(
        [SeriesKey(KEY.site, point, "bar", "number") for point in points],
        np.array([points.index(row[0]) for row in rows], np.int64),
        np.array([row[1] for row in rows], np.int64),
        np.array([row[2] for row in rows], np.float64),
        np.zeros(len(rows), np.uint8),
    )


def rows_of(server: InfluxServer, bucket: str, measurement: str) -> int:
    """Points of a measurement by another way than the store's."""
    flux = (
        f'from(bucket: "{bucket}") |> range(start: 0, stop: 2100-01-01T00:00:00Z)'
        f' |> filter(fn: (r) => r._measurement == "{measurement}") |> count() |> group() |> sum()'
    )
    with InfluxDBClient(server.url, server.token, org=server.org) as client:
        tables = client.query_api().query(flux)
    return int(tables[0].records[0].get_value()) if tables else 0
