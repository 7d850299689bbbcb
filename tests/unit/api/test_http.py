"""The HTTP contract on a hand-made site: what goes in, what comes out, in which shape."""

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import httpx
import numpy as np
import pytest

from api.aside import ASIDE
from api.desk.clocks import PAUSE_REASONS
from api.ordering import Ordering
from api.ports import Conflict, DeskRow
from api.services import Figure, Health, ask_id
from collector.ports import Outcome, SeriesKey, StoreBatch, Unavailable
from edge.readings import Reply
from tests.unit.api.desks import HIGH, LOW, TRIP
from tests.unit.api.plants import PRESSURE, PUMP, SITE, START
from tests.unit.api.web import BASE, PASSWORD, Web
from tests.waiting import until

ALARM = f"{HIGH}|1763700000000"


@pytest.fixture
def web() -> Web:
    return Web()


@pytest.fixture
async def admin(web: Web) -> AsyncIterator[httpx.AsyncClient]:
    async with web.as_role("admin", name="boss") as client:
        yield client


# --- sessions ------------------------------------------------------------------------------------


async def test_the_first_start(web: Web) -> None:
    path = web.services.first_start_link()
    assert path is not None
    link = path.split("=")[1]
    async with web.client() as client:
        assert (await client.get("/api/v1/setup", params={"link": link})).json() == {"valid": True}
        made = await client.post(
            "/api/v1/setup", json={"link": link, "name": "wang", "password": PASSWORD}
        )
        assert made.status_code == 204
        assert (await client.get("/api/v1/setup", params={"link": link})).json() == {"valid": False}
        again = await client.post(
            "/api/v1/setup", json={"link": link, "name": "li", "password": PASSWORD}
        )
        assert again.status_code == 410
        signed = await client.post("/api/v1/session", json={"name": "wang", "password": PASSWORD})
        assert signed.status_code == 204
        cookie = signed.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        me = (await client.get("/api/v1/me")).json()
        assert (me["name"], me["roles"], me["sites"]) == ("wang", ["admin"], ["*"])


async def test_a_change_by_session_needs_its_csrf_word(web: Web) -> None:
    async with web.signed_in() as client:
        body = {"name": "li", "roles": ["viewer"]}
        for word in ("", "wrong", "é"):
            headers = [(b"x-csrf", word.encode())]
            reply = await client.post("/api/v1/people", json=body, headers=headers)
            assert reply.status_code == 403, word
            assert reply.json()["type"] == "/problems/csrf"
        assert (await client.post("/api/v1/people", json=body)).status_code == 201


async def test_signing_out_ends_the_session(web: Web) -> None:
    async with web.signed_in() as client:
        cookie = client.cookies["steward_session"]
        assert (await client.delete("/api/v1/session")).status_code == 204
        client.cookies.set("steward_session", cookie)
        assert (await client.get("/api/v1/me")).status_code == 401


async def test_signing_out_without_a_session_is_no_error(web: Web) -> None:
    async with web.client() as client:
        assert (await client.delete("/api/v1/session")).status_code == 204


async def test_guessing_is_stopped(web: Web) -> None:
    async with web.signed_in():
        pass
    async with web.client() as client:
        body = {"name": "wang", "password": "wrong password"}
        replies = [(await client.post("/api/v1/session", json=body)) for _ in range(11)]
        assert [r.status_code for r in replies] == [401] * 10 + [429]
        assert int(replies[-1].headers["retry-after"]) > 0


@pytest.mark.parametrize("header", ["Bearer nonsense", "Bearer ", "Basic abc", "nonsense"])
async def test_a_token_that_is_not_right_is_nobody(web: Web, header: str) -> None:
    async with web.client() as client:
        reply = await client.get("/api/v1/me", headers={"authorization": header})
        assert reply.status_code == 401


# --- sites ---------------------------------------------------------------------------------------


async def test_sites_and_the_plant_as_loaded(web: Web, admin: httpx.AsyncClient) -> None:
    assert [s["id"] for s in (await admin.get("/api/v1/sites")).json()] == [SITE, "hillside"]
    reply = await admin.get(BASE)
    site = reply.json()
    assert [a["class"] for a in site["assets"]] == ["booster", "", ""]
    assert [p["id"] for p in site["points"]] == [PRESSURE, PUMP]
    assert site["points"][0]["states"] == {"1": {"id": "on", "en": "On", "zh": "开"}}
    assert site["rules"][0]["levels"] == [{"side": "high", "limit": 7.0, "priority": "high"}]
    assert site["rules"][0]["cause"] is None
    tag = reply.headers["etag"]
    assert (await admin.get(BASE, headers={"if-none-match": tag})).status_code == 304
    assert (await admin.get(BASE, headers={"if-none-match": '"other"'})).status_code == 200


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ([], [PRESSURE, PUMP]),
        (["water"], [PRESSURE]),
        (["Pressure_Sensor", "water", "sensor"], [PRESSURE]),
        (["water", "level"], []),
        (["Water"], []),
    ],
)
async def test_points_are_found_by_brick_class_and_haystack_markers(
    admin: httpx.AsyncClient, tags: list[str], found: list[str]
) -> None:
    rows = (await admin.get(f"{BASE}/points", params={"tag": tags})).json()
    assert [row["id"] for row in rows] == found
    assert [(row["brick"], row["haystack"]) for row in rows if row["id"] == PRESSURE] == [
        ("Pressure_Sensor", ["water", "pressure", "sensor"])
    ] * len([id for id in found if id == PRESSURE])


async def test_a_site_outside_ones_scope_is_not_there(web: Web) -> None:
    async with web.as_role("viewer", sites=("hillside",)) as client:
        assert [s["id"] for s in (await client.get("/api/v1/sites")).json()] == ["hillside"]
        for path in (
            "",
            "/points",
            "/overview",
            "/live",
            "/alarms",
            "/orders",
            "/due",
            "/live/stream",
        ):
            assert (await client.get(BASE + path)).status_code == 404


async def test_the_overview_counts_assets_and_alarms(web: Web, admin: httpx.AsyncClient) -> None:
    site = web.site
    site.read()
    for rule in web.site.plant.rules:
        site.stands(rule, "NORMAL")
    view = (await admin.get(f"{BASE}/overview")).json()
    assert view["totals"] == {
        "assets": 3,
        "normal": 3,
        "abnormal": 0,
        "unknown": 0,
        "suppressed": 0,
    }
    site.stands(HIGH, "ABNORMAL")
    site.stands(TRIP, "UNKNOWN")
    site.stands(LOW, "UNKNOWN")
    site.alarm("1", HIGH, letter="B")
    site.alarm("2", TRIP, letter="C", priority="low", acknowledged=True)
    site.alarm("3", TRIP, letter="G", priority="critical")
    view = (await admin.get(f"{BASE}/overview")).json()
    water, lifts = view["systems"]
    assert (water["abnormal"], water["unknown"], water["normal"]) == (1, 1, 0)
    assert (water["worst"], water["worst_unacknowledged"]) == ("high", True)
    assert (lifts["normal"], lifts["worst"]) == (1, None)
    assert view["active"] == {"critical": 0, "high": 1, "medium": 0, "low": 1}
    assert view["unacknowledged"] == {"critical": 0, "high": 1, "medium": 0, "low": 0}


async def test_an_asset_is_unknown_while_a_point_is_silent_or_bad(
    web: Web, admin: httpx.AsyncClient
) -> None:
    site = web.site
    for rule in web.site.plant.rules:
        site.stands(rule, "NORMAL")
    assert (await admin.get(f"{BASE}/overview")).json()["totals"]["unknown"] == 2
    site.read()
    assert (await admin.get(f"{BASE}/overview")).json()["totals"]["unknown"] == 0
    site.read({PRESSURE: 1.0}, quality=2)
    assert (await admin.get(f"{BASE}/overview")).json()["totals"]["unknown"] == 1
    site.read()
    await site.clock.advance(71)
    assert (await admin.get(f"{BASE}/overview")).json()["totals"]["unknown"] == 2


async def test_live_columns(web: Web, admin: httpx.AsyncClient) -> None:
    web.site.read({PRESSURE: 4.5})
    live = (await admin.get(f"{BASE}/live")).json()
    assert live["points"] == [PRESSURE, PUMP]
    assert live["value"] == [4.5, None]
    assert live["quality"] == [0, 64]
    assert live["source_time"] == [START, 0]
    assert live["mark"].isdigit()
    part = (await admin.get(f"{BASE}/live", params={"asset": "a-booster/pump-1"})).json()
    assert part["points"] == [PUMP]
    assert (await admin.get(f"{BASE}/live", params={"asset": "a"})).json()["points"] == []


# --- history -------------------------------------------------------------------------------------


def store(web: Web, count: int, step_ms: int = 1000) -> None:
    time = START + np.arange(count, dtype=np.int64) * step_ms
    value = np.arange(count, dtype=np.float64)
    value[3:4] = np.nan
    quality = np.zeros(count, np.uint8)
    quality[3:4] = 65
    key = SeriesKey(SITE, PRESSURE, "bar", "measurement")
    zeros = np.zeros(count, np.int64)
    web.store.write([StoreBatch([key], zeros, time, value, quality)], 1)


async def history(client: httpx.AsyncClient, **query: object) -> httpx.Response:
    span = {"point": PRESSURE, "start": START, "end": START + 10_000_000}
    return await client.get(f"{BASE}/history", params={**span, **query})  # type: ignore[dict-item]  # cases are data


async def test_few_readings_come_raw(web: Web, admin: httpx.AsyncClient) -> None:
    store(web, 2000)
    found = (await history(admin)).json()
    assert (found["resolution"], found["unit"], len(found["time"])) == ("raw", "bar", 2000)
    assert found["value"][2:5] == [2.0, None, 4.0]
    assert found["quality"][3] == 65


async def test_many_readings_come_in_buckets_that_fit(web: Web, admin: httpx.AsyncClient) -> None:
    store(web, 2001)
    found = (await history(admin)).json()
    assert found["resolution"] == 10_000
    assert len(found["time"]) <= 2000
    assert sum(found["count"]) == 2001
    assert found["worst"][0] == 65
    assert found["first"][0] == 0.0
    assert (await history(admin, resolution="raw")).status_code == 422


async def test_a_width_may_be_asked_for(web: Web, admin: httpx.AsyncClient) -> None:
    store(web, 100)
    found = (await history(admin, resolution="60000")).json()
    assert (found["resolution"], found["count"][0]) == (60_000, 60)
    refused = await history(admin, resolution="1000")
    assert (refused.status_code, refused.json()["resolution"]) == (422, 10_000)


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2025-11-21T04:40:00Z", "2025-11-21T05:40:00Z"),
        ("2025-11-21T12:40:00+08:00", "2025-11-21T13:40:00 08:00"),
        ("2025-11-21T04:40:00.000Z", str(START + 3_600_000)),
    ],
)
async def test_a_span_may_be_written_in_several_ways(
    web: Web, admin: httpx.AsyncClient, start: str, end: str
) -> None:
    store(web, 10)
    found = (await history(admin, start=start, end=end)).json()
    assert len(found["time"]) == 10


async def test_without_a_span_it_is_the_last_hour(web: Web, admin: httpx.AsyncClient) -> None:
    store(web, 10)
    await web.site.clock.advance(60)
    found = (await admin.get(f"{BASE}/history", params={"point": PRESSURE})).json()
    assert len(found["time"]) == 10


async def test_a_point_without_readings_has_an_empty_history(
    web: Web, admin: httpx.AsyncClient
) -> None:
    assert (await history(admin, point=PUMP)).json()["time"] == []


async def test_from_when_on_readings_are_kept_is_told(web: Web, admin: httpx.AsyncClient) -> None:
    assert (await admin.get(f"{BASE}/history/kept")).json() == {"kept_from": 0}
    web.services.store.delete_before(1_700_000_000_000)
    assert (await admin.get(f"{BASE}/history/kept")).json() == {"kept_from": 1_700_000_000_000}


# --- alarms --------------------------------------------------------------------------------------


async def test_the_list_of_alarms(web: Web, admin: httpx.AsyncClient) -> None:
    site = web.site
    site.read({PRESSURE: 7.9})
    site.alarm(ALARM, HIGH, letter="B", acknowledged=False)
    site.alarm("2", LOW, letter="C", acknowledged=True, acknowledged_at=START, note="seen")
    site.alarm("3", TRIP, letter="A", open=False)
    site.alarm("4", "gone@a-booster", asset="a-booster", point="a-booster/gone")
    site.tick()

    async def ids(state: str) -> list[str]:
        reply = await admin.get(f"{BASE}/alarms", params={"state": state})
        return [a["id"] for a in reply.json()["items"]]

    assert await ids("active") == ["4", "2", ALARM]
    assert await ids("unacknowledged") == ["4", ALARM]
    assert await ids("all") == ["4", "3", "2", ALARM]
    first = (await admin.get(f"{BASE}/alarms")).json()["items"][-1]
    assert (first["value"], first["value_now"], first["unit"]) == (7.5, 7.9, "bar")
    assert (first["order"], first["order_state"]) == ("202511-0001", "reported")
    assert first["raised_at"] == "2025-11-21T04:40:00.000Z"
    assert first["acknowledged_at"] is None


async def test_alarms_are_paged(web: Web, admin: httpx.AsyncClient) -> None:
    for n in range(5):
        web.site.alarm(str(n))
    seen, cursor = [], ""
    for _ in range(3):
        page = (await admin.get(f"{BASE}/alarms", params={"limit": 2, "cursor": cursor})).json()
        seen += [a["id"] for a in page["items"]]
        cursor = page["next"] or ""
    assert seen == ["4", "3", "2", "1", "0"]
    assert cursor == ""
    assert (await admin.get(f"{BASE}/alarms", params={"cursor": "x"})).status_code == 422


async def test_rules_that_are_unknown_stand_in_a_list_of_their_own(
    web: Web, admin: httpx.AsyncClient
) -> None:
    site = web.site
    site.read()
    for rule in web.site.plant.rules:
        site.stands(rule, "NORMAL")
    site.stands(HIGH, "UNKNOWN", since=START - 1000)
    (item,) = (await admin.get(f"{BASE}/alarms", params={"state": "unknown"})).json()["items"]
    assert (item["id"], item["since"]) == (f"unknown:{HIGH}", "2025-11-21T04:39:59.000Z")


@pytest.mark.parametrize(
    ("condition", "quality", "first"),
    [
        ("ABNORMAL", 0, {"id": "still_abnormal", "value": 7.9, "limit": 7.0}),
        ("UNKNOWN", 65, {"id": "condition_unknown", "quality": "no_answer", "age_s": 0}),
        ("NORMAL", 0, {"id": "latched"}),
    ],
)
async def test_an_alarm_says_why_it_is_there_and_why_it_is_not_gone(
    web: Web, admin: httpx.AsyncClient, condition: str, quality: int, first: dict[str, object]
) -> None:
    site = web.site
    site.read({PRESSURE: 7.9}, quality)
    site.stands(HIGH, condition)
    site.alarm(ALARM, HIGH, latched=True)
    detail = (await admin.get(f"{BASE}/alarms/{ALARM}")).json()
    assert detail["why"]["text"] == "above 7 bar for 10 s"
    assert detail["why"]["points"][0]["point"] == PRESSURE
    reasons = detail["why_not_cleared"]
    assert reasons[0] | first == reasons[0]
    assert [r["id"] for r in reasons][-2:] == ["latched", "not_acknowledged"]
    assert detail["rule_detail"]["id"] == HIGH
    assert [e["kind"] for e in detail["events"]] == ["annunciated"]


async def test_a_closed_alarm_and_one_of_a_retired_rule_have_no_reasons(
    web: Web, admin: httpx.AsyncClient
) -> None:
    web.site.alarm("1", HIGH, open=False)
    web.site.alarm("2", "gone", acknowledged=True)
    assert (await admin.get(f"{BASE}/alarms/1")).json()["why_not_cleared"] == []
    gone = (await admin.get(f"{BASE}/alarms/2")).json()
    assert (gone["rule_detail"], gone["why"]["points"], gone["why_not_cleared"]) == (None, [], [])


async def settled(web: Web, kind: str, accepted: bool, reason: str) -> None:
    """Answer the next ask of that kind, as alarming or planning would."""
    await until(lambda: web.site.asks.since(0, [kind]))
    for ask in web.site.asks.since(0, [kind]):
        web.site.asks.settle(Outcome(ask.id, accepted, reason, START))


@pytest.mark.parametrize("verb", ["acknowledge", "reset"])
async def test_a_wish_is_asked_and_its_outcome_told(
    web: Web, admin: httpx.AsyncClient, verb: str
) -> None:
    web.site.alarm(ALARM)
    answering = asyncio.create_task(settled(web, verb, True, ""))
    reply = await admin.post(f"{BASE}/alarms/{ALARM}/{verb}", json={"note": "coming"})
    await answering
    assert reply.status_code == 202
    assert reply.json()["outcome"] == "accepted"
    (ask,) = web.site.asks.since(0, [verb])
    assert (ask.subject, ask.by, ask.data) == (ALARM, "boss", {"note": "coming"})


async def test_a_refusal_has_its_reason(web: Web, admin: httpx.AsyncClient) -> None:
    web.site.alarm(ALARM)
    answering = asyncio.create_task(settled(web, "reset", False, "still_abnormal"))
    reply = await admin.post(f"{BASE}/alarms/{ALARM}/reset")
    await answering
    assert (reply.status_code, reply.json()["reason"]) == (409, "still_abnormal")


async def test_without_an_outcome_in_time_the_ask_is_kept(
    web: Web, admin: httpx.AsyncClient
) -> None:
    web.site.alarm(ALARM)
    reply = await admin.post(f"{BASE}/alarms/{ALARM}/acknowledge")
    assert (reply.status_code, list(reply.json())) == (202, ["ask"])


async def test_a_wish_sent_twice_is_asked_once(web: Web, admin: httpx.AsyncClient) -> None:
    web.site.alarm(ALARM)
    web.site.alarm("2")
    for alarm in (ALARM, ALARM, "2"):
        await admin.post(f"{BASE}/alarms/{alarm}/acknowledge", json={"request_id": "r1"})
    assert [a.subject for a in web.site.asks.since(0, ["acknowledge"])] == [ALARM, "2"]
    assert ask_id("a", "b", "c", "d") != ask_id("a", "b", "cd", "")


# --- plans ---------------------------------------------------------------------------------------


async def test_plans_and_what_is_due(web: Web, admin: httpx.AsyncClient) -> None:
    (plan,) = (await admin.get(f"{BASE}/plans")).json()["items"]
    assert plan["every_text"] == {"en": "once each month", "zh": "每月 1 次"}
    assert (plan["statutory"], plan["evidence"]) == (True, False)
    site = web.site
    site.occurrence("late", "late", state="late", due="2025-10-31")
    site.occurrence("o", "wants_order")
    site.occurrence("done", "done", open=False, state="done", due="2025-09-30", done_at=START,
                    done_by="wang", verdict="confirmed", verdict_span=[1.0, 2.0])  # fmt: skip
    site.occurrence("old", "due", plan="retired", state="missed", open=False, due="2025-08-31")
    site.tick()

    async def ids(**query: str) -> list[str]:
        return [o["id"] for o in (await admin.get(f"{BASE}/due", params=query)).json()["items"]]

    assert await ids() == ["late", "o"]
    assert await ids(state="all") == ["old", "done", "late", "o"]
    assert await ids(state="done") == ["done"]
    assert await ids(**{"state": "all", "from": "2025-09-30", "to": "2025-10-31"}) == [
        "done",
        "late",
    ]
    listed = (await admin.get(f"{BASE}/due", params={"state": "all"})).json()
    assert listed["today"] == "2025-11-21"
    assert [o["order"] for o in listed["items"]] == [None, None, None, "202511-0001"]
    done = (await admin.get(f"{BASE}/due/done")).json()
    assert (done["verdict_span"], done["done_by"], done["source"]) == ([1, 2], "wang", ["R1"])
    assert [e["kind"] for e in done["events"]] == ["done"]
    assert (await admin.get(f"{BASE}/due/none")).status_code == 404


async def test_saying_that_it_was_done(web: Web, admin: httpx.AsyncClient) -> None:
    web.site.occurrence("o", "due")
    answering = asyncio.create_task(settled(web, "done", True, ""))
    body = {"done_at": "2025-11-20T08:00:00+08:00", "note": "all well"}
    reply = await admin.post(f"{BASE}/due/o/done", json=body)
    await answering
    assert reply.json()["outcome"] == "accepted"
    (ask,) = web.site.asks.since(0, ["done"])
    assert ask.data == {"note": "all well", "done_at": 1_763_596_800_000}
    assert (await admin.post(f"{BASE}/due/none/done")).status_code == 404
    wrong = await admin.post(f"{BASE}/due/o/done", json={"done_at": "yesterday"})
    assert wrong.status_code == 422


# --- orders --------------------------------------------------------------------------------------

NEW = {"kind": "request", "title": "Lamp out", "asset": "b-lift", "priority": "low", "note": "hall"}


async def test_an_order_is_made_once_per_key(web: Web, admin: httpx.AsyncClient) -> None:
    headers = {"idempotency-key": "k1"}
    first = await admin.post(f"{BASE}/orders", json=NEW, headers=headers)
    again = await admin.post(f"{BASE}/orders", json=NEW, headers=headers)
    other = await admin.post(f"{BASE}/orders", json={**NEW, "title": {"en": "Lamp", "zh": "灯"}})
    assert (first.status_code, first.json()["number"]) == (201, "202511-0001")
    assert first.headers["location"] == f"{BASE}/orders/202511-0001"
    assert again.json() == first.json()
    assert other.json()["number"] == "202511-0002"
    assert other.json()["title"] == {"en": "Lamp", "zh": "灯"}
    assert first.json()["proof"] is None
    assert first.json()["note"] == "hall"


async def test_the_same_key_twice_at_once_makes_one_order(
    web: Web, admin: httpx.AsyncClient
) -> None:
    append, once = web.site.desk.append, list[int]()

    def racing(*arguments: object) -> object:
        if not once:
            once.append(1)
            append(*arguments)  # type: ignore[arg-type]  # the same a moment earlier
        return append(*arguments)  # type: ignore[arg-type]  # handed on

    web.site.desk.append = racing  # type: ignore[method-assign,assignment]  # somebody is quicker
    reply = await admin.post(f"{BASE}/orders", json=NEW, headers={"idempotency-key": "k"})
    assert reply.json()["number"] == "202511-0001"
    assert len(web.site.orders()) == 1


async def test_a_desk_in_endless_conflict_is_told(web: Web, admin: httpx.AsyncClient) -> None:
    def conflicting(*_arguments: object) -> object:
        raise Conflict("again")

    web.site.desk.append = conflicting  # type: ignore[method-assign,assignment]  # the fault
    assert (await admin.post(f"{BASE}/orders", json=NEW)).status_code == 409


async def test_an_order_of_an_unknown_asset_is_refused(admin: httpx.AsyncClient) -> None:
    reply = await admin.post(f"{BASE}/orders", json={**NEW, "asset": "c-none"})
    assert reply.status_code == 422


async def test_the_list_of_orders_and_its_pages(web: Web, admin: httpx.AsyncClient) -> None:
    for _ in range(3):
        await admin.post(f"{BASE}/orders", json=NEW)
    await admin.post(f"{BASE}/orders/202511-0002/moves", json={"move": "cancel", "reason": "twice"})

    async def numbers(**query: object) -> tuple[list[str], str | None]:
        page = (await admin.get(f"{BASE}/orders", params=query)).json()  # type: ignore[arg-type]  # cases are data
        return [o["number"] for o in page["items"]], page["next"]

    assert await numbers() == (["202511-0003", "202511-0001"], None)
    assert await numbers(state="closed") == (["202511-0002"], None)
    assert await numbers(state="all", limit=2) == (["202511-0003", "202511-0002"], "202511-0002")
    assert await numbers(state="all", cursor="202511-0002") == (["202511-0001"], None)


async def test_a_fault_order_shows_clocks_proof_moves_and_events(
    web: Web, admin: httpx.AsyncClient
) -> None:
    site = web.site
    site.alarm(ALARM)
    site.tick()
    site.read()
    site.stands(HIGH, "NORMAL")
    reply = await admin.get(f"{BASE}/orders/202511-0001")
    order = reply.json()
    assert reply.headers["etag"] == '"1"'
    assert order["proof"] == {"needed_s": 300, "healthy_s": 0, "since": None, "reason": "waiting"}
    respond, resolve = order["clocks"]
    assert (respond["kind"], respond["limit"], respond["state"]) == ("respond", 30, "running")
    assert resolve["target"] == "2025-11-21T12:40:00.000Z"
    assert [(m["move"], m["allowed"]) for m in order["moves"]] == [
        ("triage", True), ("cancel", True), ("merge", True),
    ]  # fmt: skip
    assert order["moves"][1]["needs"] == ["reason"]
    assert [(e["kind"], e["by"]) for e in order["events"]] == [("raised", "readings")]


async def test_moves_that_are_not_ones_own_say_why(web: Web) -> None:
    web.site.alarm(ALARM)
    web.site.tick()
    async with web.as_role("technician") as client:
        order = (await client.get(f"{BASE}/orders/202511-0001")).json()
        assert {m["why_not"] for m in order["moves"]} == {"role_missing"}
        reply = await client.post(f"{BASE}/orders/202511-0001/moves", json={"move": "triage"})
        assert (reply.status_code, reply.json()["type"]) == (403, "/problems/role-missing")


async def test_an_illegal_move_is_refused_with_the_legal_ones(admin: httpx.AsyncClient) -> None:
    await admin.post(f"{BASE}/orders", json=NEW)
    url = f"{BASE}/orders/202511-0001/moves"
    illegal = await admin.post(url, json={"move": "complete"})
    assert illegal.status_code == 409
    assert illegal.json()["type"] == "/problems/illegal-move"
    assert illegal.json()["legal"] == ["triage", "cancel", "merge"]
    silent = await admin.post(url, json={"move": "cancel"})
    assert (silent.status_code, silent.json()["reason"]) == (409, "reason_missing")


async def test_a_technician_moves_no_deadline_by_a_priority(
    web: Web, admin: httpx.AsyncClient
) -> None:
    await admin.post(f"{BASE}/orders", json={**NEW, "priority": "high"})
    url = f"{BASE}/orders/202511-0001/moves"
    await admin.post(url, json={"move": "triage"})
    async with web.as_role("technician", name="li") as client:
        await admin.post(url, json={"move": "dispatch", "assignee": "boss"})
        reply = await client.post(
            url, json={"move": "hand_over", "assignee": "li", "priority": "low"}
        )
    assert (reply.status_code, reply.json()["reason"]) == (403, "priority_not_yours")


async def test_work_is_given_to_people_of_the_site_or_to_oneself(
    web: Web, admin: httpx.AsyncClient
) -> None:
    people = web.services.people
    people.add("li", ["technician"], ["hillside"], by="test")
    people.add("wang", ["technician"], [SITE], by="test")
    people.add("zhao", ["technician"], ["*"], by="test")
    people.add("gone", ["technician"], ["*"], by="test")
    people.close("gone", "test")
    await admin.post(f"{BASE}/orders", json=NEW)
    url = f"{BASE}/orders/202511-0001/moves"
    await admin.post(url, json={"move": "triage"})
    for nobody in ("li", "gone", "ghost", " wang", "readings"):
        reply = await admin.post(url, json={"move": "dispatch", "assignee": nobody})
        assert (reply.status_code, reply.json()["reason"]) == (422, "assignee_unknown")
    for name in ("wang", "zhao", "boss"):
        reply = await admin.post(url, json={"move": "dispatch", "assignee": name})
        assert reply.json()["assignee"] == name


async def test_a_pause_names_the_reasons_that_stop_the_clocks(
    admin: httpx.AsyncClient,
) -> None:
    await admin.post(f"{BASE}/orders", json=NEW)
    url = f"{BASE}/orders/202511-0001"
    for move in ("triage", "dispatch", "accept", "depart", "arrive", "start"):
        await admin.post(f"{url}/moves", json={"move": move, "assignee": "boss"})
    moves = {m["move"]: m for m in (await admin.get(url)).json()["moves"]}
    assert moves["pause"]["reasons"] == list(PAUSE_REASONS)
    assert "reasons" not in moves["cancel"]
    other = await admin.post(f"{url}/moves", json={"move": "pause", "reason": "lunch"})
    assert (other.json()["state"], other.json()["clocks"][1]["state"]) == ("paused", "running")


async def test_a_move_on_a_stale_version_is_refused(web: Web, admin: httpx.AsyncClient) -> None:
    web.services.people.add("wang", ["technician"], [SITE], by="test")
    await admin.post(f"{BASE}/orders", json=NEW)
    url = f"{BASE}/orders/202511-0001/moves"
    body = {"move": "triage", "priority": "high"}
    moved = await admin.post(url, json=body, headers={"if-match": '"1"'})
    assert (moved.status_code, moved.headers["etag"]) == (200, '"2"')
    assert (moved.json()["state"], moved.json()["priority"]) == ("triaged", "high")
    stale = await admin.post(url, json={"move": "triage"}, headers={"if-match": '"1"'})
    assert (stale.status_code, stale.json()["version"]) == (412, 2)
    weak = await admin.post(
        url, json={"move": "dispatch", "assignee": "wang"}, headers={"if-match": 'W/"2", "9"'}
    )
    assert weak.json()["assignee"] == "wang"
    anyway = await admin.post(url, json={"move": "accept"}, headers={"if-match": "*"})
    assert anyway.json()["state"] == "accepted"


@pytest.mark.parametrize(("headers", "status"), [({}, 409), ({"if-match": '"1"'}, 412)])
async def test_of_two_moves_at_once_one_is_told_to_read_again(
    web: Web, admin: httpx.AsyncClient, headers: dict[str, str], status: int
) -> None:
    await admin.post(f"{BASE}/orders", json=NEW)
    find = web.services.ordering.find

    def slow(site: str, number: str) -> object:
        kept = find(site, number)
        quick = Ordering({SITE: web.site.plant}, web.site.desk, web.site.clock)
        web.services.ordering.find = find  # type: ignore[method-assign]  # only once
        quick.comment(kept, "me first", "li")
        return kept

    web.services.ordering.find = slow  # type: ignore[method-assign,assignment]  # somebody is quicker
    url = f"{BASE}/orders/202511-0001/moves"
    reply = await admin.post(url, json={"move": "triage"}, headers=headers)
    assert reply.status_code == status


async def test_a_comment_is_an_event(admin: httpx.AsyncClient) -> None:
    await admin.post(f"{BASE}/orders", json=NEW)
    url = f"{BASE}/orders/202511-0001"
    reply = await admin.post(f"{url}/comments", json={"text": "第一行\nsecond\tline"})
    assert (reply.status_code, reply.json()["version"]) == (201, 2)
    event = (await admin.get(url)).json()["events"][-1]
    assert (event["kind"], event["data"]["text"]) == ("comment", "第一行\nsecond\tline")


# --- people, health ------------------------------------------------------------------------------


async def test_people_and_tokens_are_kept_by_admins(web: Web, admin: httpx.AsyncClient) -> None:
    made = await admin.post("/api/v1/people", json={"name": "li", "roles": ["technician"]})
    assert made.json()["link"].startswith("/setup?link=")
    direct = {"name": "zhao", "roles": ["viewer"], "password": PASSWORD}
    assert (await admin.post("/api/v1/people", json=direct)).json()["link"] is None
    assert (await admin.post("/api/v1/people", json=direct)).status_code == 409
    assert [p["name"] for p in (await admin.get("/api/v1/people")).json()] == ["zhao", "li"]
    token = (await admin.post("/api/v1/tokens", json={"name": "t", "roles": ["viewer"]})).json()
    async with web.client(token["token"]) as client:
        assert (await client.get("/api/v1/me")).json()["name"] == "t"
        assert (await admin.delete(f"/api/v1/tokens/{token['id']}")).status_code == 204
        assert (await client.get("/api/v1/me")).status_code == 401
    assert (await admin.post("/api/v1/people/li/link")).json()["link"].startswith("/setup?link=")
    assert (await admin.delete("/api/v1/people/li")).status_code == 204
    assert token["id"] not in str((await admin.get("/api/v1/tokens")).json())


async def test_too_many_who_sign_in_at_once_are_told_to_wait(web: Web) -> None:
    gate = web.services.hashing
    async with gate, web.client() as client:
        body = {"name": "wang", "password": "wrong password"}
        tries = [asyncio.create_task(client.post("/api/v1/session", json=body)) for _ in range(40)]
        await until(lambda: sum(t.done() for t in tries) == 8)
        refused = [t.result().status_code for t in tries if t.done()]
    assert refused == [503] * 8
    await asyncio.gather(*tries)


async def test_health_tells_details_to_those_who_are_signed_in(web: Web) -> None:
    health = {"journal": Health(True, "ok"), "broker": Health(False, "refused")}
    web.services.health = lambda: health
    async with web.client() as nobody, web.as_role("viewer") as viewer:
        assert (await nobody.get("/api/v1/health/live")).json() == {"ok": True}
        ready = await nobody.get("/api/v1/health/ready")
        assert (ready.status_code, ready.json()) == (503, {"ok": False})
        told = (await viewer.get("/api/v1/health/ready")).json()
        assert told["dependencies"]["broker"] == {"ok": False, "detail": "refused"}
        health["broker"] = Health(True)
        assert (await nobody.get("/api/v1/health/ready")).status_code == 200


async def test_an_event_that_the_desk_could_not_take_is_a_row_of_health(web: Web) -> None:
    async with web.as_role("viewer") as viewer:
        told = (await viewer.get("/api/v1/health/ready")).json()
        assert told["dependencies"]["following"] == {"ok": True, "detail": ""}
        web.site.desk.append([], [DeskRow(ASIDE, SITE, "7", True, {"seq": 7})])
        told = await viewer.get("/api/v1/health/ready")
    assert told.status_code == 503
    row = told.json()["dependencies"]["following"]
    assert row == {"ok": False, "detail": "1 events of the ledger are set aside, see the log"}


async def test_figures_for_prometheus(web: Web, admin: httpx.AsyncClient) -> None:
    web.services.figures = lambda: [
        Figure("steward_readings", 5, "Readings stored", {"lane": "data"}),
        Figure("steward_readings", 7, "Readings stored", {"lane": "event"}),
        Figure("steward_lag_seconds", 0.5, "Lag of the store", counter=False),
    ]
    text = (await admin.get("/api/v1/metrics")).text
    assert 'steward_readings_total{lane="data"} 5.0' in text
    assert 'steward_readings_total{lane="event"} 7.0' in text
    assert "steward_lag_seconds 0.5" in text


async def test_what_only_the_collector_knows(web: Web, admin: httpx.AsyncClient) -> None:
    web.services.agents = lambda site: [{"agent": f"{site}/agent-1"}]
    web.services.quarantine = lambda _site: {"items": [{"reason": "broken"}], "count": 1}
    web.services.delivery = lambda: {"readings": {"lost": 0}}
    assert (await admin.get(f"{BASE}/agents")).json() == [{"agent": "riverside/agent-1"}]
    assert (await admin.get(f"{BASE}/quarantine")).json()["count"] == 1
    assert (await admin.get("/api/v1/delivery")).json() == {"readings": {"lost": 0}}


async def test_what_reads_the_journal_is_asked_beside_the_loop(
    web: Web, admin: httpx.AsyncClient
) -> None:
    beside: list[bool] = []
    web.services.offload = asyncio.to_thread
    loop = threading.get_ident()

    def agents(_site: str) -> list[dict[str, Any]]:
        beside.append(threading.get_ident() != loop)
        return []

    def complete_until() -> int:
        beside.append(threading.get_ident() != loop)
        return 0

    web.services.agents, web.services.complete_until = agents, complete_until
    await admin.get(f"{BASE}/agents")
    await admin.get(f"{BASE}/history", params={"point": PRESSURE})
    assert beside == [True, True]


async def test_history_is_told_while_nobody_knows_until_when_it_is_complete(
    web: Web, admin: httpx.AsyncClient
) -> None:
    def complete_until() -> int:
        raise Unavailable("the journal cannot be read")

    web.services.complete_until = complete_until
    reply = await admin.get(f"{BASE}/history", params={"point": PRESSURE})
    assert (reply.status_code, reply.json()["complete_until"]) == (200, None)
    assert reply.json()["point"] == PRESSURE


async def test_what_an_agent_says_of_a_request_is_told_as_it_says_it(web: Web) -> None:
    asked: list[tuple[str, str, str]] = []

    async def ask(site: str, agent: str, what: str) -> Reply:
        asked.append((site, agent, what))
        return Reply("r", "refused" if what == "reload" else "done", {"reason": "plant.toml: x"})

    web.services.ask_agent = ask
    async with web.as_role("planner") as planner:
        reply = await planner.post(f"{BASE}/agents/agent-1/reload")
        told = await planner.post(f"{BASE}/agents/agent-1/diagnose", json={})
    assert (reply.status_code, reply.json()) == (
        200,
        {"agent": "agent-1", "outcome": "refused", "detail": {"reason": "plant.toml: x"}},
    )
    assert told.json()["outcome"] == "done"
    assert asked == [(SITE, "agent-1", "reload"), (SITE, "agent-1", "diagnose")]


async def test_an_agent_that_is_not_there_is_named_with_those_that_are(
    web: Web, admin: httpx.AsyncClient
) -> None:
    reply = await admin.post(f"{BASE}/agents/agent-9/reload")
    assert reply.status_code == 404
    assert reply.json()["detail"] == "there is no such agent; there are agent-1"


async def test_who_asks_an_agent_is_logged_before_it_is_asked(
    web: Web, caplog: pytest.LogCaptureFixture
) -> None:
    """What was asked may be done though nobody hears the reply."""
    logged: list[str] = []

    async def ask(site: str, agent: str, what: str) -> Reply:
        logged.extend(caplog.messages)
        raise Unavailable("no reply")

    web.services.ask_agent = ask
    async with web.as_role("planner") as planner:
        assert (await planner.post(f"{BASE}/agents/agent-1/reload")).status_code == 503
    assert logged == ["planner asks agent agent-1 of riverside to reload"]


async def test_an_agent_that_cannot_be_asked_says_why(web: Web, admin: httpx.AsyncClient) -> None:
    async def away(site: str, agent: str, what: str) -> Reply:
        raise Unavailable("agent agent-1 of riverside is not connected")

    web.services.ask_agent = away
    reply = await admin.post(f"{BASE}/agents/agent-1/diagnose")
    assert (reply.status_code, reply.json()["type"]) == (503, "/problems/agent-away")
    assert reply.json()["detail"] == "agent agent-1 of riverside is not connected"


async def test_openapi_is_told_to_those_who_are_signed_in(admin: httpx.AsyncClient) -> None:
    assert (await admin.get("/api/v1/openapi.json")).json()["info"]["title"] == "Steward"


async def test_something_that_is_away_is_named_503(web: Web, admin: httpx.AsyncClient) -> None:
    def away(*_arguments: object, **_named: object) -> object:
        raise Unavailable("/secret/path is locked")

    web.site.decisions.rows = away  # type: ignore[method-assign,assignment]  # the ledger is away
    reply = await admin.get(f"{BASE}/alarms")
    assert reply.status_code == 503
    assert "secret" not in reply.text


async def test_a_mistake_of_ours_is_logged_and_tells_nothing(
    web: Web, admin: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_arguments: object, **_named: object) -> object:
        raise ZeroDivisionError("our secret")

    web.services.agents = broken  # type: ignore[assignment]  # the fault
    reply = await admin.get(f"{BASE}/agents")
    assert (reply.status_code, reply.json()["type"]) == (500, "/problems/failed")
    assert "secret" not in reply.text
    assert "our secret" in caplog.text


# --- headers and files ---------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/api/v1/me", "/nothing", "/api/none"])
async def test_every_answer_has_the_security_headers(web: Web, path: str) -> None:
    async with web.client() as client:
        headers = (await client.get(path)).headers
    policy = headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert ("no-store" in headers.get("cache-control", "")) == path.startswith("/api/")
