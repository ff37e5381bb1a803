"""GET /rooms/{roomId}/timestamp_to_event: the event closest to a moment."""

import itertools

import pytest

from mx import quote, refusal


def near(client, room, ts, dir=None, **kw):
    query = {"ts": ts, **({"dir": dir} if dir else {})}
    return client.get(f"/_matrix/client/v1/rooms/{quote(room)}/timestamp_to_event", query, **kw)


def in_order(client, room):
    """(ts, id) of the room's events as they follow each other."""
    seen = client.messages(room, "f", limit=100)["chunk"]
    return [(e["origin_server_ts"], e["event_id"]) for e in seen]


def text_of_another_moment(client, room, body):
    """Sends until the clock has moved on, so that the last event has a moment for itself on its left."""
    first = client.event(room, client.text(room, body))["origin_server_ts"]
    for i in itertools.count():
        e = client.event(room, client.text(room, f"{body} {i}"))
        if e["origin_server_ts"] > first:
            return e["origin_server_ts"], e["event_id"]


def test_the_closest_event_on_either_side_is_found(alice, room):
    ts, id = text_of_another_moment(alice, room, "a")
    later, last = text_of_another_moment(alice, room, "b")
    assert near(alice, room, ts) == {"event_id": id, "origin_server_ts": ts}
    assert near(alice, room, later, "b") == {"event_id": last, "origin_server_ts": later}
    assert near(alice, room, 0)["event_id"] == in_order(alice, room)[0][1]
    before = near(alice, room, ts - 1, "b")
    assert before["origin_server_ts"] < ts and before["event_id"] in [i for _, i in in_order(alice, room)]


def test_of_events_of_one_moment_the_next_in_the_room_is_found(alice, room):
    events = in_order(alice, room)  # a room is made within a few milliseconds
    for ts, _ in events:
        same = [i for t, i in events if t == ts]
        assert near(alice, room, ts, "f")["event_id"] == same[0]
        assert near(alice, room, ts, "b")["event_id"] == same[-1]


def test_beyond_the_ends_there_is_nothing(alice, room):
    events = in_order(alice, room)
    for ts, dir in ((events[0][0] - 1, "b"), (max(t for t, _ in events) + 1, "f")):
        r = refusal(near, alice, room, ts, dir)
        assert (r.status, r.errcode) == (404, "M_NOT_FOUND")


@pytest.mark.parametrize("query, errcode", [
    ({}, "M_MISSING_PARAM"), ({"ts": "x"}, "M_INVALID_PARAM"), ({"ts": "-1"}, "M_INVALID_PARAM"), ({"ts": "1", "dir": "x"}, "M_INVALID_PARAM"),
])
def test_bad_questions_are_refused(alice, room, query, errcode):
    r = refusal(alice.get, f"/_matrix/client/v1/rooms/{quote(room)}/timestamp_to_event", query)
    assert (r.status, r.errcode) == (400, errcode)


def test_who_came_later_finds_only_what_they_may_see(alice, bob):
    room = alice.create_room(preset="public_chat", initial_state=[
        {"type": "m.room.history_visibility", "state_key": "", "content": {"history_visibility": "joined"}}])
    secrets = [alice.text(room, f"secret {i}") for i in range(20)]
    bob.join(room)
    ts = alice.event(room, secrets[0])["origin_server_ts"]
    visible = [e["event_id"] for e in bob.messages(room, "f", limit=100)["chunk"]]
    assert not set(visible) & set(secrets)
    assert near(alice, room, ts)["event_id"] in secrets
    assert near(bob, room, ts)["event_id"] in visible
    joined = [e for e in bob.messages(room, limit=100)["chunk"] if e.get("state_key") == bob.user_id][0]
    assert near(bob, room, joined["origin_server_ts"] + 1000, "b")["event_id"] == joined["event_id"]


def test_outsiders_find_nothing_and_not_even_whether_the_room_is_there(alice, new_user):
    room = alice.create_room()
    eve = new_user("eve")
    answers = {}
    for name in (room, "!nowhere:" + alice.user_id.split(":", 1)[1]):
        r = refusal(near, eve, name, 0)
        assert (r.status, r.errcode) == (403, "M_FORBIDDEN")
        answers[r.body["error"].replace(name, "!")] = 1
    assert len(answers) == 1
