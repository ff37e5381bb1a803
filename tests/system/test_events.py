"""What clients used before /sync: /initialSync and /events."""

import json
import threading

import pytest

from mx import quote, refusal

def initial(client, **query):
    return client.get("/initialSync", query)


def events(client, start=None, timeout=0, **query):
    if start:
        query["from"] = start
    return client.get("/events", {"timeout": timeout, **query}, timeout=90)


def drain(client, start, **query):
    """Everything since, and the token behind it."""
    found = []
    while True:
        page = events(client, start, **query)
        assert page["start"] == start
        if not page["chunk"]:
            return found, page["end"]
        found += page["chunk"]
        start = page["end"]


def ids(chunk):
    return [e["event_id"] for e in chunk if "event_id" in e]


def test_all_rooms_at_once(alice, bob, room, new_user):
    last = alice.text(room, "last")
    bob.receipt(room, last)
    alice.put(f"/user/{quote(alice.user_id)}/account_data/org.example.a", {"a": 1})
    alice.put(f"/user/{quote(alice.user_id)}/rooms/{quote(room)}/account_data/org.example.r", {"r": 1})
    other = bob.create_room(name="bob's")
    bob.invite(other, alice.user_id)
    left = alice.create_room()
    alice.leave(left)
    answer = initial(alice, limit=2)
    rooms = {r["room_id"]: r for r in answer["rooms"]}
    assert set(rooms) == {room, other}
    assert rooms[room]["membership"] == "join" and ids(rooms[room]["messages"]["chunk"])[-1] == last
    assert len(rooms[room]["messages"]["chunk"]) == 2
    assert {"m.room.create", "m.room.member", "m.room.power_levels"} <= {e["type"] for e in rooms[room]["state"]}
    assert rooms[room]["account_data"] == [{"type": "org.example.r", "content": {"r": 1}}]
    assert rooms[other]["membership"] == "invite" and rooms[other]["inviter"] == bob.user_id
    assert rooms[other]["invite"]["state_key"] == alice.user_id and "state" not in rooms[other]
    assert {"type": "org.example.a", "content": {"a": 1}} in answer["account_data"]
    assert [r["room_id"] for r in answer["receipts"] if last in r["content"]] == [room]
    archived = {r["room_id"]: r["membership"] for r in initial(alice, archived="true")["rooms"]}
    assert archived == {room: "join", other: "invite", left: "leave"}
    assert "depth" in initial(alice, raw="")["rooms"][0].get("messages", {"chunk": [{"depth": 1}]})["chunk"][0]


def test_initial_sync_ends_where_events_begin(alice, bob, room):
    end = initial(alice)["end"]
    sent = [bob.text(room, str(i)) for i in range(25)]
    found, end = drain(alice, end)
    assert ids(found) == sent  # in pages of ten
    assert all(e["room_id"] == room for e in found if "event_id" in e)
    assert ids(alice.sync(end).get("rooms", {}).get("join", {}).get(room, {}).get("timeline", {}).get("events", [])) == []


@pytest.mark.parametrize("query", [{"from": "x"}, {"to": "x"}, {"limit": "-1"}, {"archived": "x"}])
def test_initial_sync_refuses_what_is_no_question(alice, query):
    assert refusal(alice.get, "/initialSync", query).status == 400


@pytest.mark.parametrize("query", [{"from": "x"}, {"timeout": "x"}, {"limit": "-1"}])
def test_events_refuses_what_is_no_question(alice, query):
    assert refusal(alice.get, "/events", query).status == 400


def test_each_event_is_told_once_in_order_over_all_rooms(alice, bob, room):
    second = alice.create_room(preset="public_chat")
    bob.join(second)
    _, end = drain(bob, events(bob)["end"])
    sent = [alice.text((room, second)[i % 2], str(i)) for i in range(12)]
    found, _ = drain(bob, end, limit=5)
    assert ids(found) == sent


def test_receipts_typing_and_account_data_are_told(alice, bob, room):
    event = bob.text(room, "read me")
    _, end = drain(bob, events(bob)["end"])
    alice.receipt(room, event)
    alice.typing(room)
    bob.put(f"/user/{quote(bob.user_id)}/account_data/org.example.a", {"a": 1})
    bob.put(f"/user/{quote(bob.user_id)}/rooms/{quote(room)}/account_data/org.example.r", {"r": 1})
    found, _ = drain(bob, end)
    by_type = {e["type"]: e for e in found}
    assert by_type["m.receipt"]["room_id"] == room and alice.user_id in json.dumps(by_type["m.receipt"]["content"][event])
    assert by_type["m.typing"] == {"type": "m.typing", "room_id": room, "content": {"user_ids": [alice.user_id]}}
    assert by_type["org.example.a"] == {"type": "org.example.a", "content": {"a": 1}}
    assert by_type["org.example.r"] == {"type": "org.example.r", "content": {"r": 1}, "room_id": room}


def test_an_invite_and_the_end_of_a_stay_are_told(alice, bob, new_user):
    room = alice.create_room(invite=[])
    _, end = drain(bob, events(bob)["end"])
    alice.invite(room, bob.user_id)
    alice.text(room, "not bob's to see")
    found, end = drain(bob, end)
    assert [(e["content"]["membership"], e["state_key"]) for e in found if e["type"] == "m.room.member"] == [("invite", bob.user_id)]
    assert "not bob's" not in json.dumps(found)
    bob.join(room)
    found, end = drain(bob, end)
    assert [e["content"]["membership"] for e in found if e["type"] == "m.room.member"] == ["join"]
    alice.kick(room, bob.user_id)
    alice.text(room, "not bob's to see")
    found, end = drain(bob, end)
    assert [e["content"]["membership"] for e in found if e["type"] == "m.room.member"] == ["leave"]
    assert "not bob's" not in json.dumps(found)


def wait_and(do, client, found, start, **query):
    """What a waiting poll ends with; news of presence may end one before."""
    answers = []

    def follow():
        at = start
        for _ in range(20):
            page = events(client, at, timeout=20000, **query)
            answers.append(page)
            at = page["end"]
            if any(found(e) for e in page["chunk"]):
                return

    t = threading.Thread(target=follow)
    t.start()
    do()
    t.join(60)
    assert not t.is_alive()
    return [e for a in answers for e in a["chunk"] if found(e)]


def test_a_waiting_poll_ends_with_what_happens(alice, bob, room):
    _, end = drain(bob, events(bob)["end"])
    [seen] = wait_and(lambda: alice.text(room, "now"), bob, lambda e: e["type"] == "m.room.message", end)
    assert seen["content"]["body"] == "now"


def test_a_poll_without_news_gives_its_token_back(alice):
    _, end = drain(alice, events(alice)["end"])
    page = events(alice, end, timeout=1)  # half a second is the least
    while page["chunk"]:
        page = events(alice, page["end"], timeout=1)
    assert page["chunk"] == [] and page["end"]


def test_one_room_alone(alice, bob, room):
    second = alice.create_room(preset="public_chat")
    bob.join(second)
    _, end = drain(bob, events(bob)["end"])
    alice.text(second, "elsewhere")
    here = alice.text(room, "here")
    found, _ = drain(bob, end, room_id=room)
    assert ids(found) == [here]


def test_an_open_room_may_be_looked_into_and_no_other(alice, new_user):
    shut = alice.create_room(preset="public_chat")
    open_ = alice.create_room(initial_state=[{"type": "m.room.history_visibility", "content": {"history_visibility": "world_readable"}}])
    eve = new_user("eve")
    for room in (shut, "!none:test"):
        r = refusal(events, eve, room_id=room)
        assert (r.status, r.errcode) == (403, "M_FORBIDDEN")
    start = events(eve, room_id=open_)["end"]
    sent = alice.text(open_, "open")
    found, end = drain(eve, start, room_id=open_)
    assert ids(found) == [sent]
    [seen] = wait_and(lambda: alice.text(open_, "again"), eve, lambda e: e["type"] == "m.room.message", end, room_id=open_)
    assert seen["content"]["body"] == "again"
    assert ids(drain(eve, start)[0]) == []


@pytest.mark.parametrize("prefix", ["api/v1", "r0", "unstable"])
def test_older_prefixes_lead_there_too(alice, prefix):
    assert "end" in alice.get(f"/_matrix/client/{prefix}/initialSync")
    assert "end" in alice.get(f"/_matrix/client/{prefix}/events?timeout=0")
