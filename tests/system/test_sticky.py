"""Sticky events (MSC4354): every member is told of them until they expire, also where the timeline leaves them out."""

import itertools
import json
import threading
import time

import pytest

from mx import Client, quote, refusal
from server import NO_LIMIT, Server, wait_for

STICKY = "org.matrix.msc4354.sticky_duration_ms"
HOUR = 3600000
SHORT = json.dumps({"room": {"timeline": {"limit": 3}}, "presence": {"types": []}})
_n = itertools.count()


@pytest.fixture(scope="module")
def house():
    s = Server(config={"max_event_delay_duration": "24h", "rc_delayed_event_mgmt": NO_LIMIT, "experimental_features": {"msc4354_enabled": True}})
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
def room(ann, ben):
    room = ann.create_room(preset="public_chat")
    ben.join(room)
    return room


def stick(client, room, ms=HOUR, body="sticky", type="m.room.message", **query):
    query = "&".join(f"{k}={v}" for k, v in {STICKY: ms, **query}.items())
    return client.put(f"/rooms/{quote(room)}/send/{type}/s{next(_n)}?{query}", {"msgtype": "m.text", "body": body})["event_id"]


def joined(answer, room):
    return answer.get("rooms", {}).get("join", {}).get(room, {})


def told(answer, room):
    return [e["event_id"] for e in joined(answer, room).get("msc4354_sticky", {}).get("events", [])]


def shown(answer, room):
    return [e["event_id"] for e in joined(answer, room).get("timeline", {}).get("events", [])]


def bury(client, room, n=5):
    for i in range(n):
        client.text(room, f"more {i}")


def test_the_event_says_how_long_and_for_how_long_yet(ann, ben, room):
    ben.next_sync()
    event = stick(ann, room, 60000)
    [seen] = [e for e in joined(ben.next_sync(), room)["timeline"]["events"] if e["event_id"] == event]
    assert seen["msc4354_sticky"] == {"duration_ms": 60000}
    assert 0 < seen["unsigned"]["msc4354_sticky_duration_ttl_ms"] <= 60000
    longer = ben.event(room, stick(ann, room, 10 * HOUR))
    assert longer["msc4354_sticky"] == {"duration_ms": 10 * HOUR}
    assert HOUR - 60000 < longer["unsigned"]["msc4354_sticky_duration_ttl_ms"] <= HOUR
    none = ben.event(room, stick(ann, room, 0))
    assert none["msc4354_sticky"] == {"duration_ms": 0} and "msc4354_sticky_duration_ttl_ms" not in none["unsigned"]
    plain = ben.event(room, ann.text(room, "plain"))
    assert "sticky" not in json.dumps(plain)


@pytest.mark.parametrize("length", ["-1", "x", "1.5", ""])
def test_what_is_no_length_of_time_is_refused(ann, room, length):
    r = refusal(ann.put, f"/rooms/{quote(room)}/send/m.x/bad{next(_n)}?{STICKY}={length}")
    assert (r.status, r.errcode) == (400, "M_INVALID_PARAM")
    r = refusal(ann.put, f"/rooms/{quote(room)}/send/m.x/bad{next(_n)}?{STICKY}=9007199254740992")
    assert (r.status, r.errcode) == (400, "M_BAD_JSON")


def test_state_events_are_not_sticky_as_with_synapse(ann, room):
    event = ann.put(f"/rooms/{quote(room)}/state/org.example.s/k?{STICKY}=60000", {"v": 1})["event_id"]
    assert "msc4354_sticky" not in ann.event(room, event)


def test_what_the_timeline_shows_is_not_told_twice(ann, ben, room):
    ben.next_sync(filter=SHORT)
    event = stick(ann, room)
    answer = ben.next_sync(filter=SHORT)
    assert event in shown(answer, room) and told(answer, room) == []
    assert "msc4354_sticky" not in joined(answer, room)


def test_a_gap_does_not_hide_it(ann, ben, room):
    ben.next_sync(filter=SHORT)
    first = stick(ann, room)
    bury(ann, room)
    second = stick(ann, room)
    answer = ben.next_sync(filter=SHORT)
    assert joined(answer, room)["timeline"]["limited"]
    assert second in shown(answer, room) and told(answer, room) == [first]
    assert told(ben.next_sync(filter=SHORT), room) == []


def test_a_filter_does_not_hide_it(ann, ben, room):
    none = json.dumps({"room": {"timeline": {"not_types": ["m.room.message"]}}, "presence": {"types": []}})
    for client in (ann, ben):
        client.next_sync(filter=none)
    event = stick(ann, room)
    for client in (ben, ann):  # one is shown what the other was, where it is the same
        answer = client.next_sync(filter=none)
        assert shown(answer, room) == [] and told(answer, room) == [event]


def test_a_first_sync_tells_all_that_hold(ann, ben, room):
    events = [stick(ann, room, body=str(i)) for i in range(4)]
    bury(ann, room)
    answer = ben.sync(filter=SHORT)
    assert told(answer, room) == events
    seen = joined(answer, room)["msc4354_sticky"]["events"][0]
    assert seen["sender"] == ann.user_id and seen["content"]["body"] == "0" and "room_id" not in seen
    assert seen["unsigned"]["membership"] == "join" and seen["unsigned"]["msc4354_sticky_duration_ttl_ms"] > 0


def test_who_joins_is_told_of_those_from_before_whatever_the_history_shows(house, ann):
    room = ann.create_room(preset="public_chat", initial_state=[{"type": "m.room.history_visibility", "content": {"history_visibility": "joined"}}])
    event = stick(ann, room)
    bury(ann, room)
    cyd = Client(house.base).register(f"cyd{next(_n)}")
    cyd.next_sync(filter=SHORT)
    cyd.join(room)
    answer = cyd.next_sync(filter=SHORT)
    assert told(answer, room) == [event]
    seen = joined(answer, room)["msc4354_sticky"]["events"][0]
    assert seen["content"]["body"] == "sticky" and seen["unsigned"]["membership"] == "leave"
    cyd.leave(room)
    assert "sticky" not in json.dumps(cyd.next_sync(filter=SHORT))


def test_what_has_expired_is_not_told(ann, ben, room):
    ben.next_sync(filter=SHORT)
    event = stick(ann, room, 1500)
    end = time.monotonic() + 1.5
    bury(ann, room)
    assert told(ben.sync(ben.since, filter=SHORT), room) == [event] or time.monotonic() > end
    wait_for(lambda: told(ben.sync(ben.since, filter=SHORT), room) == [])
    assert "msc4354_sticky_duration_ttl_ms" not in ben.event(room, event)["unsigned"]


def test_a_hundred_are_told_at_once_and_the_rest_after_them(ann, ben, room):
    ben.next_sync(filter=SHORT)
    events = [stick(ann, room, body=str(i)) for i in range(130)]
    bury(ann, room, 3)
    first = ben.next_sync(filter=SHORT)
    assert told(first, room) == events[:100]
    second = ben.next_sync(timeout=30000, filter=SHORT)  # it does not wait for news
    assert told(second, room) == events[100:]
    third = ben.next_sync(filter=SHORT)
    assert room not in third.get("rooms", {}).get("join", {})


def test_who_ignores_the_sender_is_not_told(ann, ben, room):
    ben.put(f"/user/{quote(ben.user_id)}/account_data/m.ignored_user_list", {"ignored_users": {ann.user_id: {}}})
    ben.next_sync(filter=SHORT)
    stick(ann, room)
    bury(ann, room)
    assert told(ben.next_sync(filter=SHORT), room) == []


def test_a_redacted_one_is_told_without_what_it_said(ann, ben, room):
    ben.next_sync(filter=SHORT)
    event = stick(ann, room, body="said")
    ann.redact(room, event)
    bury(ann, room)
    answer = ben.next_sync(filter=SHORT)
    assert told(answer, room) == [event]
    seen = joined(answer, room)["msc4354_sticky"]["events"][0]
    assert seen["content"] == {} and "msc4354_sticky" not in seen and "redacted_because" in seen["unsigned"]


def test_a_delayed_event_is_sticky_from_when_it_is_sent(ann, ben, room):
    ben.next_sync(filter=SHORT)
    path = f"/rooms/{quote(room)}/send/m.room.message/d{next(_n)}?org.matrix.msc4140.delay=300&{STICKY}=50000"
    ann.put(path, {"msgtype": "m.text", "body": "later"})
    seen = ben.sync_until(lambda a: [e for e in joined(a, room).get("timeline", {}).get("events", []) if e["content"].get("body") == "later"])
    assert seen[0]["msc4354_sticky"] == {"duration_ms": 50000}
    assert seen[0]["event_id"] in told(ben.sync(filter=json.dumps({"room": {"timeline": {"limit": 1, "not_senders": [ann.user_id]}}})), room)


def test_a_waiting_sync_is_ended_by_one(ann, ben, room):
    none = json.dumps({"room": {"timeline": {"types": []}}, "presence": {"types": []}})
    ben.next_sync(filter=none)
    answer = {}
    t = threading.Thread(target=lambda: answer.update(ben.next_sync(timeout=20000, filter=none)))
    t.start()
    event = stick(ann, room)
    t.join(25)
    assert told(answer, room) == [event]


def test_they_outlive_a_restart():
    s = Server(config={"experimental_features": {"msc4354_enabled": True}})
    s.start()
    try:
        ann, ben = (Client(s.base).register(name) for name in ("ann", "ben"))
        room = ann.create_room(preset="public_chat")
        ben.join(room)
        ben.next_sync(filter=SHORT)
        events = [stick(ann, room) for _ in range(2)]
        bury(ann, room)
        s.stop()
        s.start()
        assert told(ben.next_sync(filter=SHORT), room) == events
        assert told(ben.next_sync(filter=SHORT), room) == []
        assert told(ann.sync(filter=SHORT), room) == events
    finally:
        s.close()


def test_where_they_are_off_nothing_is_sticky(server, alice):
    room = alice.create_room()
    event = stick(alice, room)
    bury(alice, room)
    assert "sticky" not in json.dumps(alice.event(room, event)["unsigned"]) and "msc4354_sticky" not in alice.event(room, event)
    assert "msc4354_sticky" not in json.dumps(alice.sync(filter=SHORT))
