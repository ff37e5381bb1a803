"""docs/metrics.md and what is served are the same, and the figures move with what they count."""

import pathlib
import re
import threading

import pytest

from mx import Client
from prom import Scrape
from server import OneProcess, wait_for


@pytest.fixture(scope="module")
def server():
    """One process, whatever the others are tested with: each worker has metrics of its own."""
    s = OneProcess().start()
    yield s
    s.close()


DOC = pathlib.Path(__file__).resolve().parents[2] / "docs" / "metrics.md"


def documented():
    """name → (type, meaning)"""
    return {name: (kind, what.strip()) for name, kind, _, what in rows()}


def rows():
    found = re.findall(r"^\| `([a-z_]+)` \| (counter|gauge|histogram) \|([^|]*)\|([^|]*)\|$", DOC.read_text(), re.M)
    assert len(found) > 50
    return found


def served(scrape):
    """The parser takes the _total of counters away."""
    return {f.name + ("_total" if f.type == "counter" else ""): f.type for f in scrape.families.values()}


def test_every_metric_is_documented_and_the_reverse(server):
    alone = {name: kind for name, (kind, what) in documented().items() if not what.startswith("several workers")}
    assert served(Scrape(server.base)) == alone


def test_labels_are_as_documented(server, alice, room):
    alice.text(room, "x")
    labels = {name: set(re.findall(r"\w+", what)) for name, _, what, _ in rows()}
    for f in Scrape(server.base).families.values():
        for s in f.samples:
            name = f.name + ("_total" if f.type == "counter" else "")
            assert set(s.labels) - {"le", "server_name"} == labels[name], name
            assert ("server_name" in s.labels) == (name.startswith("synapse_") and name != "synapse_build_info"), name


def test_several_workers_serve_all_that_is_documented():
    s = OneProcess(options=["--workers", "2"]).start()
    try:
        wait_for(s.ready)
        assert served(Scrape(s.base)) == {name: kind for name, (kind, _) in documented().items()}
    finally:
        s.close()


def test_histograms_are_whole(server, alice, room):
    alice.text(room, "x")
    scrape = Scrape(server.base)
    found = 0
    for f in scrape.families.values():
        if f.type != "histogram":
            continue
        series = {}
        for s in f.samples:
            key = tuple(sorted((k, v) for k, v in s.labels.items() if k != "le"))
            series.setdefault(key, {}).setdefault(s.name[len(f.name):], []).append((s.labels.get("le"), s.value))
        for key, parts in series.items():
            counts = [v for _, v in parts["_bucket"]]
            assert counts == sorted(counts) and parts["_bucket"][-1][0] == "+Inf", (f.name, key)
            assert counts[-1] == parts["_count"][0][1], (f.name, key)
            found += 1
    assert found > 5


def test_what_is_written_is_counted(server, alice, room):
    before = Scrape(server.base)
    for i in range(5):
        alice.text(room, f"{i}")
    after = Scrape(server.base)
    for name in ("synapse_storage_events_persisted_events_total", "hs_write_unit_seconds_count", "hs_write_batch_units_sum"):
        assert after.value(name) - before.value(name) >= 5, name
    assert after.value("synapse_event_persisted_position") >= before.value("synapse_event_persisted_position") + 5
    assert after.value("hs_write_units_total", outcome="ok") - before.value("hs_write_units_total", outcome="ok") >= 5


def test_requests_are_counted_by_servlet(server, alice):
    labels = {"servlet": "WhoamiRestServlet", "method": "GET"}
    before = Scrape(server.base).value("synapse_http_server_response_time_seconds_count", code="200", **labels)
    for _ in range(3):
        alice.get("/account/whoami")
    wait_for(lambda: Scrape(server.base).value("synapse_http_server_response_time_seconds_count", code="200", **labels) == before + 3)


# X09 whatever strangers ask for, under whatever name
def test_what_strangers_make_up_makes_no_series(server):
    stranger = Client(server.base)

    def series():
        return {(s.name, tuple(sorted(s.labels.items()))) for f in Scrape(server.base).families.values() for s in f.samples}

    def ask(n):
        stranger.raw("GET", f"/_matrix/client/v3/made-up-{n}")
        stranger.raw("GET", f"/_matrix/client/v3/rooms/!made-up-{n}:of.{n}/state", token=False)
        stranger.raw("GET", f"/_matrix/client/v3/profile/@made-up-{n}:of.{n}")
        stranger.raw(f"MADEUP{n}", "/_matrix/client/versions")
        stranger.raw("POST", "/_matrix/client/v3/login", body={"type": f"m.made-up-{n}"})
        stranger.raw("GET", "/_matrix/client/versions", headers={"Authorization": f"Bearer made-up-{n}", "User-Agent": f"made-up-{n}"})

    series()  # scraping is counted too
    ask(0)
    before = series()
    for n in range(1, 30):
        ask(n)
    assert series() == before
    assert not [s for s in before if "made-up" in str(s).lower() or "madeup" in str(s).lower()]


def test_statements_and_waits_for_connections_are_counted(server, new_user):
    new_user("somebody")
    scrape = Scrape(server.base)
    assert scrape.by("synapse_storage_transaction_time_count_total", "desc")["account_insert"] >= 1
    assert scrape.by("synapse_storage_transaction_time_sum_total", "desc")["account_insert"] >= 0
    assert scrape.value("synapse_storage_schedule_time_count") > 0
    assert scrape.value("hs_offload_wait_seconds_count") >= 1  # the password was hashed by a thread
    assert scrape.value("hs_offload_queue") == 0


def test_a_long_poll_is_parked_and_an_own_duty_is_held(server, alice):
    since = alice.get("/sync")["next_batch"]
    before = Scrape(server.base).value("hs_sync_parked")
    poll = threading.Thread(target=alice.get, args=("/sync", {"since": since, "timeout": 20000}))
    poll.start()
    wait_for(lambda: Scrape(server.base).value("hs_sync_parked") == before + 1)
    Client(server.base, alice.token).put(f"/user/{alice.user_id}/account_data/x.y", {})
    poll.join()
    assert Scrape(server.base).value("hs_sync_parked") == before
    wait_for(lambda: Scrape(server.base).value("hs_leases_held", duty="upkeep") == 1)


@pytest.fixture
def strict():
    s = OneProcess(config={"rc_message": {"per_second": 0.01, "burst_count": 1}}).start()
    yield s
    s.close()


def test_refusals_are_counted_by_the_option_that_made_them(strict):
    who = Client(strict.base).register("who")
    room = who.create_room()
    answers = [who.raw("PUT", f"/rooms/{room}/send/m.room.message/t{i}", {"msgtype": "m.text", "body": "x"}).status_code for i in range(4)]
    assert answers.count(429) >= 2
    assert Scrape(strict.base).value("synapse_rate_limit_reject_total", rate_limiter_name="rc_message") == answers.count(429)
