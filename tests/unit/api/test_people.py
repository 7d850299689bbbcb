"""Accounts: nothing secret is kept, links work once, and guessing is slowed down."""

import pytest

from api.adapters.desk_memory import MemoryDesk
from api.people import LINK_MS, SESSION, SESSION_MS, Carried, Lockout, People, clean_name, digest
from api.ports import Conflict, DeskRow
from api.problems import Problem
from config.clock import SteppedClock
from tests.unit.api.web import CHEAP, PASSWORD


class Office:
    """People at a desk whose wall clock the test moves."""

    def __init__(self) -> None:
        self.clock = SteppedClock()
        self.desk = MemoryDesk()
        self.people = People(self.desk, self.clock, CHEAP)

    def open(self) -> None:
        """The first admin is there."""
        self.people.set_up(link_of(self.people.first_start_link()), "wang", PASSWORD)

    def kept(self) -> str:
        """Everything that the desk keeps, as text."""
        streams = ("person", "password", "session", "link", "token")
        rows = [r for s in streams for r in self.desk.rows(s)]
        events = [e for r in rows for e in self.desk.history("person", "", r.id)]
        return repr((rows, events))


@pytest.fixture
def office() -> Office:
    return Office()


def refused(kind: str) -> "pytest.RaisesExc[Problem]":
    return pytest.raises(Problem, check=lambda p: p.kind == kind)


def link_of(path: str | None) -> str:
    assert path is not None
    return path.removeprefix("/setup?link=")


def test_the_first_start_link_makes_the_first_admin_once(office: Office) -> None:
    link = link_of(office.people.first_start_link())
    assert office.people.link_person(link) == ""
    office.people.set_up(link, "wang", PASSWORD)
    caller = office.people.by_session(office.people.sign_in("wang", PASSWORD))
    assert caller is not None
    assert (caller.roles, caller.sites) == (("admin",), ("*",))
    with refused("link-used"):
        office.people.set_up(link, "li", PASSWORD)
    assert office.people.first_start_link() is None


async def test_a_link_is_too_old_after_a_day(office: Office) -> None:
    link = link_of(office.people.first_start_link())
    await office.clock.advance(LINK_MS / 1000)
    assert office.people.link_person(link) is None
    with refused("link-used"):
        office.people.set_up(link, "wang", PASSWORD)


def test_a_second_start_ends_the_first_ones_link(office: Office) -> None:
    first = link_of(office.people.first_start_link())
    office.people.first_start_link()
    with refused("link-used"):
        office.people.set_up(first, "wang", PASSWORD)


async def test_a_restart_keeps_the_first_link_while_it_is_valid(office: Office) -> None:
    first = str(office.people.first_start_link())
    assert office.people.first_start_link(first) == first
    await office.clock.advance(LINK_MS / 1000)
    later = str(office.people.first_start_link(first))
    assert later != first
    office.people.set_up(link_of(later), "wang", PASSWORD)
    assert office.people.first_start_link(later) is None


def test_a_first_start_link_makes_no_second_admin(office: Office) -> None:
    link = link_of(office.people.first_start_link())
    office.people.add("li", ["viewer"], ["*"], by="cli", password=PASSWORD)
    with refused("link-used"):
        office.people.set_up(link, "wang", PASSWORD)


def test_an_invitation_sets_the_password_of_the_one_it_was_made_for(office: Office) -> None:
    link = link_of(office.people.add("li", ["operator"], ["riverside"], by="wang"))
    assert office.people.link_person(link) == "li"
    with refused("invalid"):
        office.people.set_up(link, "wang", PASSWORD)
    office.people.set_up(link, "li", PASSWORD)
    caller = office.people.by_session(office.people.sign_in("li", PASSWORD))
    assert caller is not None
    assert (caller.may_see("riverside"), caller.may_see("hillside")) == (True, False)
    with refused("link-used"):
        office.people.set_up(link, "li", PASSWORD)


def test_two_uses_of_a_link_at_once_leave_one(office: Office) -> None:
    link = link_of(office.people.add("li", ["operator"], ["*"], by="wang"))
    append = office.desk.append

    def slower(*arguments: object) -> object:
        office.desk.append = append  # type: ignore[method-assign]  # only once
        office.people.set_up(link, "li", PASSWORD + "!")
        return append(*arguments)  # type: ignore[arg-type]  # handed on

    office.desk.append = slower  # type: ignore[method-assign,assignment]  # the other is quicker
    with refused("link-used"):
        office.people.set_up(link, "li", PASSWORD)
    assert office.people.sign_in("li", PASSWORD + "!")


def test_nothing_secret_is_kept(office: Office) -> None:
    link = link_of(office.people.first_start_link())
    office.people.set_up(link, "wang", PASSWORD)
    session = office.people.sign_in("wang", PASSWORD)
    token = office.people.make_token("grafana", ["viewer"], ["*"], "wang")
    kept = office.kept()
    for secret in (link, PASSWORD, session, token, token.split("_", 2)[2]):
        assert secret not in kept


@pytest.mark.parametrize(
    ("name", "password"),
    [("wang", "wrong password"), ("nobody", PASSWORD), ("", ""), ("wang", "x" * 500)],
)
def test_a_wrong_name_or_password_looks_the_same(office: Office, name: str, password: str) -> None:
    office.people.add("wang", ["viewer"], ["*"], by="cli", password=PASSWORD)
    with refused("wrong-name-or-password"):
        office.people.sign_in(name, password)


def test_who_has_no_password_yet_cannot_sign_in(office: Office) -> None:
    office.people.add("li", ["viewer"], ["*"], by="cli")
    with refused("wrong-name-or-password"):
        office.people.sign_in("li", "")


async def test_ten_failures_lock_a_name_for_a_while(office: Office) -> None:
    office.people.add("wang", ["viewer"], ["*"], by="cli", password=PASSWORD)
    for _ in range(10):
        with refused("wrong-name-or-password"):
            office.people.sign_in("wang", "wrong password")
    with refused("locked"):
        office.people.sign_in("wang", PASSWORD)
    await office.clock.advance(899)
    with pytest.raises(Problem) as locked:
        office.people.sign_in("wang", PASSWORD)
    assert locked.value.extras["retry_after_s"] == 1
    await office.clock.advance(1)
    assert office.people.sign_in("wang", PASSWORD)


def test_a_right_password_forgets_the_failures(office: Office) -> None:
    office.people.add("wang", ["viewer"], ["*"], by="cli", password=PASSWORD)
    for _ in range(3):
        for _ in range(9):
            with refused("wrong-name-or-password"):
                office.people.sign_in("wang", "wrong password")
        office.people.sign_in("wang", PASSWORD)


def test_many_names_do_not_grow_the_list_of_failures() -> None:
    lockout = Lockout(SteppedClock(), names_max=10)
    for n in range(1000):
        lockout.attempt(f"name {n}")
    assert len(lockout._tries) == 10


async def test_a_session_ends_by_signing_out_and_by_age(office: Office) -> None:
    office.people.add("wang", ["viewer"], ["*"], by="cli", password=PASSWORD)
    first, second = (office.people.sign_in("wang", PASSWORD) for _ in range(2))
    caller = office.people.by_session(first)
    assert caller is not None
    office.people.sign_out(caller.session)
    office.people.sign_out(caller.session)
    assert office.people.by_session(first) is None
    assert office.people.by_session(second) is not None
    await office.clock.advance(SESSION_MS / 1000)
    assert office.people.by_session(second) is None


@pytest.mark.parametrize("secret", ["", "x", "x" * 10_000])
def test_a_session_that_was_never_made_is_nobodys(office: Office, secret: str) -> None:
    assert office.people.by_session(secret) is None


def test_a_token_speaks_until_it_is_revoked(office: Office) -> None:
    token = office.people.make_token("grafana", ["viewer"], ["riverside"], "wang")
    caller = office.people.by_token(token)
    assert caller is not None
    assert (caller.name, caller.csrf) == ("grafana", "")
    (row,) = office.people.tokens()
    assert "hash" not in row
    office.people.revoke(str(row["id"]), "wang")
    assert office.people.by_token(token) is None
    assert office.people.tokens() == []
    with refused("not-found"):
        office.people.revoke(str(row["id"]), "wang")


@pytest.mark.parametrize(
    "token", ["", "stw", "stw_", "stw__", "stw_abc_def", "xyz_1_2", "stw_a/b_c"]
)
def test_what_is_no_token_is_nobodys(office: Office, token: str) -> None:
    office.people.make_token("grafana", ["viewer"], ["*"], "wang")
    assert office.people.by_token(token) is None


def test_a_token_with_another_secret_is_nobodys(office: Office) -> None:
    token = office.people.make_token("grafana", ["viewer"], ["*"], "wang")
    assert office.people.by_token(token + "x") is None


def test_of_many_who_are_looked_at_together_each_is_who_it_is(office: Office) -> None:
    """What each alone is said to be, with those among them whose token or session has ended."""
    people = office.people
    office.open()
    for name in ("li", "zhao", "gone"):
        people.add(name, ["operator"], [f"site-{name}"], by="cli", password=PASSWORD)
    tokens = [people.make_token(f"t{n}", ["viewer"], [f"site-{n}"], "wang") for n in range(20)]
    sessions = [people.sign_in(name, PASSWORD) for name in ("wang", "li", "li", "zhao", "gone")]
    people.revoke(tokens[3].split("_")[1], "wang")
    people.sign_out(digest(sessions[2]))
    people.set_up(link_of(people.new_link("zhao", "wang")), "zhao", PASSWORD)
    people.close("gone", "wang")
    no_tokens = [
        "",
        "stw",
        tokens[0] + "x",
        f"stw_{tokens[1].split('_')[1]}_{tokens[2].split('_')[2]}",
    ]
    carried = [Carried("token", t) for t in (*tokens, *no_tokens)]
    carried += [Carried("session", s) for s in (*sessions, "", "x", tokens[0])]
    carried += [Carried("token", sessions[0])]
    whose = people.by_each(carried)
    found = {one: caller for one in carried if (caller := whose(one)) is not None}
    seen = {one: caller.name for one, caller in found.items()}
    assert seen == {
        **{Carried("token", t): f"t{n}" for n, t in enumerate(tokens) if n != 3},
        Carried("session", sessions[0]): "wang",
        Carried("session", sessions[1]): "li",
    }
    assert found[Carried("token", tokens[5])].sites == ("site-5",)
    alone = {"token": people.by_token, "session": people.by_session}
    assert all(whose(one) == alone[one.kind](one.secret) for one in carried)


async def test_a_look_at_many_ends_sessions_that_are_over(office: Office) -> None:
    office.open()
    session = Carried("session", office.people.sign_in("wang", PASSWORD))
    assert office.people.by_each([session])(session) is not None
    await office.clock.advance(SESSION_MS / 1000)
    assert office.people.by_each([session])(session) is None


def test_a_session_that_cannot_be_read_is_nobody_elses_trouble(office: Office) -> None:
    token = Carried("token", office.people.make_token("grafana", ["viewer"], ["*"], "wang"))
    far = office.clock.now() + SESSION_MS
    office.desk.append([], [DeskRow(SESSION, "", digest("torn"), True, {"expires": far}, 1)])
    torn = Carried("session", "torn")
    whose = office.people.by_each([token, torn])
    caller = whose(token)
    assert caller is not None
    assert caller.name == "grafana"
    with pytest.raises(KeyError):
        whose(torn)


def test_who_was_not_asked_about_is_nobody(office: Office) -> None:
    token = Carried("token", office.people.make_token("grafana", ["viewer"], ["*"], "wang"))
    assert office.people.by_each([])(token) is None


@pytest.mark.parametrize(
    "name", ["", "   ", "x" * 65, "readings", "Readings", "steward", "a\nb", "a\x00b", "a\u202eb"]
)
def test_some_names_are_nobodys(name: str) -> None:
    with refused("invalid"):
        clean_name(name)


@pytest.mark.parametrize("name", ["王伟", "Ann O'Neil", "x" * 64])
def test_people_are_named_as_they_are(name: str) -> None:
    assert clean_name(f" {name} ") == name


@pytest.mark.parametrize("password", ["", "short", "x" * 201])
def test_some_passwords_are_refused(office: Office, password: str) -> None:
    with refused("invalid"):
        office.people.set_up(link_of(office.people.first_start_link()), "wang", password)


@pytest.mark.parametrize("roles", [[], ["king"], ["viewer", "king"]])
def test_roles_are_those_there_are(office: Office, roles: list[str]) -> None:
    with refused("invalid"):
        office.people.add("wang", roles, ["*"], by="cli")


def test_a_name_is_given_once(office: Office) -> None:
    office.people.add("wang", ["viewer"], ["*"], by="cli")
    with refused("conflict"):
        office.people.add("wang", ["admin"], ["*"], by="cli")
    (person,) = office.people.everybody()
    assert (person["name"], person["roles"], person["password_set"]) == ("wang", ["viewer"], False)


def test_an_account_that_is_closed_ends_its_sessions(office: Office) -> None:
    office.people.add("wang", ["admin"], ["*"], by="cli", password=PASSWORD)
    office.people.add("li", ["viewer"], ["*"], by="cli", password=PASSWORD)
    session = office.people.sign_in("li", PASSWORD)
    office.people.close("li", "wang")
    assert office.people.by_session(session) is None
    with refused("wrong-name-or-password"):
        office.people.sign_in("li", PASSWORD)
    with refused("not-found"):
        office.people.close("li", "wang")
    with refused("refused"):
        office.people.close("wang", "wang")
    assert [p["active"] for p in office.people.everybody()] == [False, True]


def test_the_last_admin_of_all_sites_stays_also_beside_one_of_a_site(office: Office) -> None:
    office.people.add("wang", ["admin"], ["*"], by="cli")
    office.people.add("li", ["admin"], ["riverside"], by="cli")
    with refused("refused"):
        office.people.close("wang", "li")
    office.people.close("li", "wang")


def test_a_forgotten_password_is_chosen_anew_by_a_link(office: Office) -> None:
    office.people.add("li", ["viewer"], ["*"], by="cli", password=PASSWORD)
    link = link_of(office.people.new_link("li", "wang"))
    office.people.set_up(link, "li", "another password")
    assert office.people.sign_in("li", "another password")
    with refused("wrong-name-or-password"):
        office.people.sign_in("li", PASSWORD)
    with refused("not-found"):
        office.people.new_link("nobody", "wang")


def test_a_desk_that_is_in_conflict_keeps_nobody(office: Office) -> None:
    def conflicting(*_arguments: object) -> object:
        raise Conflict("somebody else")

    office.desk.append = conflicting  # type: ignore[method-assign,assignment]  # the fault
    with refused("conflict"):
        office.people.add("wang", ["viewer"], ["*"], by="cli")


def test_a_hash_that_cannot_be_read_opens_nothing() -> None:
    assert not CHEAP.verify("not a hash", PASSWORD)


def test_a_new_password_ends_the_sessions_before_it(office: Office) -> None:
    office.people.add("li", ["viewer"], ["*"], by="cli", password=PASSWORD)
    office.people.add("wang", ["admin"], ["*"], by="cli", password=PASSWORD)
    old, others = office.people.sign_in("li", PASSWORD), office.people.sign_in("wang", PASSWORD)
    link = link_of(office.people.new_link("li", "wang"))
    assert office.people.by_session(old) is not None
    office.people.set_up(link, "li", "another password")
    assert office.people.by_session(old) is None
    assert office.people.by_session(others) is not None
    assert office.people.by_session(office.people.sign_in("li", "another password")) is not None


def test_a_new_link_ends_the_earlier_ones_of_the_same_person_only(office: Office) -> None:
    first = link_of(office.people.add("li", ["viewer"], ["*"], by="cli"))
    others = link_of(office.people.add("wang", ["viewer"], ["*"], by="cli"))
    second = link_of(office.people.new_link("li", "cli"))
    assert office.people.link_person(first) is None
    with refused("link-used"):
        office.people.set_up(first, "li", PASSWORD)
    assert [office.people.link_person(link) for link in (second, others)] == ["li", "wang"]


def test_a_link_that_is_used_ends_the_unused_ones(office: Office) -> None:
    office.people.add("li", ["viewer"], ["*"], by="cli")
    first, second = "first link", "second link"
    office.desk.append([], [office.people._link(secret, "li") for secret in (first, second)])
    office.people.set_up(second, "li", PASSWORD)
    with refused("link-used"):
        office.people.set_up(first, "li", "another password")
