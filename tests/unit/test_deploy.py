"""docker-compose.yml and the Dockerfile agree with what the project is: nothing here needs a container engine."""

import json
import re
import stat
import tomllib
from pathlib import Path

import pytest

from commands import main, mosquitto_files, sharing
from config.load import load_plant
from config.settings import KNOWN, Settings, SettingsError, read_settings
from tests.composing import ROOT, Service, dockerfile, image_copies, read_yaml, services

SERVICES = services()
OURS = {name: s for name, s in SERVICES.items() if s.ours}
RIVERSIDE = ROOT / "config" / "plants" / "riverside"


def every(services: dict[str, Service]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("service", services.values(), ids=list(services))


@every(OURS)
def test_every_variable_is_one_that_steward_knows_and_understands(service: Service) -> None:
    assert set(service.environment) <= KNOWN
    assert all(isinstance(value, str) for value in service.environment.values())
    assert read_settings(service.environment) != Settings()


@every(OURS)
def test_every_command_is_one_of_ours(service: Service) -> None:
    module, _ = main.parse(service.said["command"])
    assert callable(module.run)
    for word in service.said["command"]:
        assert not word.startswith("config/") or (ROOT / word / "plant.toml").is_file()


@every({name: s for name, s in SERVICES.items() if not s.once})
def test_every_container_that_stays_says_whether_it_works(service: Service) -> None:
    check = service.said["healthcheck"]
    assert {"test", "interval", "timeout", "start_period", "retries"} == set(check)
    kind, *words = check["test"]
    assert kind == "CMD"
    if service.ours:
        assert words[:2] == ["python", "/app/steward.py"]
        assert main.parse(words[2:])[0].__name__ == "commands.healthy"


@every(SERVICES)
def test_what_is_waited_for_is_there_and_can_be_waited_for(service: Service) -> None:
    for name, how in service.said.get("depends_on", {}).items():
        ends = SERVICES[name].once
        assert how["condition"] == ("service_completed_successfully" if ends else "service_healthy")


@every(SERVICES)
def test_nothing_is_reached_from_other_machines(service: Service) -> None:
    assert all(port.startswith("127.0.0.1:") for port in service.said.get("ports", []))
    assert service.said.get("network_mode", "none") == "none"
    assert "privileged" not in service.said


@every(SERVICES)
def test_no_container_has_more_rights_than_it_needs(service: Service) -> None:
    assert service.said["user"] == "1000:1000"
    assert service.said["cap_drop"] == ["ALL"]
    assert service.said["security_opt"] == ["no-new-privileges:true"]
    assert service.said["read_only"] is (service.name != "influxdb")
    assert not {"cap_add", "devices", "pid", "ipc"} & set(service.said)


SECRET = re.compile(r"(PASSWORD|TOKEN|SECRET|KEY)")


@every(SERVICES)
def test_no_secret_is_written_down(service: Service) -> None:
    for name, value in service.environment.items():
        if SECRET.search(name):
            assert value.startswith("/"), f"{name} names no file"
    assert not {"env_file", "secrets", "configs"} & set(service.said)


@every(SERVICES)
def test_volumes_and_networks_are_declared_and_files_are_there(service: Service) -> None:
    compose = read_yaml("docker-compose.yml")
    for mount in service.mounts:
        if mount.file is None:
            assert mount.source in compose["volumes"]
        else:
            assert mount.file.exists()
            assert mount.read_only
    assert set(service.said.get("networks", [])) <= set(compose["networks"])


def test_all_volumes_are_used_and_hold_what_is_written() -> None:
    used = {mount.source for s in SERVICES.values() for mount in s.mounts}
    assert set(read_yaml("docker-compose.yml")["volumes"]) <= used


def test_files_named_in_variables_lie_in_volumes() -> None:
    for service in SERVICES.values():
        for name, value in service.environment.items():
            if value.startswith("/") and name != "STEWARD_DATA":
                assert any(f"{value}/".startswith(f"{m.target}/") for m in service.mounts), name


def test_mosquitto_is_given_what_the_tests_start_it_with() -> None:
    files = {mount.target: mount.file for mount in SERVICES["broker"].mounts if mount.file}
    folder = mosquitto_files.FOLDER
    assert files == {
        "/mosquitto/config/mosquitto.conf": folder / "mosquitto.conf",
        "/mosquitto/conf.d": folder / "conf.d",
    }
    assert SERVICES["broker"].said["working_dir"] == "/mosquitto"
    local = (folder / "conf.d" / "local.conf").read_text(encoding="utf-8")
    port = SERVICES["broker"].said["healthcheck"]["test"][-1]
    assert re.findall(r"^listener (\d+)$", local, re.M) == [port]
    told = {s.environment.get("STEWARD_BROKER_PORT", port) for s in OURS.values()}
    assert told == {port}


def test_what_the_server_is_told_of_influxdb_is_what_influxdb_is_told() -> None:
    store = SERVICES["influxdb"].environment
    settings = read_settings(SERVICES["server"].environment)
    assert settings.store == "influxdb"
    assert store["DOCKER_INFLUXDB_INIT_MODE"] == "setup"
    assert settings.influx_org == store["DOCKER_INFLUXDB_INIT_ORG"]
    assert settings.influx_bucket == store["DOCKER_INFLUXDB_INIT_BUCKET"]
    assert settings.influx_url == "http://influxdb:8086"


def test_lines_are_the_plants_own_with_the_hosts_of_compose() -> None:
    plant = load_plant(RIVERSIDE)
    lines = json.loads((ROOT / "deploy" / "lines.json").read_text(encoding="utf-8"))
    hosts = {"mqtt": "broker", "tcp": "devices", "rtsp": "devices"}
    assert lines == {k: f"{hosts[line.kind]}:{line.port}" for k, line in plant.lines.items()}
    assert set(hosts.values()) <= set(SERVICES)


def test_every_agent_of_the_plant_has_its_container() -> None:
    words = [s.said["command"] for s in OURS.values()]
    agents = [w[2] for w in words if w[0] == "edge"]
    assert sorted(agents) == sorted(load_plant(RIVERSIDE).agents)


def test_people_are_told_of_every_container() -> None:
    told = (ROOT / "deploy" / "README.md").read_text(encoding="utf-8")
    assert [name for name in SERVICES if f"`{name}`" not in told] == []
    front = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "docker compose up" in front
    assert "(SECURITY.md)" in front


# --- secrets -----------------------------------------------------------------------------------------


def shared(folder: Path) -> sharing.Shares:
    return sharing.shares([load_plant(RIVERSIDE)], Settings(data=folder), simulated=True)


def test_each_container_is_given_its_own_secrets_and_nobody_elses(tmp_path: Path) -> None:
    given = {who: set(files) for who, files in shared(tmp_path).items()}
    assert given == {
        "broker": {"passwords", "acl"},
        "influxdb": {"password", "token"},
        "server": {"broker-collector", "influx-token"},
        "riverside.edge-a": {"broker-riverside.edge-a"},
        "riverside.edge-b": {"broker-riverside.edge-b", "cameras"},
        "devices": {"broker-devices.riverside.pits", "cameras"},
    }
    mounted = {m.target.removeprefix("/secrets/"): m.source for m in SERVICES["secrets"].mounts}
    assert set(mounted) - {"/data"} == set(given)
    for who, volume in mounted.items():
        users = {s.name for s in SERVICES.values() for m in s.mounts if m.source == volume}
        allowed = {"/data": set(), "devices": {"devices", "technician"}, "server": {"server", "technician"}}  # fmt: skip
        assert users - {"secrets"} == allowed.get(who, {who.removeprefix("riverside.")})


def test_the_image_has_a_folder_for_every_share() -> None:
    args = {json.dumps(s.said["build"], sort_keys=True) for s in OURS.values()}
    assert len(args) == 1
    given = json.loads(args.pop())["args"]["SHARES"].split()
    targets = [m.target for m in SERVICES["secrets"].mounts]
    assert sorted(f"/secrets/{name}" for name in given) == sorted(set(targets) - {"/data"})


def test_secrets_are_made_once_and_a_second_start_shares_the_same(tmp_path: Path) -> None:
    first, second = shared(tmp_path), shared(tmp_path)
    for who in set(first) - {"broker"}:  # the hash of a password has a new salt each time
        assert first[who] == second[who]
    everything = [text for who, files in first.items() if who != "broker" for text in files.values()]  # fmt: skip
    assert all(len(text) >= 32 for text in everything)
    assert all(text not in first["broker"]["passwords"] for text in everything)


def test_the_command_writes_them_readable_by_their_owner_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEWARD_DATA", str(tmp_path / "data"))
    into = tmp_path / "into"
    words = ["secrets", str(RIVERSIDE), "--into", str(into), "--simulated"]
    assert main.main(words) == main.DONE
    assert main.main(words) == main.DONE
    files = [path for path in into.rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert {path.parent.name for path in files} == set(shared(tmp_path / "other"))


def test_what_only_people_know_is_asked_for_and_never_made_up(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    plant = load_plant(RIVERSIDE)
    with pytest.raises(SettingsError, match="'cameras' is missing: write it to"):
        sharing.shares([plant], settings, simulated=False)
    (tmp_path / "secrets" / "cameras").write_text("known to the installer\n", encoding="utf-8")
    given = sharing.shares([plant], settings, simulated=False)
    assert given["riverside.edge-b"]["cameras"] == "known to the installer"
    assert "devices" not in given


def test_devices_speak_on_their_own_topics_and_only_their_agent_hears(tmp_path: Path) -> None:
    acl = shared(tmp_path)["broker"]["acl"]
    assert acl.startswith(mosquitto_files.ACL.read_text(encoding="utf-8"))
    assert acl.split("# MQTT devices of this installation.\n")[1].splitlines() == [
        "user riverside/edge-b",
        "topic read devices/riverside/pit-1/#",
        "user devices/riverside/pits",
        "topic write devices/riverside/pit-1/#",
    ]


# --- image -------------------------------------------------------------------------------------------


def test_the_image_holds_every_package_and_nothing_that_is_not_there() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    copied = {source for source, _ in image_copies()}
    assert copied == packages | {"steward.py", "deploy"}
    left_out = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert all((ROOT / source).exists() for source in copied)
    assert not copied & set(left_out)


def test_the_image_installs_the_lock_with_hashes_and_gives_up_root() -> None:
    lines = dockerfile()
    froms = [line.split()[1] for line in lines if line.startswith("FROM ")]
    assert froms == ["node:20-slim", "python:3.11-slim", "python:3.11-slim"]
    (install,) = [line for line in lines if "pip install" in line]
    assert "--no-deps --require-hashes --only-binary :all: -r /run.txt" in install
    assert "COPY requirements/run.txt /run.txt" in lines
    assert any("npm ci" in line for line in lines)
    assert [line for line in lines if line.startswith("USER")] == ["USER 1000:1000"]
    after = lines[lines.index("USER 1000:1000") :]
    assert not [line for line in after if line.startswith(("RUN", "COPY", "ADD"))]


def test_the_console_is_copied_from_where_it_is_built() -> None:
    built = (ROOT / "api" / "console" / "vite.config.ts").read_text(encoding="utf-8")
    assert 'outDir: "../static"' in built
    assert "WORKDIR /build/api/console" in dockerfile()
    assert "COPY --from=console /build/api/static api/static" in dockerfile()
    first = next(line for line in dockerfile() if line.startswith("COPY api/console/package.json"))
    assert all((ROOT / source).is_file() for source in first.split()[1:-1])
