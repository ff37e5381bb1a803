"""History: /messages both ways, /context, /event, and who may see what."""

import json

import pytest

from mx import quote, refusal


def ids(events):
    return [e["event_id"] for e in events]


@pytest.fixture
def talk(alice, room):
    return [alice.text(room, f"m{i}") for i in range(12)]


def test_pages_back_to_the_beginning_without_hole_or_repeat(alice, room, talk):
    seen, token = [], None
    while True:
        page = alice.messages(room, limit=5, **({"from": token} if token else {}))
        seen += page["chunk"]
        token = page.get("end")
        if not token:
            break
    assert len(seen) == len(set(ids(seen)))
    assert seen[-1]["type"] == "m.room.create"
    assert [e for e in ids(seen) if e in talk] == talk[::-1]


def test_pages_forward_from_the_beginning(alice, room, talk):
    seen, token = [], None
    for _ in range(30):
        page = alice.messages(room, "f", limit=5, **({"from": token} if token else {}))
        seen += page["chunk"]
        token = page.get("end")
        if not token:
            break
    assert seen[0]["type"] == "m.room.create"
    assert [e for e in ids(seen) if e in talk] == talk


def test_back_and_forth_from_a_sync_token(alice, room, talk):
    token = alice.sync()["next_batch"]
    later = [alice.text(room, f"later{i}") for i in range(3)]
    back = alice.messages(room, "b", **{"from": token, "limit": 3})
    assert ids(back["chunk"]) == talk[:-4:-1]
    forth = alice.messages(room, "f", **{"from": token, "limit": 10})
    assert ids(forth["chunk"]) == later


def test_to_bounds_the_page(alice, room, talk):
    a = alice.sync()["next_batch"]
    mid = [alice.text(room, f"mid{i}") for i in range(3)]
    b = alice.sync()["next_batch"]
    alice.text(room, "after")
    assert ids(alice.messages(room, "f", **{"from": a, "to": b, "limit": 50})["chunk"]) == mid
    assert ids(alice.messages(room, "b", **{"from": b, "to": a, "limit": 50})["chunk"]) == mid[::-1]


def test_a_filter_chooses_types_and_senders(alice, bob, room, talk):
    e = bob.send(room, "org.example.odd", {"x": 1})
    odd = alice.messages(room, filter=json.dumps({"types": ["org.example.*"]}))
    assert ids(odd["chunk"]) == [e]
    none = alice.messages(room, limit=50, filter=json.dumps({"not_senders": [alice.user_id]}))
    assert {x["sender"] for x in none["chunk"]} == {bob.user_id}


def test_lazy_members_come_with_the_page(alice, bob, room, talk):
    bob.text(room, "from bob")
    page = alice.messages(room, limit=1, filter=json.dumps({"lazy_load_members": True}))
    assert [e["state_key"] for e in page["state"]] == [bob.user_id]


def test_context_shows_both_sides_and_state(alice, room, talk):
    c = alice.get(f"/rooms/{quote(room)}/context/{quote(talk[5])}", {"limit": 6})
    assert c["event"]["event_id"] == talk[5]
    assert ids(c["events_before"]) == [talk[4], talk[3], talk[2]]
    assert ids(c["events_after"]) == [talk[6], talk[7], talk[8]]
    assert any(e["type"] == "m.room.create" for e in c["state"])
    assert ids(alice.messages(room, "b", **{"from": c["start"], "limit": 2})["chunk"]) == [talk[1], talk[0]]
    assert ids(alice.messages(room, "f", **{"from": c["end"], "limit": 2})["chunk"]) == [talk[9], talk[10]]


def test_an_unknown_event_is_not_found(alice, room):
    for path in ("event", "context"):
        r = refusal(alice.get, f"/rooms/{quote(room)}/{path}/$nothing")
        assert (r.status, r.errcode) == (404, "M_NOT_FOUND")


def visibility_room(alice, visibility):
    return alice.create_room(
        preset="public_chat",
        initial_state=[{"type": "m.room.history_visibility", "content": {"history_visibility": visibility}, "state_key": ""}],
    )


def test_world_readable_history_is_open_to_strangers(alice, bob):
    room = visibility_room(alice, "world_readable")
    e = alice.text(room, "open")
    assert bob.event(room, e)["content"]["body"] == "open"
    assert e in ids(bob.messages(room)["chunk"])


def test_shared_history_is_for_members_and_whole(alice, bob):
    room = visibility_room(alice, "shared")
    e = alice.text(room, "before")
    assert refusal(bob.event, room, e).status in (403, 404)
    bob.join(room)
    assert bob.event(room, e)["event_id"] == e
    assert e in ids(bob.messages(room)["chunk"])


def test_invited_history_begins_with_the_invitation(alice, bob):
    room = visibility_room(alice, "invited")
    before = alice.text(room, "before the invite")
    alice.invite(room, bob.user_id)
    between = alice.text(room, "between")
    bob.join(room)
    seen = ids(bob.messages(room, limit=100)["chunk"])
    assert between in seen and before not in seen
    assert bob.event(room, between)["event_id"] == between
    assert refusal(bob.event, room, before).status == 404


def test_joined_history_begins_with_the_join(alice, bob):
    room = visibility_room(alice, "joined")
    alice.invite(room, bob.user_id)
    before = alice.text(room, "before")
    bob.join(room)
    after = alice.text(room, "after")
    seen = ids(bob.messages(room, limit=100)["chunk"])
    assert after in seen and before not in seen
    assert refusal(bob.event, room, before).status == 404


def test_who_left_sees_up_to_the_leaving(alice, bob, room):
    e = alice.text(room, "while there")
    bob.leave(room)
    after = alice.text(room, "after leaving")
    seen = ids(bob.messages(room, limit=100)["chunk"])
    assert e in seen and after not in seen
    assert refusal(bob.event, room, after).status in (403, 404)


@pytest.mark.parametrize("query", [{"dir": "x"}, {"dir": "b", "from": "garbage"}, {"dir": "b", "limit": "many"}, {"dir": "b", "limit": "-1"}])
def test_bad_queries_are_refused(alice, room, query):
    r = refusal(alice.get, f"/rooms/{quote(room)}/messages", query)
    assert r.status == 400


def test_filters_by_who_relates_to_an_event_and_how(alice, bob, room):
    plain, thread, liked = (alice.text(room, b) for b in ("plain", "thread", "liked"))
    reply = bob.text(room, "reply", **{"m.relates_to": {"rel_type": "m.thread", "event_id": thread}})
    bob.send(room, "m.reaction", {"m.relates_to": {"rel_type": "m.annotation", "event_id": liked, "key": "+"}})
    alice.send(room, "m.reaction", {"m.relates_to": {"rel_type": "m.annotation", "event_id": plain, "key": "+"}})

    def found(**filter):
        page = alice.messages(room, limit=50, filter=json.dumps(filter))
        timeline = alice.sync(filter=json.dumps({"room": {"timeline": {"limit": 50, **filter}}}))
        joined = timeline["rooms"]["join"][room]["timeline"]["events"]
        ids = [e["event_id"] for e in page["chunk"]]
        assert [e["event_id"] for e in joined] == ids[::-1]
        return ids

    assert found(related_by_rel_types=["m.thread"]) == [thread]
    assert found(related_by_rel_types=["m.annotation", "m.thread"]) == [liked, thread, plain]
    assert found(related_by_senders=[bob.user_id]) == [liked, thread]
    assert found(related_by_senders=[alice.user_id], related_by_rel_types=["m.annotation"]) == [plain]
    assert found(related_by_senders=["@nobody:nowhere"]) == []
    assert reply in found(related_by_senders=[], related_by_rel_types=[])


def test_a_room_as_a_whole_for_old_clients_and_for_peeking(alice, bob, room, talk, new_user):
    bob.receipt(room, talk[-1])
    alice.put(f"/user/{quote(alice.user_id)}/rooms/{quote(room)}/tags/u.work", {})
    whole = alice.get(f"/rooms/{quote(room)}/initialSync", {"limit": 3})
    assert (whole["room_id"], whole["membership"], whole["visibility"]) == (room, "join", "private")
    assert ids(whole["messages"]["chunk"]) == talk[-3:]
    assert ids(alice.messages(room, **{"from": whole["messages"]["start"], "limit": 2})["chunk"]) == talk[-4:-6:-1]
    assert {(e["type"], e["state_key"]) for e in whole["state"]} >= {("m.room.create", ""), ("m.room.member", bob.user_id)}
    assert [e["type"] for e in whole["account_data"]] == ["m.tag"]
    assert bob.user_id in whole["receipts"][0]["content"][talk[-1]]["m.read"]
    bob.leave(room)
    alice.text(room, "after bob")
    assert bob.get(f"/rooms/{quote(room)}/initialSync")["membership"] == "leave"
    assert "after bob" not in json.dumps(bob.get(f"/rooms/{quote(room)}/initialSync"))
    eve = new_user("eve")
    assert refusal(eve.get, f"/rooms/{quote(room)}/initialSync").status == 403
    alice.set_state(room, "m.room.history_visibility", {"history_visibility": "world_readable"})
    last = alice.text(room, "for all")
    assert ids(eve.get(f"/rooms/{quote(room)}/initialSync", {"limit": 1})["messages"]["chunk"]) == [last]


def test_an_event_by_its_id_alone(alice, bob, room, talk, new_user):
    assert bob.get(f"/events/{quote(talk[2])}")["content"]["body"] == "m2"
    for who, event in ((new_user("eve"), talk[2]), (alice, "$" + "A" * 43), (alice, "nonsense")):
        r = refusal(who.get, f"/events/{quote(event)}")
        assert (r.status, r.errcode) == (404, "M_NOT_FOUND")
