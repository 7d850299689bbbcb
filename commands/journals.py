"""The journal that the settings name, and what goes with it where several servers share one in NATS."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from collector.adapters.journal_name import journal_name
from collector.adapters.journal_sqlite import SqliteJournal
from commands.access import SERVER, authorities, password, told_in
from config.plant import Plant
from config.settings import Settings

if (
    TYPE_CHECKING
):  # below where it is used: only who shares its plants waits for that library and has it in memory
    from collector.adapters.journal_nats import NatsJournal
    from collector.adapters.leases_nats import NatsLeases
    from collector.adapters.nats_link import NatsAt

AnyJournal: TypeAlias = "SqliteJournal | NatsJournal"


def shared_name(plants: Sequence[Plant]) -> str:
    """The name of journal and lease of these plants: the same for all servers that have them."""
    return "-".join(sorted(plant.site for plant in plants))


def nats_at(settings: Settings) -> "NatsAt":
    """Where NATS is; without a file of its own the password is that of the broker. Raises `SettingsError`."""
    from collector.adapters.nats_link import NatsAt

    if settings.nats_password_file:
        word = told_in("STEWARD_NATS_PASSWORD_FILE", settings.nats_password_file)
    else:
        word = password(SERVER, settings)
    ca_file = authorities("STEWARD_NATS_CA_FILE", settings.nats_ca_file)
    return NatsAt(settings.nats_url, settings.nats_user, word, ca_file=ca_file)


def open_journal(plants: Sequence[Plant], settings: Settings) -> tuple[AnyJournal, str]:
    """The journal, and the name by which a store that is not in the data folder knows it. Raises `Unavailable`."""
    if settings.journal == "nats":
        from collector.adapters.journal_nats import NatsJournal

        name = shared_name(plants)
        return NatsJournal(nats_at(settings), name), f"nats-{name}"
    folder = settings.data / "journal"
    return SqliteJournal(folder), journal_name(folder)


def open_leases(settings: Settings) -> "NatsLeases":
    """The leases of servers that share their plants. Raises `Unavailable`, `SettingsError`."""
    from collector.adapters.leases_nats import NatsLeases

    return NatsLeases(nats_at(settings), settings.collector)
