"""Who may speak to the broker and to the API of one installation: names, and secrets made at first start."""

import contextlib
import secrets
import ssl
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from config.plant import Plant, Secret
from config.settings import Settings, SettingsError, read_secret

if TYPE_CHECKING:  # an edge asks for passwords only, and starts without the desk
    from api.services import Services

SERVER = "collector"
"""The collector's name at the broker."""


def edge_user(site: str, agent: str) -> str:
    """An agent's name at the broker."""
    return f"{site}/{agent}"


def device_user(site: str, line: str) -> str:
    """The name under which the MQTT devices of a line publish at our own broker."""
    return f"devices/{site}/{line}"


def secrets_folder(settings: Settings) -> Path:
    """Where this installation keeps its secrets, readable by its owner only."""
    return settings.data / "secrets"


def key_path(secret: Secret, settings: Settings) -> Path:
    """The file of a private key: among the secrets that are mounted, else among the installation's own."""
    mounted = settings.secrets / secret.name
    return mounted if mounted.is_file() else secrets_folder(settings) / secret.name


def password(user: str, settings: Settings) -> str:
    """A broker user's password, from its file (`secrets/broker-<user>`) or the environment.

    Raises:
        SettingsError: it is nowhere.
    """
    if settings.broker_password_file:
        return told_in("STEWARD_BROKER_PASSWORD_FILE", settings.broker_password_file)
    return read_secret(Secret(secret_name(user)), secrets_folder(settings))


def told_in(variable: str, path: str) -> str:
    """What the file holds that a variable names. Raises `SettingsError`; also of one that is empty."""
    try:
        said = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise SettingsError(f"{variable}: {path} cannot be read: {error}") from error
    if not said:
        raise SettingsError(f"{variable}: {path} is empty: write the secret to it")
    return said


def authorities(variable: str, path: str) -> str:
    """The path of a file of authorities that a variable names, empty if none. Raises `SettingsError`."""
    try:
        if path:
            ssl.create_default_context(cafile=path)
    except (OSError, ValueError) as error:
        raise SettingsError(f"{variable}: {path} holds no certificate of an authority: {error}") from error  # fmt: skip
    return path


def secret_name(user: str) -> str:
    """The file in which a broker user's password is kept."""
    return "broker-" + user.replace("/", ".")


def broker_users(plants: Iterable[Plant]) -> list[str]:
    """Everybody whom the broker knows: the server, each agent, the devices of each MQTT line."""
    users = [SERVER]
    for plant in plants:
        users += [edge_user(plant.site, agent) for agent in plant.agents]
        users += [device_user(plant.site, line.id) for line in plant.lines.values() if line.kind == "mqtt"]  # fmt: skip
    return users


def make_secrets(plants: Iterable[Plant], settings: Settings) -> Mapping[str, str]:
    """Make what is missing, each random; returns broker user to password."""
    folder = secrets_folder(settings)
    private_folder(folder)
    users = broker_users(plants)
    for user in users:
        make_secret(folder / secret_name(user))
    return {user: password(user, settings) for user in users}


def private_folder(path: Path) -> None:
    """A folder that only its owner enters; one that belongs to somebody else stays as it is."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(PermissionError):
        path.chmod(0o700)


def make_secret(path: Path) -> None:
    """A random secret in a file of mode 0600; one that is there stays."""
    if not path.exists():
        write_secret(path, secrets.token_urlsafe(24))


def write_secret(path: Path, text: str) -> None:
    """Keep a secret in a file that only its owner may read, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    part.touch(mode=0o600)
    part.write_text(text + "\n", encoding="utf-8")
    part.replace(path)


def token_of(name: str, settings: Settings) -> str:
    """An API token of this installation, by name (`owner`, `technician`).

    Raises:
        SettingsError: there is none yet.
    """
    return read_secret(Secret(f"token-{name}"), secrets_folder(settings))


def owner_token_file(settings: Settings, services: "Services") -> None:
    """Give whoever owns the data folder a token, so that commands may ask the running server."""
    try:
        known = services.people.by_token(token_of("owner", settings))
    except SettingsError:
        known = None
    if known is None:
        token = services.people.make_token("owner", ["admin"], ["*"], "first start")
        write_secret(secrets_folder(settings) / "token-owner", token)
