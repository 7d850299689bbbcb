"""Processes of one installation: who may read what they write, whom they answer to, and how they end."""

import os
import platform
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from commands import main
from commands.access import private_folder, write_secret
from commands.delivering import outbox_counts
from commands.installation import Installation
from commands.local_http import open_local
from commands.reconciling import (
    NOTHING_MADE,
    HeldBatch,
    HourMade,
    OutboxCount,
    proven,
    whole_report,
)
from commands.server import keep_first_start_link, kept_first_start_link, listen
from commands.serving import RUN_HEADER, allow_files, when_asked
from commands.supervising import Child
from config.settings import Settings, environment_with

ROOT = Path(__file__).parents[3]
RIVERSIDE = str(ROOT / "config" / "plants" / "riverside")
FOREVER = (
    "import asyncio, sys\n"
    "from commands.serving import run_until_asked\n"
    "async def main():\n"
    "    print('ready', flush=True)\n"
    "    await asyncio.Event().wait()\n"
    "sys.exit(run_until_asked(main()))\n"
)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@contextmanager
def answering(**headers: str) -> Iterator[int]:
    """A server that answers everything with 200; yields its port."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


# --- what lies on the disk


def test_a_watched_server_tells_the_first_link_to_its_file_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(data=tmp_path)
    keep_first_start_link("/setup?link=by-hand", settings)
    assert "by-hand" in capsys.readouterr().err
    monkeypatch.setenv("STEWARD_PARENT", str(os.getpid()))
    keep_first_start_link("/setup?link=watched", settings)
    shown = capsys.readouterr()
    assert "watched" not in shown.out + shown.err
    path = tmp_path / "first-start-link"
    assert path.read_text(encoding="utf-8") == "http://127.0.0.1:8080/setup?link=watched\n"
    assert mode(path) == 0o600


def test_a_link_ends_with_the_first_administrator(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    site = Installation({}, tmp_path, 8080)
    assert kept_first_start_link(settings) == ""
    keep_first_start_link("/setup?link=once", settings)
    assert kept_first_start_link(settings) == "/setup?link=once"
    assert site.address().endswith("link=once")
    keep_first_start_link(None, settings)
    assert site.address() == "http://127.0.0.1:8080"
    keep_first_start_link(None, settings)


def test_nobody_else_reads_data_and_logs(tmp_path: Path) -> None:
    data = tmp_path / "a" / "data"
    data.mkdir(parents=True, mode=0o755)
    private_folder(data)
    assert mode(data) == 0o700
    log = data / "logs" / "child.log"
    log.parent.mkdir()
    log.touch(mode=0o644)
    child = Child("child", [sys.executable, "-c", ""], environment_with(), log)
    child.start()
    assert mode(log) == 0o600
    child.end(10)
    assert child.look() == ""


def test_a_secret_is_no_moment_readable_by_others(tmp_path: Path) -> None:
    (tmp_path / "secret.part").touch(mode=0o644)
    write_secret(tmp_path / "secret", "said")
    assert mode(tmp_path / "secret") == 0o600


# --- whose server it is


def test_up_refuses_a_port_that_is_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        words = ["up", RIVERSIDE, "--data", str(tmp_path), "--port", str(port)]
        assert main.main(words) == main.UNAVAILABLE
    assert f"port {port} is taken" in capsys.readouterr().err


def test_another_server_on_the_port_is_not_taken_for_ours(tmp_path: Path) -> None:
    site = Installation({}, tmp_path, 0)
    with answering() as site.port:
        assert not site._answers()
    with answering(**{RUN_HEADER: "another"}) as site.port:
        assert not site._answers()
    with answering(**{RUN_HEADER: site.run_id}) as site.port:
        assert site._answers()


def test_local_calls_go_past_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with answering() as port, open_local(f"http://127.0.0.1:{port}/", 5) as answer:
        assert answer.status == 200


# --- how they end


def said_ready(process: subprocess.Popen[str]) -> bool:
    assert process.stdout is not None
    return process.stdout.readline() == "ready\n"


def test_the_end_of_the_terminal_ends_a_process_well() -> None:
    # these checks may run under nohup, and children inherit what that ignores
    code = f"import signal\nsignal.signal(signal.SIGHUP, signal.SIG_DFL)\n{FOREVER}"
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:  # fmt: skip
        try:
            assert said_ready(process)
            process.send_signal(signal.SIGHUP)
            assert process.wait(20) == 0
        finally:
            process.kill()


def test_what_runs_under_nohup_outlives_the_terminal() -> None:
    before = signal.getsignal(signal.SIGHUP)
    try:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        assert signal.SIGHUP in when_asked()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        assert set(when_asked()) == {signal.SIGTERM, signal.SIGINT}
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_process_ends_when_its_parent_was_killed() -> None:
    parent = (
        "import os, subprocess, sys\n"
        "subprocess.Popen([sys.executable, '-c', sys.argv[1]], env={**os.environ, 'STEWARD_PARENT': str(os.getpid())}).wait()\n"
    )
    with subprocess.Popen([sys.executable, "-c", parent, FOREVER], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:  # fmt: skip
        assert said_ready(process)
        process.kill()
        assert process.stdout is not None
        readable, _, _ = select.select([process.stdout], [], [], 20)
        assert readable, "the child still holds its end of the pipe"
        assert process.stdout.read() == ""


# --- what a report proves


def test_an_outbox_that_was_only_just_begun_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "edge").mkdir()
    (tmp_path / "edge" / "x.a.outbox").touch()
    assert outbox_counts(tmp_path) == {"x.a": NOTHING_MADE}


@pytest.mark.parametrize("name", ["lost", "doubled", "unstored", "refused", "gone"])
@pytest.mark.parametrize("found", [1, None])
def test_a_report_proves_only_what_it_counted(name: str, found: int | None) -> None:
    none = {"lost": 0, "doubled": 0, "unstored": 0, "refused": 0, "gone": 0}
    assert proven(none)
    assert not proven(none | {name: found})


HOUR = 3_600_000


def books(made: int, sent: int, dropped: int = 0, *held: HeldBatch, since: int = 5) -> OutboxCount:
    """An outbox that made and sent all in one hour."""
    return OutboxCount("e", (HourMade(since * HOUR, "data", made, sent, dropped),), dropped, held)


def report_of(journalled: dict[str, int], *outboxes: tuple[str, OutboxCount], aside: int = 0) -> dict[str, Any]:  # fmt: skip
    """What a report says when the journal holds so many readings of each agent."""
    rows = [
        {"site": "x", "agent": agent, "lane": "data", "hour": 5 * HOUR, "journalled": readings,
         "set_aside": 0, "missing_batches": 0}
        for agent, readings in journalled.items()
    ]  # fmt: skip
    total = sum(journalled.values())
    server = {"rows": rows, "readings": {"journalled": total, "quarantined": aside, "stored": total - aside, "unstored": 0, "refused": 0}}  # fmt: skip
    report = whole_report(server, dict(outboxes))
    return {**report["readings"], "unknown": report["unknown"]}


def test_what_was_set_aside_hides_no_loss() -> None:
    """Readings that are set aside singly are journalled with their batch: they do not count twice."""
    said = report_of({"a": 950}, ("x.a", books(1000, 1000)), aside=50)
    assert (said["lost"], said["doubled"]) == (50, 0)


def test_a_batch_twice_is_seen_and_hides_no_loss_of_another_agent() -> None:
    said = report_of(
        {"a": 1050, "b": 950},
        ("x.a", books(1000, 1000)),
        ("x.b", books(1010, 1000, 10)),
    )
    assert (said["lost"], said["doubled"]) == (50, 50)


def test_what_is_held_is_not_lost_and_what_is_older_than_the_books_not_known() -> None:
    unsent, under_way = HeldBatch(None, None, 90), HeldBatch("data", 7, 10)
    held = report_of({"a": 900}, ("x.a", books(1000, 910, 0, unsent, under_way)))
    assert (held["lost"], held["doubled"]) == (0, 0)
    young = report_of({"a": 1000}, ("x.a", books(100, 100, since=6)))
    assert (young["lost"], young["doubled"]) == (0, None)


def test_what_may_have_come_before_the_journal_s_counts_begin_is_not_called_lost() -> None:
    """And hides no loss that is certain; an agent of whose readings none is missing has lost none."""
    older = ("x.a", books(1000, 1000, since=4))
    said = report_of({"a": 950}, older)
    assert (said["lost"], said["doubled"]) == (None, 0)
    (words,) = said["unknown"]
    assert "50 readings of x.a" in words
    assert "1970-01-01T04:00" in words
    assert "1970-01-01T05:00" in words
    certain = report_of({"a": 950, "b": 990}, older, ("x.b", books(1000, 1000)))
    assert (certain["lost"], len(certain["unknown"])) == (10, 1)
    hours = (HourMade(4 * HOUR, "data", 10, 10, 0), HourMade(5 * HOUR, "data", 990, 990, 0))
    partly = report_of({"a": 950}, ("x.a", OutboxCount("e", hours, 0, ())))
    assert (partly["lost"], len(partly["unknown"])) == (40, 1)
    assert "10 readings of x.a" in partly["unknown"][0]
    whole = report_of({"a": 1000}, older)
    assert (whole["lost"], whole["unknown"]) == (0, [])
    silent = report_of({"b": 1000}, older, ("x.b", books(1000, 1000)))
    assert silent["lost"] is None
    assert "no counts of it" in silent["unknown"][0]


def test_of_agents_whose_outboxes_are_elsewhere_nothing_is_known() -> None:
    assert report_of({"a": 1000})["lost"] is None
    assert report_of({"steward": 8})["lost"] == 0


def test_what_the_server_answers_does_not_wait_for_a_receipt() -> None:
    with listen(Settings(http_port=0)) as listening:
        client = socket.create_connection(listening.getsockname())
        answering, _ = listening.accept()
        with client, answering:
            assert answering.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


HEAPS = """
import ctypes, sys, threading
from commands.serving import share_one_heap
if sys.argv[1:]:
    share_one_heap()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
begun, kept = threading.Barrier(4), []
def work():
    begun.wait()
    kept.append([libc.malloc(5_000) for _ in range(200)])
    begun.wait()
threads = [threading.Thread(target=work) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stdout"))
libc.fflush(None)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="no other C library has such heaps")
def test_threads_share_one_heap() -> None:
    """glibc's own report names each of its heaps."""

    def heaps(*words: str) -> int:
        command = [sys.executable, "-c", HEAPS, *words]
        return subprocess.run(command, capture_output=True, check=True, text=True).stdout.count("<heap nr=")  # fmt: skip

    assert heaps() > 1
    assert heaps("shared") == 1


def test_a_process_has_as_many_files_as_it_needs_and_no_fewer_than_it_was_given(
    caplog: pytest.LogCaptureFixture,
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        allow_files(300)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (300, hard)
        allow_files(100)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (300, hard)
        assert caplog.messages == []
        if hard != resource.RLIM_INFINITY:
            allow_files(hard + 1)
            assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
            assert f"may have {hard} descriptors and wants {hard + 1}" in caplog.text
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
