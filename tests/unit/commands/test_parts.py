"""A part is found where it was named, on PATH or in our cache; what is missing says what would help."""

import os
from pathlib import Path

import pytest

from commands import parts
from commands.parts import PARTS, GoBuild, NotHere, ensure, find, main

SCRIPT = "#!/bin/sh\nexit 0\n"


def program(folder: Path, name: str, text: str = SCRIPT) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with a shell and nothing of ours; its PATH is `<folder>/path`."""
    monkeypatch.setattr(parts, "PLACES", ())
    monkeypatch.setattr(parts, "POSTGRES_PLACES", "/nowhere/*/bin")
    monkeypatch.setattr(parts, "TOOL_PLACES", ())
    monkeypatch.setenv("STEWARD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.delenv("CI", raising=False)
    for name in PARTS:
        monkeypatch.delenv(f"STEWARD_{name.upper()}", raising=False)
    (tmp_path / "path").mkdir()
    return tmp_path


def reason(found: Path | NotHere) -> str:
    assert isinstance(found, NotHere)
    return found.reason


def test_a_named_program_is_taken_before_all_others(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(bare / "path", "mbpoll")
    named = program(bare / "mine", "other-name")
    monkeypatch.setenv("STEWARD_MBPOLL", str(named))
    assert find("mbpoll") == named


def test_a_named_file_that_is_no_program_is_not_replaced_by_another(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(bare / "path", "mbpoll")
    monkeypatch.setenv("STEWARD_MBPOLL", str(bare / "absent"))
    assert "STEWARD_MBPOLL names" in reason(ensure(["mbpoll"])["mbpoll"])


def test_path_comes_before_the_cache_and_the_cache_is_looked_into(bare: Path) -> None:
    cached = program(bare / "cache" / "bin", "influxd")
    assert find("influxd") == cached
    on_path = program(bare / "path", "influxd")
    assert find("influxd") == on_path


def test_the_newest_release_of_postgres_is_taken(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for release in ("9.6", "15", "17"):
        program(bare / "pg" / release / "bin", "postgres")
    monkeypatch.setattr(parts, "POSTGRES_PLACES", f"{bare}/pg/*/bin")
    assert find("postgres") == bare / "pg" / "17" / "bin" / "postgres"


def test_a_missing_part_names_the_command_that_brings_it(bare: Path) -> None:
    assert "apt-get install -y mosquitto" in reason(find("mosquitto"))
    assert "python -m commands.parts influxd" in reason(find("influxd"))


def test_where_nothing_may_be_obtained_nothing_is_tried(bare: Path) -> None:
    said: list[str] = []
    ensure(list(PARTS), obtain=False, say=said.append)
    assert said == []


# --- Debian ----------------------------------------------------------------------------------------

INSTALLS = """#!/bin/sh
echo "$@" >> {folder}/calls
case "$*" in *install*)
  [ -f {folder}/updated ] || {{ echo "E: Unable to locate package mbpoll" >&2; exit 100; }}
  printf '#!/bin/sh\\n' > {folder}/path/mbpoll; /bin/chmod 755 {folder}/path/mbpoll;;
*update*) : > {folder}/updated;;
esac
"""


def as_root(monkeypatch: pytest.MonkeyPatch, uid: int) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)


def test_root_on_debian_installs_after_an_update_where_the_lists_are_old(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_root(monkeypatch, 0)
    program(bare / "path", "apt-get", INSTALLS.format(folder=bare))
    said: list[str] = []
    found = ensure(["mbpoll"], say=said.append)["mbpoll"]
    assert found == bare / "path" / "mbpoll"
    assert said == ["installing mbpoll from Debian (independent Modbus master)"]
    calls = (bare / "calls").read_text().splitlines()
    assert [call.split()[0] for call in calls] == ["install", "update", "install"]


def test_a_failed_installation_repeats_what_apt_said(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_root(monkeypatch, 0)
    program(bare / "path", "apt-get", "#!/bin/sh\necho 'E: no network here' >&2\nexit 100\n")
    assert "E: no network here" in reason(ensure(["mbpoll"], say=print)["mbpoll"])


def test_who_is_not_root_is_told_the_command(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    as_root(monkeypatch, 1000)
    program(bare / "path", "apt-get")
    found = reason(ensure(["mbpoll"])["mbpoll"])
    assert found.startswith("not root: `apt-get install -y mbpoll`")


def test_another_system_is_told_to_install_it_itself(bare: Path) -> None:
    assert "this is not Debian" in reason(ensure(["mbpoll"])["mbpoll"])


# --- Go --------------------------------------------------------------------------------------------

GO = """#!/bin/sh
echo "$1 $2" >> {folder}/calls
[ "$1 $2" = "mod init" ] && : > go.mod
[ "$1" = build ] || exit 0
while [ "$1" != -o ]; do shift; done
printf '#!/bin/sh\\n' > "$2"; /bin/chmod 755 "$2"
"""


def with_tools(folder: Path, go: str) -> None:
    for tool in ("cargo", "rustc", "cc"):
        program(folder / "path", tool)
    program(folder / "path", "go", go)


def test_influxd_is_built_into_the_cache_once(bare: Path) -> None:
    with_tools(bare, GO.format(folder=bare))
    said: list[str] = []
    found = ensure(["influxd"], say=said.append)["influxd"]
    assert found == bare / "cache" / "bin" / "influxd"
    assert said[0].startswith("building influxd from source, about 4 minutes")
    calls = (bare / "calls").read_text()
    assert [line.split()[0] for line in calls.splitlines()] == ["mod", "get", "install", "build"]
    ensure(["influxd"], say=said.append)
    assert (bare / "calls").read_text() == calls


def test_a_build_without_its_tools_names_each_that_is_missing(bare: Path) -> None:
    program(bare / "path", "go")
    said = reason(ensure(["influxd"])["influxd"])
    assert "its build needs cargo, rustc, cc" in said
    assert "https://rustup.rs" in said
    assert "STEWARD_INFLUXD" in said


def test_a_build_that_fails_repeats_its_last_line_and_leaves_no_program(bare: Path) -> None:
    with_tools(bare, "#!/bin/sh\n[ $1 = build ] || exit 0\necho 'undefined: flux' >&2\nexit 2\n")
    said = reason(ensure(["influxd"], say=print)["influxd"])
    assert "`go build -tags` failed (undefined: flux" in said
    assert not (bare / "cache" / "bin" / "influxd").exists()


def test_a_long_step_says_that_it_still_runs(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "TELL_EVERY_S", 0.02)
    go = "#!/bin/sh\n[ $1 = build ] || exit 0\nread never < {fifo}\nexit 3\n"
    os.mkfifo(bare / "fifo")
    with_tools(bare, go.format(fifo=bare / "fifo"))
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        if "go build has run for" in text:
            (bare / "fifo").write_text("go on\n")

    ensure(["influxd"], say=say)
    assert any("influxd: go build has run for" in text for text in said)


def test_a_step_without_end_is_given_up(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "TELL_EVERY_S", 0.02)
    monkeypatch.setattr(parts, "OBTAIN_S_MAX", 0.05)
    os.mkfifo(bare / "fifo")
    with_tools(bare, f"#!/bin/sh\n[ $1 = build ] || exit 0\nread never < {bare / 'fifo'}\n")
    assert "gave up after" in reason(ensure(["influxd"], say=print)["influxd"])


def test_every_part_has_one_source() -> None:
    for part in PARTS.values():
        assert bool(part.packages) != isinstance(part.build, GoBuild), part.name


def test_a_cache_that_cannot_be_written_is_a_reason_and_no_crash(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bare / "file").write_bytes(b"")
    monkeypatch.setenv("STEWARD_CACHE", str(bare / "file"))
    assert "set STEWARD_CACHE" in reason(ensure(["influxd"])["influxd"])


# --- the command -----------------------------------------------------------------------------------


def test_the_command_says_where_each_part_is_and_insists_in_ci_only(
    bare: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program(bare / "path", "mbpoll")
    assert main(["mbpoll", "influxd", "--find"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].split() == ["mbpoll", str(bare / "path" / "mbpoll")]
    assert "not here: influxd not found" in out[1]
    monkeypatch.setenv("CI", "true")
    assert main(["influxd", "--find"]) == 1
    assert main(["mbpoll", "--find"]) == 0
