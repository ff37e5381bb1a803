import signal

import pytest

from mx import Client
from prom import Scrape
from server import OneProcess, program, wait_for

BASE_ROOMS = 128 << 20  # at factor 1, as in libhs/server
USERS, ROOMS, MESSAGES = 12, 60, 6


def load(server):
    """Many rooms and readers; everything is read twice. Gives what everybody saw."""
    people = [Client(server.base).register(f"u{i}") for i in range(USERS)]
    rooms = [people[i % USERS].create_room(preset="public_chat", name=f"room {i}") for i in range(ROOMS)]
    for i, room in enumerate(rooms):
        for k in (1, 2, 3):
            people[(i + k) % USERS].join(room)
    for n in range(MESSAGES):
        for i, room in enumerate(rooms):
            people[(i + n % 4) % USERS].text(room, f"{n} in {i} " + "x" * 500)
    seen = []
    for _ in range(2):
        for who in people:
            joined = who.get("/sync")["rooms"]["join"]
            seen.append({r: [e["content"].get("body") for e in joined[r]["timeline"]["events"]] for r in rooms if r in joined})
            for room in rooms:
                if room in joined:
                    page = who.get(f"/rooms/{room}/messages", {"dir": "b", "limit": 50})["chunk"]
                    seen[-1][room + "/messages"] = [e["content"].get("body") for e in page]
    # the rooms' names differ between two servers, what was said does not
    return [{(rooms.index(r.split("/")[0]), "/" in r): said for r, said in one.items()} for one in seen]


@pytest.fixture
def start(monkeypatch):
    servers = []

    def go(config=None, env=None):
        for name, value in (env or {}).items():
            monkeypatch.setenv(name, value)
        servers.append(OneProcess(config=config).start())
        return servers[-1]

    yield go
    for s in servers:
        s.close()


def test_small_caches_stay_small_and_answers_stay_the_same(start):
    large, small = start({"caches": {"global_factor": 1}}), start({"caches": {"global_factor": 0.0005}})
    before = [Scrape(s.base).value("process_resident_memory_bytes") for s in (large, small)]
    assert load(large) == load(small)
    large, small = Scrape(large.base), Scrape(small.base)
    grown = [s.value("process_resident_memory_bytes") - b for s, b in zip((large, small), before)]

    budget = small.by("hs_cache_budget_bytes", "name")
    for name, taken in small.by("hs_cache_bytes", "name").items():
        assert taken <= budget[name] + (256 << 10), f"{name}: {taken} of {budget[name]} bytes"
    for name in ("events", "rooms"):
        for s, hits_most in ((large, True), (small, False)):
            asked, hit = s.value("synapse_util_caches_cache", name=name), s.value("synapse_util_caches_cache_hits", name=name)
            assert asked > 0 and (hit / asked > 0.9) == hits_most, f"{name}: {hit} of {asked}"
        assert small.value("synapse_util_caches_cache_evicted_size", name=name, reason="size") > 0
        assert large.value("synapse_util_caches_cache_evicted_size", name=name, reason="size") == 0
        assert small.value("synapse_util_caches_cache_size", name=name) < large.value("synapse_util_caches_cache_size", name=name)
    print(f"memory grew by {grown[0] / 2**20:.1f} MiB with large caches and {grown[1] / 2**20:.1f} MiB with small ones")
    if "asan" not in program():  # AddressSanitizer keeps what is freed for a while
        assert grown[1] < grown[0]


def test_factors_of_single_caches_and_of_the_environment(start):
    server = start(
        {"caches": {"global_factor": 2, "per_cache_factors": {"*getEvent*": 0.25, "sessions": 3, "nonsense": 1, "rooms": 7}}, "event_cache_size": "20K"},
        {"SYNAPSE_CACHE_FACTOR_ROOMS": "0.5", "SYNAPSE_CACHE_FACTOR": "9"},
    )
    budget = Scrape(server.base).by("hs_cache_budget_bytes", "name")
    assert budget["rooms"] == BASE_ROOMS / 2  # the environment goes before the file
    assert budget["events"] == 20480 * 13 * 1024 / 4  # by Synapse's name for it
    assert budget["sessions"] == 3 * (32 << 20)
    assert budget["push_rules"] == 2 * (32 << 20)  # all others: the global factor, which the environment does not replace
    assert "nonsense" in server.log()


def test_without_a_factor_the_environment_gives_it(start):
    server = start(None, {"SYNAPSE_CACHE_FACTOR": "0.25"})
    assert Scrape(server.base).value("hs_cache_budget_bytes", name="rooms") == BASE_ROOMS / 4


def test_factors_are_read_anew_on_hup(start):
    server = start({"caches": {"global_factor": 1}})
    server.config["caches"]["global_factor"] = 0.125
    server.write_config()
    server.signal(signal.SIGHUP)
    wait_for(lambda: Scrape(server.base).value("hs_cache_budget_bytes", name="rooms") == BASE_ROOMS / 8)
