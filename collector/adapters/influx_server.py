"""The InfluxDB server as the store speaks to it: one bucket, bodies in, Flux out, refusals told apart."""

import gzip
import json
import logging
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final

import msgspec
import numpy as np
import urllib3
from influxdb_client import BucketRetentionRules, InfluxDBClient, WriteService
from influxdb_client.client.exceptions import InfluxDBError
from influxdb_client.rest import ApiException

from collector.adapters.influx_flux import BrokenOff, Tables, bound, rows_of, tables_in
from collector.adapters.influx_lines import BEHIND, HOUR_MS, Lines, Refused, site_of, sorted_out
from collector.ports import Quarantined, Unavailable

log = logging.getLogger("steward.store")

TIMEOUT_MS: Final = 30_000
GZIP_LEVEL: Final = 1
YEAR_1_MS: Final = -62_135_596_800_000
"""Shards are counted from the first Monday of year 1."""
AT_ONCE: Final = 2
QUARANTINE_MAX: Final = 1_000
"""Readings that are refused for ever and kept to be shown, newest first; the log names all."""
"""Bodies on their way: InfluxDB need not wait until ours has seen that one is taken."""


class Bucket:
    """One bucket, made with its retention (seconds, 0: for ever) when it is first needed and not there.

    A server that is away does not hinder the start: each call raises `Unavailable` until it is back.
    """

    def __init__(  # where, as whom, into what
        self, url: str, token: str, org: str, name: str, *, retention_s: int, ca_file: str
    ) -> None:
        self._url, self._org, self.name, self._retention_s = url, org, name, retention_s
        self._client = InfluxDBClient(
            url=url, token=token, org=org, timeout=TIMEOUT_MS, ssl_ca_cert=ca_file or None
        )
        self._writes = WriteService(self._client.api_client)
        self.quarantine: deque[Quarantined] = deque(maxlen=QUARANTINE_MAX)
        """The newest readings that it will never take."""
        self._made, self._shard_ms, self._silent = False, HOUR_MS, False

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    # --- what is said -------------------------------------------------------------------------------

    def post(self, bodies: Iterable[bytes]) -> list[Refused]:
        """Post readings in bodies of whole lines, in any order: others are made while some are on their way.

        Returns what InfluxDB will never take; all else is taken.
        """
        with self._reached(), ThreadPoolExecutor(AT_ONCE) as posters:
            posted: deque[Future[list[Refused]]] = deque()
            refused: list[Refused] = []
            for body in bodies:
                zipped = gzip.compress(body, GZIP_LEVEL)
                if len(posted) == AT_ONCE:
                    refused += posted.popleft().result()
                posted.append(posters.submit(self._post, body, zipped))
            for last in posted:
                refused += last.result()
            return refused

    def note(self, lines: str) -> None:
        """Post what is kept about readings; what lies behind the bucket's retention is not needed either."""
        with self._reached():
            try:
                self._send(gzip.compress(lines.encode(), GZIP_LEVEL))
            except ApiException as error:
                if error.status != 422 or BEHIND not in _message(error):
                    raise

    def ask(self, query: str) -> list[dict[str, str]]:
        """Rows of a Flux query, as text by column name."""
        with self._reached():
            return rows_of(self._answer(query))

    def tables(self, query: str) -> Tables:
        """Times and values of a Flux query."""
        with self._reached():
            return tables_in(self._answer(query))

    def _answer(self, query: str) -> str:
        return str(self._client.query_api().query_raw(query).data, "utf-8")

    def ask_ql(self, question: str) -> bytes | None:
        """The answer to InfluxQL: msgpack, times in UTC ms. None where InfluxDB does not take it, which is said once."""
        asked = [("db", self.name), ("epoch", "ms"), ("q", question)]
        with self._reached():
            try:
                answer = self._client.api_client.call_api(
                    "/query", "GET", query_params=asked, header_params={"Accept": "application/x-msgpack"},
                    _preload_content=False, _return_http_data_only=True,
                )  # fmt: skip
            except ApiException as error:
                if error.status not in (400, 403, 404):
                    raise
                if not self._silent:
                    log.warning("InfluxDB does not answer InfluxQL: %s", _message(error))
                self._silent = True
                return None
            return bytes(answer.data)

    def mixed(self, measurement: str) -> set[str]:
        """Fields that have one type in one shard and another in another; none where InfluxDB does not tell."""
        answer = self.ask_ql(f'SHOW FIELD KEYS FROM "{measurement}"')
        if answer is None:
            return set()
        series = msgspec.msgpack.decode(answer)["results"][0].get("series", [])
        names = Counter(name for one in series for name, _ in one["values"])
        return {name for name, types in names.items() if types > 1}

    def delete(self, measurement: str, start: int, end: int, also: str = "") -> None:
        """Delete what has start ≤ time < end, UTC ms; `also` narrows it to tags."""
        if bound(start) >= bound(end):
            return
        with self._reached():
            self._client.delete_api().delete(
                _said(bound(start) * 1_000_000), _said(bound(end) * 1_000_000 - 1),
                f'_measurement="{measurement}"{also}', bucket=self.name, org=self._org,
            )  # fmt: skip

    # --- reaching it --------------------------------------------------------------------------------

    @contextmanager
    def _reached(self) -> Iterator[None]:
        """What the client raises becomes `Unavailable`, with who must do what."""
        try:
            if not self._made:
                self._make()
            yield
        except ApiException as error:
            raise Unavailable(self._why(error)) from error
        except BrokenOff as error:
            raise Unavailable(f"InfluxDB at {self._url} broke an answer off: {error}") from error
        except InfluxDBError as error:  # the token does not even see the organisation
            raise Unavailable(self._absent(str(error))) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Unavailable(f"InfluxDB at {self._url} does not answer: {error}") from error

    def _why(self, error: ApiException) -> str:
        place = f"InfluxDB at {self._url}"
        said = f"({error.status}: {_message(error)})"
        if error.status in (401, 403):
            return (
                f"{place} refuses the token: give it read and write on bucket {self.name!r} {said}"
            )
        if error.status == 404:
            self._made = False
            return self._absent(said)
        return f"{place} cannot take or give readings now {said}"

    def _absent(self, said: str) -> str:
        return (
            f"InfluxDB at {self._url} has no bucket {self.name!r} in {self._org!r}: create it, or "
            f"give a token that may {said}"
        )

    def _make(self) -> None:
        buckets = self._client.buckets_api()
        found = buckets.find_bucket_by_name(self.name)
        if found is None:
            rules = BucketRetentionRules(type="expire", every_seconds=self._retention_s)
            found = buckets.create_bucket(
                bucket_name=self.name, retention_rules=rules, org=self._org
            )
            log.info("made bucket %s with retention %d s", self.name, self._retention_s)
        else:
            self._warn_of(found.retention_rules)
        lengths = [rule.shard_group_duration_seconds for rule in found.retention_rules]
        self._shard_ms = 1000 * min(
            (length for length in lengths if length), default=HOUR_MS // 1000
        )
        self._made = True

    def next_shard(self, time: int) -> int:
        """Where the shard behind the one of a time begins; both UTC ms. Known once the bucket was asked for something."""
        return time - (time - YEAR_1_MS) % self._shard_ms + self._shard_ms

    def _warn_of(self, rules: Iterable[Any]) -> None:
        """A bucket that was there keeps its retention; what that takes too soon is said."""
        for rule in rules:
            wanted = self._retention_s or float("inf")
            if 0 < rule.every_seconds < wanted:
                log.warning(
                    "bucket %s drops all that is older than %d s, sooner than was asked: readings and roll-ups "
                    "behind it are refused; change it with `influx bucket update`",
                    self.name, rule.every_seconds,
                )  # fmt: skip

    # --- refusals -----------------------------------------------------------------------------------

    def _post(self, body: bytes, zipped: bytes) -> list[Refused]:
        """Post lines; of what is refused for ever the rest is posted again, until it is taken."""
        refused: list[Refused] = []
        waiting: list[Lines] = []
        while True:
            try:
                self._send(zipped)
            except ApiException as error:
                if error.status not in (400, 413, 422):
                    raise
                found = sorted_out(body.splitlines(keepends=True), _message(error))
                _tell(found.refused, _message(error))
                self.quarantine += [Quarantined(site_of(one), *one, _message(error)) for one in found.refused]  # fmt: skip
                refused += found.refused
                waiting += found.again
            if not waiting:
                return refused
            body = b"".join(waiting.pop())
            zipped = gzip.compress(body, GZIP_LEVEL)

    def _send(self, zipped: bytes) -> None:
        self._writes.post_write(
            self._org, self.name, zipped, precision="ms",
            content_encoding="gzip", content_type="text/plain; charset=utf-8",
        )  # fmt: skip


def _tell(refused: Sequence[Refused], why: str) -> None:
    """Name what is refused: one line of the log for each point."""
    times: dict[str, list[str]] = {}
    for reading in refused:
        times.setdefault(reading.place, []).append(reading.time)
    for place, of in times.items():
        log.error(
            "InfluxDB refuses readings for ever: %d of %s, from %s to %s (UTC ms): %s",
            len(of), place, of[0], of[-1], why,
        )  # fmt: skip


def _said(time_ns: int) -> str:
    return f"{np.datetime_as_string(np.datetime64(time_ns, 'ns'))}Z"


def _message(error: ApiException) -> str:
    said = str(error.body or error.reason or "").strip()
    try:
        return str(json.loads(said)["message"])
    except (ValueError, KeyError, TypeError):
        return said
