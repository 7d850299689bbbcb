"""People, their sessions, one-time links and API tokens: only hashes are kept of what is secret."""

import secrets
import unicodedata
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from typing import Any, Literal, Protocol

from api.desk.work_orders import READINGS, ROLES
from api.ports import Conflict, Desk, DeskEvent, DeskRow
from api.problems import Problem
from config.clock import Clock

PERSON, PASSWORD, SESSION, LINK, TOKEN = "person", "password", "session", "link", "token"
HOUR_MS = 3_600_000
SESSION_MS = 7 * 24 * HOUR_MS
LINK_MS = 24 * HOUR_MS
PASSWORD_MIN, PASSWORD_MAX, NAME_MAX = 10, 200, 64
RESERVED = frozenset({READINGS, "steward"})


class Hasher(Protocol):
    """How passwords are hashed."""

    def hash(self, password: str) -> str: ...

    def verify(self, hashed: str, password: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: a person by session (`csrf` is set) or a token. `sites` may hold `*`."""

    name: str
    roles: tuple[str, ...]
    sites: tuple[str, ...]
    csrf: str = ""
    session: str = ""
    locale: str = "en"

    def may_see(self, site: str) -> bool:
        """Whether the site is in this caller's scope."""
        return "*" in self.sites or site in self.sites

    def covers(self, sites: Sequence[str]) -> bool:
        """Whether a grant for these sites lies in this caller's scope; one for none is `*`'s to give."""
        return "*" in self.sites or (bool(sites) and set(sites) <= set(self.sites))


@dataclass(frozen=True, slots=True)
class Carried:
    """The secret of a token or a session, as a request carries it; empty if there is none."""

    kind: Literal["token", "session"]
    secret: str


class Lockout:
    """Counts failures per name: after `failures_max` it is locked for `locked_s` real seconds.

    Bounded: the names tried longest ago are forgotten first.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        failures_max: int = 10,
        locked_s: float = 900.0,
        names_max: int = 10_000,
    ) -> None:
        self._clock = clock
        self._failures_max = failures_max
        self._locked_s = locked_s
        self._names_max = names_max
        self._tries: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def attempt(self, name: str) -> None:
        """Count one try before it is known whether it is right.

        Raises:
            Problem: `locked`, with the seconds to wait.
        """
        now = self._clock.monotonic()
        count, last = self._tries.pop(name, (0, now))
        if now - last >= self._locked_s:
            count = 0
        locked = count >= self._failures_max
        self._tries[name] = (count, last) if locked else (count + 1, now)
        while len(self._tries) > self._names_max:
            self._tries.popitem(last=False)
        if locked:
            wait = round(self._locked_s - (now - last))
            raise Problem("locked", f"wait {wait} s", retry_after_s=wait)

    def forget(self, name: str) -> None:
        """The try was right."""
        self._tries.pop(name, None)


_Look = Callable[[str, str], DeskRow | None]
"""A row of people by stream and id, None if there is none."""


def digest(secret: str) -> str:
    """What is kept of a random secret."""
    return sha256(secret.encode()).hexdigest()


def clean_name(name: str) -> str:
    """A person's name as it is kept.

    Raises:
        Problem: empty, too long, reserved, or with characters that cannot be seen.
    """
    name = unicodedata.normalize("NFC", name).strip()
    if not 1 <= len(name) <= NAME_MAX or not name.isprintable() or name.casefold() in RESERVED:
        raise Problem(
            "invalid", f"a name has 1 to {NAME_MAX} visible characters and is not reserved"
        )
    return name


def check_password(password: str) -> None:
    """Refuse a password that is too short or too long.

    Raises:
        Problem: `invalid`.
    """
    if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
        raise Problem("invalid", f"a password has {PASSWORD_MIN} to {PASSWORD_MAX} characters")


class People:
    """Who may do what. Calls block. `clock` is real wall time also where the site's time is scaled."""

    def __init__(self, desk: Desk, clock: Clock, hasher: Hasher) -> None:
        self._desk = desk
        self._clock = clock
        self._hasher = hasher
        self._lockout = Lockout(clock)
        self._nobody = hasher.hash(secrets.token_urlsafe(16))

    # --- sessions ------------------------------------------------------------------------------

    def sign_in(self, name: str, password: str) -> str:
        """The secret of a new session.

        Raises:
            Problem: `wrong-name-or-password`, `locked`. It takes as long for names that are unknown.
        """
        name = unicodedata.normalize("NFC", name).strip()[:NAME_MAX]
        self._lockout.attempt(name)
        person = self._desk.row(PERSON, "", name)
        row = self._desk.row(PASSWORD, "", name)
        hashed = row.data["hash"] if row else self._nobody
        right = self._hasher.verify(hashed, password[: PASSWORD_MAX + 1])
        if not right or person is None or not person.open:
            raise Problem("wrong-name-or-password")
        self._lockout.forget(name)
        secret, now = secrets.token_urlsafe(32), self._clock.now()
        data = {
            "person": name, "csrf": secrets.token_urlsafe(24),
            "created": now, "expires": now + SESSION_MS, "password": row.version if row else 0,
        }  # fmt: skip
        row = DeskRow(SESSION, "", digest(secret), True, data)
        self._desk.append([self._event(name, "signed_in", name, row.id)], [row])
        return secret

    def sign_out(self, session: str) -> None:
        """End a session by its id; nothing happens if it has ended."""
        row = self._desk.row(SESSION, "", session)
        if row is None or not row.open:
            return
        name = row.data["person"]
        ended = DeskRow(SESSION, "", row.id, False, row.data, row.version + 1)
        self._desk.append([self._event(name, "signed_out", name, row.id)], [ended])

    def by_each(self, carried: Collection[Carried]) -> Callable[[Carried], Caller | None]:
        """Looks once for all of them; what it returns says of each whose it is, None if nobody's (any more)."""
        rows: dict[tuple[str, str], DeskRow] = {}

        def take(stream: str, ids: Collection[str]) -> None:
            found = self._desk.those(stream, "", ids)
            rows.update({(stream, id): row for id, row in found.items()})

        take(TOKEN, {_token_id(c.secret) for c in carried if c.kind == "token"} - {""})
        take(SESSION, {digest(c.secret) for c in carried if c.kind == "session"})
        names = {row.data.get("person", "") for (stream, _), row in rows.items() if stream == SESSION}  # fmt: skip
        take(PERSON, names)
        take(PASSWORD, names)

        def whose(one: Carried) -> Caller | None:
            by = self._by_token if one.kind == "token" else self._by_session
            return by(one.secret, lambda stream, id: rows.get((stream, id)))

        return whose

    def _row(self, stream: str, id: str) -> DeskRow | None:
        return self._desk.row(stream, "", id)

    def by_session(self, secret: str) -> Caller | None:
        """Whose session it is, None if there is none (any more). A new password ends those before it."""
        return self._by_session(secret, self._row)

    def _by_session(self, secret: str, look: _Look) -> Caller | None:
        row = look(SESSION, digest(secret))
        if row is None or not row.open or row.data["expires"] <= self._clock.now():
            return None
        person, password = look(PERSON, row.data["person"]), look(PASSWORD, row.data["person"])
        if person is None or not person.open or password is None:
            return None
        if row.data.get("password") != password.version:
            return None
        return _caller(person.data, csrf=row.data["csrf"], session=row.id)

    # --- tokens --------------------------------------------------------------------------------

    def make_token(self, name: str, roles: Sequence[str], sites: Sequence[str], by: str) -> str:
        """A new API token; it is shown once, only its hash is kept."""
        name = clean_name(name)
        id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        data = {
            "id": id, "name": name, "roles": _roles(roles), "sites": list(sites),
            "hash": digest(secret), "created": self._clock.now(), "by": by,
        }  # fmt: skip
        self._desk.append(
            [self._event(name, "token_made", by, id)], [DeskRow(TOKEN, "", id, True, data)]
        )
        return f"stw_{id}_{secret}"

    def by_token(self, token: str) -> Caller | None:
        """Whose token it is, None if there is none (any more)."""
        return self._by_token(token, self._row)

    def _by_token(self, token: str, look: _Look) -> Caller | None:
        id = _token_id(token)
        row = look(TOKEN, id) if id else None
        secret = token.partition("_")[2].partition("_")[2]
        if row is None or not row.open or not compare_digest(row.data["hash"], digest(secret)):
            return None
        return _caller(row.data)

    def token_sites(self, id: str) -> list[str]:
        """The scope of a token in use.

        Raises:
            Problem: `not-found`.
        """
        return list(self._token(id).data["sites"])

    def _token(self, id: str) -> DeskRow:
        row = self._desk.row(TOKEN, "", id)
        if row is None or not row.open:
            raise Problem("not-found", "there is no such token")
        return row

    def tokens(self) -> list[Mapping[str, Any]]:
        """Tokens in use, without their secrets."""
        rows = self._desk.rows(TOKEN, open_only=True)
        return [{k: v for k, v in row.data.items() if k != "hash"} for row in rows]

    def revoke(self, id: str, by: str) -> None:
        """End a token.

        Raises:
            Problem: `not-found`.
        """
        row = self._token(id)
        gone = DeskRow(TOKEN, "", id, False, row.data, row.version + 1)
        self._desk.append([self._event(row.data["name"], "token_revoked", by, id)], [gone])

    # --- people and links ----------------------------------------------------------------------

    def everybody(self) -> list[Mapping[str, Any]]:
        """Everyone who has or had an account, newest first."""
        return [
            {**row.data, "active": row.open, "password_set": self._has_password(row.id)}
            for row in self._desk.rows(PERSON)
        ]

    def add(
        self, name: str, roles: Sequence[str], sites: Sequence[str], *, by: str, password: str = ""
    ) -> str | None:
        """Add a person: with a password at once, else a one-time link by which they choose one.

        Raises:
            Problem: `invalid`, or `conflict` when the name is taken.
        """
        name, rows = clean_name(name), []
        rows.append(self._person(name, roles, sites))
        link = None
        if password:
            check_password(password)
            rows.append(self._password(name, password))
        else:
            link = secrets.token_urlsafe(32)
            rows.append(self._link(link, name))
        if not self._kept(self._event(name, "added", by, name), rows):
            raise Problem("conflict", f"{name} is there already")
        return f"/setup?link={link}" if link else None

    def new_link(self, name: str, by: str) -> str:
        """A one-time link by which a person chooses a new password; it ends the earlier ones.

        Raises:
            Problem: `not-found`.
            Conflict: another was made or used at the same time.
        """
        self._member(name)
        link = secrets.token_urlsafe(32)
        event = self._event(name, "link_made", by, digest(link))
        self._desk.append([event], [*self._ended_links(name), self._link(link, name)])
        return f"/setup?link={link}"

    def close(self, name: str, by: str) -> None:
        """End an account and with it its sessions; the last administrator of all sites stays.

        Raises:
            Problem: `not-found`, or `refused` with `last_admin`.
        """
        row = self._member(name)
        admins = [r for r in self._desk.rows(PERSON, open_only=True) if "admin" in r.data["roles"]]
        whole = [r for r in admins if "*" in r.data["sites"]]
        if [r.id for r in whole or admins] == [name]:
            raise Problem("refused", "somebody must be left", reason="last_admin")
        gone = DeskRow(PERSON, "", name, False, row.data, row.version + 1)
        self._desk.append([self._event(name, "closed", by, name)], [gone])

    def works_at(self, name: str, site: str) -> bool:
        """Whether the person has an account and the site."""
        row = self._desk.row(PERSON, "", name)
        return row is not None and row.open and _caller(row.data).may_see(site)

    def sites_of(self, name: str) -> list[str]:
        """The scope of a person who has an account.

        Raises:
            Problem: `not-found`.
        """
        return list(self._member(name).data["sites"])

    def _member(self, name: str) -> DeskRow:
        row = self._desk.row(PERSON, "", name)
        if row is None or not row.open:
            raise Problem("not-found", "there is no such person")
        return row

    def first_start_link(self, kept: str = "") -> str | None:
        """The path by which the first admin is made; None once anybody exists. Valid once, for 24 h.

        `kept` is the path that was given last: a restart neither ends nor prolongs it. Another one ends all earlier.
        """
        if self._desk.rows(PERSON, limit=1):
            return None
        if kept and self.link_person(kept.rpartition("=")[2]) == "":
            return kept
        link = secrets.token_urlsafe(32)
        self._desk.append([], [*self._ended_links(""), self._link(link, "")])
        return f"/setup?link={link}"

    def link_person(self, link: str) -> str | None:
        """Whose link it is (empty: the first admin's); None if it is used, too old or unknown."""
        row = self._desk.row(LINK, "", digest(link))
        if row is None or not row.open or row.data["expires"] <= self._clock.now():
            return None
        return str(row.data["person"])

    def set_up(self, link: str, name: str, password: str) -> None:
        """Use a link: the first one makes the first admin, an invitation sets its password.

        Sessions and unused links of that person end with it.

        Raises:
            Problem: `link-used`, `invalid`.
        """
        whose, name = self.link_person(link), clean_name(name)
        if whose is None or (not whose and self._desk.rows(PERSON, limit=1)):
            raise Problem("link-used")
        if whose and whose != name:
            raise Problem("invalid", "the link was made for somebody else")
        check_password(password)
        rows = self._ended_links(whose)
        if digest(link) not in {row.id for row in rows}:
            raise Problem("link-used")
        if not whose:
            rows.append(self._person(name, ["admin"], ["*"]))
        rows.append(self._password(name, password))
        if not self._kept(self._event(name, "set_up", name, digest(link)), rows):
            raise Problem("link-used")
        self._lockout.forget(name)

    # --- rows ----------------------------------------------------------------------------------

    def _kept(self, event: DeskEvent, rows: Sequence[DeskRow]) -> bool:
        """Whether this was the first to do so."""
        try:
            return bool(self._desk.append([event], rows))
        except Conflict:
            return False

    def _has_password(self, name: str) -> bool:
        return self._desk.row(PASSWORD, "", name) is not None

    def _person(self, name: str, roles: Sequence[str], sites: Sequence[str]) -> DeskRow:
        data = {"name": name, "roles": _roles(roles), "sites": list(sites), "locale": "en"}
        return DeskRow(PERSON, "", name, True, data)

    def _password(self, name: str, password: str) -> DeskRow:
        old = self._desk.row(PASSWORD, "", name)
        data = {"hash": self._hasher.hash(password)}
        return DeskRow(PASSWORD, "", name, True, data, old.version + 1 if old else 1)

    def _link(self, link: str, person: str) -> DeskRow:
        data = {"person": person, "expires": self._clock.now() + LINK_MS}
        return DeskRow(LINK, "", digest(link), True, data)

    def _ended_links(self, person: str) -> list[DeskRow]:
        """Rows that end every unused link of a person (empty: the first admin's)."""
        return [
            DeskRow(LINK, "", r.id, False, r.data, r.version + 1)
            for r in self._desk.rows(LINK, open_only=True)
            if r.data["person"] == person
        ]

    def _event(self, subject: str, kind: str, by: str, key: str) -> DeskEvent:
        return DeskEvent(
            PERSON, "", subject, kind, self._clock.now(), by, f"{kind}:{key}", {"id": key[:16]}
        )


def _token_id(token: str) -> str:
    """Empty if it is no token of ours."""
    kind, _, rest = token.partition("_")
    id = rest.partition("_")[0]
    return id if kind == "stw" and id.isalnum() else ""


def _roles(roles: Sequence[str]) -> list[str]:
    unknown = sorted(set(roles) - set(ROLES))
    if unknown or not roles:
        raise Problem(
            "invalid", f"roles are {', '.join(ROLES)}; not {', '.join(unknown) or 'none'}"
        )
    return sorted(set(roles))


def _caller(data: Mapping[str, Any], *, csrf: str = "", session: str = "") -> Caller:
    return Caller(
        data["name"],
        tuple(data["roles"]),
        tuple(data["sites"]),
        csrf,
        session,
        data.get("locale", "en"),
    )
