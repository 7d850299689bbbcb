"""`steward secrets PLANT… --into FOLDER`: makes an installation's secrets and gives each container its own.

All secrets are kept in the data folder; `FOLDER/<who>` receives only what that one needs, so that a
deployment mounts one small folder into each container. What is there stays: it may run at every start.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from commands.access import (
    SERVER,
    device_user,
    edge_user,
    make_secret,
    make_secrets,
    secret_name,
    secrets_folder,
    write_secret,
)
from commands.broker_topics import rights_of
from commands.mosquitto_files import acl_file, passwords_file
from commands.serving import plant_of
from config.plant import Plant, Secret
from config.settings import Settings, read_secret, read_settings

EXAMPLE = "secrets config/plants/riverside --into /secrets --simulated"
INFLUX_TOKEN, INFLUX_PASSWORD = "influx-token", "influx-password"  # names of files
Shares = Mapping[str, Mapping[str, str]]
"""Who to file name to its text."""


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("plant", nargs="+", help="folders of the plants")
    parser.add_argument("--into", required=True, help="folder that receives one folder for each process")  # fmt: skip
    parser.add_argument("--simulated", action="store_true", help="make the devices' passwords too, and a folder for the simulated devices")  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """0 when everybody has its secrets; 2 with the name of each that a person must write down."""
    settings = read_settings()
    plants = [plant_of(folder, settings) for folder in arguments.plant]
    into = Path(arguments.into)
    for who, files in shares(plants, settings, simulated=arguments.simulated).items():
        for name, text in files.items():
            write_secret(into / who / name, text.rstrip("\n"))
    print(f"steward secrets: kept in {secrets_folder(settings)}, shared into {into}", file=sys.stderr)  # fmt: skip
    return 0


def shares(plants: Sequence[Plant], settings: Settings, *, simulated: bool) -> Shares:
    """Make what is missing; who needs what.

    Raises:
        SettingsError: a device's password, which only people know, is not in the data folder.
    """
    folder = secrets_folder(settings)
    words = make_secrets(plants, settings)
    for name in (INFLUX_TOKEN, INFLUX_PASSWORD):
        make_secret(folder / name)
    if simulated:
        for plant in plants:
            for secret in _of_devices(plant):
                make_secret(folder / secret.name)
    own = {user: {secret_name(user): word} for user, word in words.items()}
    token, password = (read_secret(Secret(n), folder) for n in (INFLUX_TOKEN, INFLUX_PASSWORD))
    shared = {
        "broker": {"passwords": passwords_file(words), "acl": acl_file(rights_of(plants))},
        "influxdb": {"password": password, "token": token},
        "server": {**own[SERVER], INFLUX_TOKEN: token},
    }
    for plant in plants:
        for agent in plant.agents:
            mine = {s.name: read_secret(s, folder) for s in _of_devices(plant, agent)}
            shared[f"{plant.site}.{agent}"] = {**own[edge_user(plant.site, agent)], **mine}
    if simulated:
        shared["devices"] = _of_simulation(plants, own, folder)
    return shared


def _of_simulation(
    plants: Sequence[Plant], own: Mapping[str, Mapping[str, str]], folder: Path
) -> dict[str, str]:
    files: dict[str, str] = {}
    for plant in plants:
        files |= {secret.name: read_secret(secret, folder) for secret in _of_devices(plant)}
        for line in plant.lines.values():
            files |= own.get(device_user(plant.site, line.id), {})
    return files


def _of_devices(plant: Plant, agent: str = "") -> list[Secret]:
    """The passwords of devices and lines, each once; those of one agent's lines when it is given."""
    lines = {line.id: line for line in plant.lines.values() if agent in ("", line.agent)}
    wanted = [line.secret for line in lines.values()]
    wanted += [secret for device in plant.devices.values() if device.line in lines for secret in device.secrets()]  # fmt: skip
    return list(dict.fromkeys(secret for secret in wanted if secret is not None))
