"""/sync of who goes away: from the room, or for long."""

import json

import pytest

from mx import NO_PRESENCE, quote


def sync(client, since=None, **parts):
    return client.sync(since, filter=json.dumps({"room": parts}))


def state_of(part):
    """What a client has made of a room once it has read this."""
    state = {}
    for e in part["state"]["events"] + part["timeline"]["events"]:
        if "state_key" in e:
            state[e["type"], e["state_key"]] = e["content"]
    return state


def now(client, room):
    return {(e["type"], e["state_key"]): e["content"] for e in client.get(f"/rooms/{quote(room)}/state")}


@pytest.mark.parametrize("limit", [1, 2, 5, 50])
def test_who_left_and_came_back_between_two_syncs_has_the_state_whole(alice, bob, room, limit):
    since = bob.sync()["next_batch"]
    alice.set_state(room, "m.room.topic", {"topic": "before"})
    bob.leave(room)
    alice.set_state(room, "m.room.name", {"name": "while away"})
    alice.set_state(room, "org.example.x", {"n": 1}, "k")
    bob.join(room)
    alice.text(room, "after")
    answer = sync(bob, since, timeline={"limit": limit})
    assert state_of(answer["rooms"]["join"][room]) == now(bob, room)
    assert room not in answer["rooms"].get("leave", {})
    assert answer["rooms"]["join"][room]["timeline"]["limited"] is True


def test_who_came_and_left_between_two_syncs_is_told_of_the_end(alice, bob):
    room = alice.create_room(preset="public_chat")
    since = bob.sync()["next_batch"]
    bob.join(room)
    said = alice.text(room, "hello")
    bob.leave(room)
    alice.text(room, "not for bob")
    answer = bob.sync(since)
    events = [e["event_id"] for e in answer["rooms"]["leave"][room]["timeline"]["events"]]
    assert said == events[-2] and room not in answer["rooms"].get("join", {})


def test_who_was_kicked_while_away_sees_what_was_until_then(alice, bob, room):
    since = bob.sync()["next_batch"]
    said = [alice.text(room, str(i)) for i in range(3)]
    alice.set_state(room, "m.room.topic", {"topic": "until then"})
    alice.kick(room, bob.user_id, reason="x")
    hidden = alice.text(room, "later")
    alice.set_state(room, "m.room.topic", {"topic": "later"})
    for limit in (1, 20):
        left = sync(bob, since, timeline={"limit": limit})["rooms"]["leave"][room]
        events = [e["event_id"] for e in left["timeline"]["events"]]
        assert left["timeline"]["events"][-1]["content"] == {"membership": "leave", "reason": "x"} and hidden not in events
        assert state_of(left)["m.room.topic", ""] == {"topic": "until then"}
        assert limit == 1 or events[:3] == said
    token = bob.sync(since)["next_batch"]
    assert room not in bob.sync(token).get("rooms", {}).get("leave", {})


def test_an_archived_room_is_as_it_was_at_the_end(alice, bob, room):
    alice.set_state(room, "m.room.topic", {"topic": "then"})
    said = alice.text(room, "then")
    before = now(bob, room)
    bob.leave(room)
    alice.set_state(room, "m.room.topic", {"topic": "later"})
    later = alice.text(room, "later")
    for parts in ({"include_leave": True}, {"include_leave": True, "timeline": {"limit": 1}}):
        left = sync(bob, **parts)["rooms"]["leave"][room]
        assert state_of(left) == {**before, ("m.room.member", bob.user_id): {"membership": "leave"}}
        assert later not in [e["event_id"] for e in left["timeline"]["events"]]
    back = bob.messages(room, "b", **{"from": left["timeline"]["prev_batch"], "limit": 3})["chunk"]
    assert back[0]["event_id"] == said
    assert room not in sync(bob).get("rooms", {}).get("leave", {}), "only where it is asked for"


def test_after_a_long_absence_the_gap_is_filled_from_prev_batch(alice, bob, room):
    since = bob.sync()["next_batch"]
    sent = []
    for i in range(1200):
        sent.append(alice.set_state(room, "m.room.topic", {"topic": str(i)}) if i % 300 == 7 else alice.text(room, str(i)))
    answer = bob.sync(since)
    part = answer["rooms"]["join"][room]
    assert part["timeline"]["limited"] is True and [e["event_id"] for e in part["timeline"]["events"]] == sent[-10:]
    assert state_of(part)["m.room.topic", ""] == {"topic": "907"} and len(part["state"]["events"]) == 1
    token, gap = part["timeline"]["prev_batch"], []
    while token:
        page = bob.messages(room, "b", **{"from": token, "to": since, "limit": 500})
        gap += [e["event_id"] for e in page["chunk"]]
        token = page.get("end") if page["chunk"] else None
    assert gap[::-1] == sent[:-10]
    assert room not in bob.sync(answer["next_batch"]).get("rooms", {}).get("join", {})


@pytest.mark.parametrize("ahead", [1, 1000, 10**12])
def test_a_token_of_the_future_is_answered_at_once(alice, room, ahead):
    pos, _, rest = alice.sync()["next_batch"][1:].partition("_")
    token = f"h{int(pos) + ahead}_{rest}"
    answer = alice.sync(token, timeout=300, filter=NO_PRESENCE)
    sent = alice.text(room, "seen after it")
    assert sent in [e["event_id"] for e in alice.sync(answer["next_batch"])["rooms"]["join"][room]["timeline"]["events"]]


@pytest.mark.parametrize("token", ["", "h", "h1", "h1_2", "h1_2.x", "h1_2.3_", "h99999999999999999999_0.0", "h-1_0.0", "x1_2_3", "s", "s1_x", "t1-", "m", "\u0000", "h1_0.0_1_1_1"])
def test_what_is_no_token_is_an_error_at_once(alice, token):
    r = alice.raw("GET", "/sync", query={"since": token, "timeout": "30000"}, timeout=10)
    assert r.status_code == 400 and r.json()["errcode"]


# F11 what one may not see never ends the way back
def test_five_hundred_events_that_one_may_not_see_are_passed_over(alice, bob, room, new_user):
    carol = new_user("carol")
    carol.join(room)
    first = alice.text(room, "first")
    carol.put(f"/user/{carol.user_id}/account_data/m.ignored_user_list", {"ignored_users": {bob.user_id: {}}})
    for i in range(500):
        bob.text(room, str(i))
    last = alice.text(room, "last")
    token, seen, pages = None, [], 0
    while pages == 0 or token:
        page = carol.messages(room, "b", limit=10, **({"from": token} if token else {}))
        seen += [e["event_id"] for e in page["chunk"]]
        token, pages = page.get("end"), pages + 1
        assert pages < 200
    assert seen[:2] == [last, first] and carol.event(room, seen[-1])["type"] == "m.room.create"
    part = carol.sync(filter=json.dumps({"room": {"timeline": {"limit": 5}}}))["rooms"]["join"][room]["timeline"]
    assert part["limited"] is True and part["events"][-1]["event_id"] == last
    token, seen = part["prev_batch"], [e["event_id"] for e in part["events"]]
    while token:
        page = carol.messages(room, "b", limit=100, **{"from": token})
        seen = [e["event_id"] for e in reversed(page["chunk"])] + seen
        token = page.get("end")
    assert seen[-2:] == [first, last] and carol.event(room, seen[0])["type"] == "m.room.create"
