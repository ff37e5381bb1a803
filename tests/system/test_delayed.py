"""Delayed events (MSC4140): sent later, once, unless they are called off."""

import itertools
import json
import threading

import pytest

from mx import Client, quote, refusal
from server import CLUSTER, NO_LIMIT, Server, wait_for

BASE = "/_matrix/client/unstable/org.matrix.msc4140/delayed_events"
HOUR = 3600000
_n = itertools.count()


@pytest.fixture(scope="module")
def house():
    s = Server(config={"max_event_delay_duration": "24h", "rc_delayed_event_mgmt": NO_LIMIT, "experimental_features": {"msc4140_max_delayed_events_per_user": 8}})
    s.start()
    yield s
    s.close()


@pytest.fixture
def ann(house):
    return Client(house.base).register(f"ann{next(_n)}")


@pytest.fixture
def ben(house):
    return Client(house.base).register(f"ben{next(_n)}")


@pytest.fixture
def nobody(house):
    return Client(house.base)


@pytest.fixture
def room(ann, ben):
    room = ann.create_room(preset="public_chat", power_level_content_override={"events": {"org.example.s": 0}})
    ben.join(room)
    return room


def later(client, room, delay, body="later", txn=None, **content):
    path = f"/rooms/{quote(room)}/send/m.room.message/{txn or f'd{next(_n)}'}?org.matrix.msc4140.delay={delay}"
    return client.put(path, {"msgtype": "m.text", "body": body, **content})["delay_id"]


def state_later(client, room, delay, value, key="k", type="org.example.s"):
    content = value if isinstance(value, dict) else {"v": value}
    return client.put(f"/rooms/{quote(room)}/state/{type}/{quote(key)}?org.matrix.msc4140.delay={delay}", content)["delay_id"]


def waiting(client):
    return [e["delay_id"] for e in client.get(BASE)["delayed_events"]]


def update(client, delay_id, action):
    return client.post(f"{BASE}/{delay_id}/{action}")


def bodies(client, room):
    return [e["content"].get("body") for e in client.messages(room, limit=50)["chunk"] if e["type"] == "m.room.message"][::-1]


def state_is(client, room, value, key="k"):
    r = client.raw("GET", f"/rooms/{quote(room)}/state/org.example.s/{quote(key)}")
    return r.status_code == 200 and r.json() == {"v": value}


def test_messages_are_sent_when_their_time_comes_in_order(ann, ben, room):
    ben.next_sync()
    ids = [later(ann, room, ms, str(ms)) for ms in (500, 300, 400)]
    assert set(waiting(ann)) == set(ids) and waiting(ben) == []
    wait_for(lambda: bodies(ann, room) == ["300", "400", "500"])
    wait_for(lambda: waiting(ann) == [])
    events = ann.messages(room, limit=3)["chunk"]
    assert all(e["sender"] == ann.user_id for e in events)
    assert {e["unsigned"]["org.matrix.msc4140.delay_id"] for e in events} == set(ids)
    assert "delay_id" not in json.dumps(ben.messages(room, limit=3))
    heard = ben.sync_until(lambda s: [e for e in s.get("rooms", {}).get("join", {}).get(room, {}).get("timeline", {}).get("events", [])])
    assert heard


def test_what_waits_is_told_to_its_owner(ann, ben, room):
    d = state_later(ann, room, HOUR, 1)
    [shown] = ann.get(BASE)["delayed_events"]
    assert {k: shown[k] for k in ("delay_id", "room_id", "type", "state_key", "content", "delay_ms", "delay")} == {
        "delay_id": d, "room_id": room, "type": "org.example.s", "state_key": "k", "content": {"v": 1}, "delay_ms": HOUR, "delay": HOUR}
    assert shown["delayed_since_ts"] == shown["running_since"]
    one = ann.get(f"{BASE}/{d}")
    assert one["delay_id"] == d and "delay" not in one
    assert refusal(ben.get, f"{BASE}/{d}").status == 404
    m = later(ann, room, 2 * HOUR)
    assert waiting(ann) == [d, m]
    assert "state_key" not in ann.get(f"{BASE}/{m}")


def test_whoever_has_the_id_may_cancel_restart_and_send(ann, nobody, room):
    a, b, c = (state_later(ann, room, HOUR, i, str(i)) for i in range(3))
    since = ann.get(f"{BASE}/{b}")["delayed_since_ts"]
    assert update(nobody, a, "cancel") == {} and update(nobody, c, "send") == {}
    assert state_is(ann, room, 2, "2") and not state_is(ann, room, 0, "0")
    wait_for(lambda: update(nobody, b, "restart") == {} and ann.get(f"{BASE}/{b}")["delayed_since_ts"] > since)
    assert waiting(ann) == [b]
    assert nobody.post(f"{BASE}/{b}", {"action": "cancel"}) == {} and waiting(ann) == []
    for d in (a, b, c, "nothere"):
        for action in ("cancel", "restart", "send"):
            r = refusal(update, nobody, d, action)
            assert (r.status, r.errcode) == (404, "M_NOT_FOUND")


def test_a_restart_puts_it_off(ann, room):
    d = state_later(ann, room, 600, "x")
    e = state_later(ann, room, 900, "y", "other")
    wait_for(lambda: [update(ann, d, "restart")] and state_is(ann, room, "y", "other"))
    assert not state_is(ann, room, "x")
    wait_for(lambda: state_is(ann, room, "x"))
    assert e not in waiting(ann)


def test_the_same_request_again_gets_the_same_answer(ann, room):
    d = later(ann, room, HOUR, txn="once")
    assert later(ann, room, HOUR, txn="once") == d
    again = ann.raw("PUT", f"/rooms/{quote(room)}/send/m.room.message/once?org.matrix.msc4140.delay={HOUR}")
    assert (again.status_code, again.json()) == (200, {"delay_id": d})
    assert waiting(ann) == [d]
    assert ann.send(room, txn="once").startswith("$")  # sent at once it is another request


def test_state_of_others_makes_it_void_ones_own_does_not(ann, ben, room):
    mine, his = state_later(ann, room, HOUR, "mine"), state_later(ben, room, HOUR, "his")
    untouched = state_later(ben, room, HOUR, "his", "another key")
    ann.set_state(room, "org.example.s", {"v": "now"}, "k")
    assert waiting(ann) == [mine] and waiting(ben) == [untouched]
    assert refusal(update, ben, his, "send").status == 404
    update(ben, untouched, "send")
    update(ann, mine, "send")
    assert state_is(ann, room, "mine") and state_is(ann, room, "his", "another key")


def test_a_membership_may_be_sent_later(ann, ben, room):
    d = state_later(ben, room, HOUR, {"membership": "leave", "reason": "gone"}, ben.user_id, "m.room.member")
    update(ann, d, "send")
    assert ann.state(room, "m.room.member", ben.user_id) == {"membership": "leave", "reason": "gone"}


def test_what_may_not_be_sent_then_is_not_sent(ann, ben, room):
    d = state_later(ben, room, HOUR, {"name": "no"}, "", "m.room.name")
    r = refusal(update, ann, d, "send")
    assert (r.status, r.errcode) == (403, "M_FORBIDDEN") and waiting(ben) == []
    ben.leave(room)
    later(ben, room, 1, "from outside")
    wait_for(lambda: waiting(ben) == [])
    assert bodies(ann, room) == []


# C17 X08 a user has no more delayed events than the server lets them
def test_there_are_only_so_many_and_only_so_far(ann, room):
    ids = [later(ann, room, HOUR + i) for i in range(8)]
    r = refusal(later, ann, room, HOUR)
    assert (r.status, r.errcode) == (429, "M_LIMIT_EXCEEDED") and 0 < r.body["retry_after_ms"] <= HOUR
    update(ann, ids[0], "cancel")
    later(ann, room, 24 * HOUR)
    update(ann, ids[1], "cancel")
    r = refusal(later, ann, room, 24 * HOUR + 1)
    assert (r.status, r.errcode) == (400, "ORG.MATRIX.MSC4140_DELAY_TOO_LARGE")
    for bad in ("x", "-1", ""):
        assert refusal(later, ann, room, bad).status == 400
    assert len(waiting(ann)) == 7


def test_many_at_once_do_not_pass_the_cap(ann, room):
    answers = []

    def add():
        c = Client(ann.base, ann.token)
        answers.append(c.raw("PUT", f"/rooms/{quote(room)}/send/m.room.message/c{next(_n)}?org.matrix.msc4140.delay={HOUR}",
                             {"msgtype": "m.text", "body": "x"}).status_code)

    threads = [threading.Thread(target=add) for _ in range(16)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert sorted(answers) == [200] * 8 + [429] * 8 and len(waiting(ann)) == 8


def test_bad_requests_are_refused(ann, ben, nobody, room):
    d = later(ann, room, HOUR)
    for body, errcode in (({}, "M_MISSING_PARAM"), ({"action": "oops"}, "M_INVALID_PARAM")):
        assert refusal(nobody.post, f"{BASE}/{d}", body).errcode == errcode
    assert refusal(nobody.post, f"{BASE}/{d}/oops").status == 404
    assert refusal(nobody.get, BASE).status == 401
    closed = ann.create_room()
    r, s = refusal(later, ben, closed, HOUR), refusal(later, ben, "!nowhere:test", HOUR)
    assert (r.status, r.body["error"].replace(closed, "R")) == (s.status, s.body["error"].replace("!nowhere:test", "R")) and r.status == 403


def test_who_is_gone_sends_nothing_more(house, ann, room):
    gone = Client(house.base).register(f"gone{next(_n)}", password="a good password 1")
    gone.join(room)
    d = later(gone, room, HOUR)
    auth = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": gone.user_id}, "password": "a good password 1"}
    gone.post("/account/deactivate", {"auth": auth})
    assert refusal(update, ann, d, "send").status == 404


def test_capabilities_say_so_and_without_the_option_there_are_none(ann, alice):
    assert ann.get("/capabilities")["capabilities"]["org.matrix.msc4140.delayed_events"] == {"max_delay_ms": 24 * HOUR, "max_scheduled": 8}
    assert "org.matrix.msc4140.delayed_events" not in alice.get("/capabilities")["capabilities"]
    r = refusal(later, alice, alice.create_room(), 1000)
    assert (r.status, r.errcode) == (403, "M_FORBIDDEN")
    assert alice.get(BASE) == {"delayed_events": []}


# D10 what was acknowledged is sent once, whatever crashed in between
@pytest.mark.skipif(CLUSTER, reason="kills the one process")
def test_a_crash_loses_none_and_sends_none_twice(tmp_path):
    s = Server(config={"max_event_delay_duration": "24h", "rc_delayed_event_mgmt": NO_LIMIT})
    s.start()
    try:
        ann = Client(s.base).register("ann")
        room = ann.create_room(preset="public_chat")
        expected = []
        for round in range(2):
            for i in range(10):
                later(ann, room, 250 + 20 * i, f"{round}.{i}")
                expected.append(f"{round}.{i}")
            wait_for(lambda: f"{round}.{2 * round}" in bodies(ann, room), 10)
            s.kill()
            s.start()
            ann.base = s.base
        wait_for(lambda: waiting(ann) == [] and len(bodies(ann, room)) >= len(expected), 20)
        wait_for(lambda: s.sql("SELECT count(*) FROM delayed_event") == "0", 20)  # what was under way has ended
        assert sorted(bodies(ann, room)) == sorted(expected)
    finally:
        s.close()
