"""Purging history."""

import pytest

from mx import quote, refusal
from server import wait_for

V1 = "/_synapse/admin/v1/"


def purge(admin, room, event=None, **body):
    """Purges, and awaits the end."""
    purge_id = admin.post(f"{V1}purge_history/{quote(room)}" + (f"/{quote(event)}" if event else ""), body)["purge_id"]

    def status():
        s = admin.get(f"{V1}purge_history_status/{purge_id}")
        return s if s["status"] != "active" else None

    return wait_for(status, 60)


def history(c, room):
    found, token = [], {}
    while True:
        page = c.messages(room, limit=7, **token)
        found += page["chunk"]
        if "end" not in page:
            return found
        token = {"from": page["end"]}


@pytest.fixture
def talk(alice, bob):
    """A room with twenty messages; bob has read them, and the state has changed in between."""
    room = alice.create_room(preset="public_chat", name="first")
    bob.join(room)
    sent = [alice.text(room, f"m{i}") for i in range(10)]
    alice.set_state(room, "m.room.name", {"name": "second"})
    sent += [bob.text(room, f"m{i}") for i in range(10, 20)]
    bob.receipt(room, sent[-1])
    return room, sent


def test_messages_before_an_event_go(admin, alice, bob, talk):
    room, sent = talk
    middle = alice.messages(room, limit=5)["end"]
    reaction = alice.send(room, "m.reaction", {"m.relates_to": {"rel_type": "m.annotation", "event_id": sent[2], "key": "x"}})
    bob.next_sync()
    assert purge(admin, room, sent[12], delete_local_events=True) == {"status": "complete"}
    assert [e["event_id"] for e in history(alice, room)] == [reaction] + sent[:11:-1]
    for c in (alice, bob):
        assert refusal(c.event, room, sent[3]).status == 404
        assert c.event(room, sent[12])["content"]["body"] == "m12"
    # a token into what is gone, relations of what is gone, the context at the edge
    assert alice.messages(room, limit=100, **{"from": middle})["chunk"][-1]["event_id"] == sent[12]
    assert refusal(alice.get, f"/_matrix/client/v1/rooms/{quote(room)}/relations/{quote(sent[2])}").status in (403, 404)
    context = alice.get(f"/rooms/{quote(room)}/context/{quote(sent[12])}", {"limit": 10})
    assert context["events_before"] == [] and context["events_after"][0]["event_id"] == sent[13]
    # the state is what it was, and the room goes on
    assert alice.state(room, "m.room.name")["name"] == "second"
    assert bob.state(room, "m.room.member", alice.user_id)["membership"] == "join"
    new = bob.text(room, "after")
    assert bob.sync_until_event(room, new)["content"]["body"] == "after"
    alice.set_state(room, "m.room.name", {"name": "third"})
    first = alice.get("/sync", {"filter": '{"room":{"timeline":{"limit":30}}}'})["rooms"]["join"][room]
    assert [e["event_id"] for e in first["timeline"]["events"]][:2] == sent[12:14]
    assert {e["type"] for e in first["state"]["events"]} >= {"m.room.create", "m.room.power_levels", "m.room.join_rules"}


def test_messages_of_this_server_stay_outside_of_the_timeline_unless_told(admin, alice, talk):
    room, sent = talk
    assert purge(admin, room, purge_up_to_event_id=sent[12])["status"] == "complete"
    assert [e["event_id"] for e in history(alice, room)] == sent[:11:-1]
    assert admin.get(f"{V1}fetch_event/{quote(sent[3])}")["event"]["content"]["body"] == "m3"
    assert refusal(alice.event, room, sent[3]).status == 404
    assert purge(admin, room, sent[14], delete_local_events=True)["status"] == "complete"
    assert [e["event_id"] for e in history(alice, room)] == sent[:13:-1]


def test_messages_before_a_moment_go(admin, alice, talk):
    room, sent = talk
    at = alice.event(room, sent[12])["origin_server_ts"]
    assert purge(admin, room, purge_up_to_ts=at + 3600 * 1000, delete_local_events=True)["status"] == "complete"
    assert [e["event_id"] for e in history(alice, room)] == sent[-1:]  # the newest stays
    r = refusal(admin.post, f"{V1}purge_history/{quote(room)}", {"purge_up_to_ts": 1})
    assert (r.status, r.errcode) == (404, "M_NOT_FOUND")


def test_who_has_left_still_reads_the_state_of_then(admin, alice, bob, talk):
    room, sent = talk
    bob.leave(room)
    after = [alice.text(room, f"later {i}") for i in range(3)]
    alice.set_state(room, "m.room.name", {"name": "third"})
    alice.text(room, "the last")
    assert purge(admin, room, after[2], delete_local_events=True)["status"] == "complete"
    assert bob.state(room, "m.room.name")["name"] == "second"


def test_the_whole_history_cannot_go(admin, alice, talk):
    room, sent = talk
    last = alice.text(room, "the last")
    assert purge(admin, room, last, delete_local_events=True)["status"] == "complete"
    assert [e["event_id"] for e in history(alice, room)] == [last]


def test_bad_purges_are_refused(admin, alice, talk):
    room, sent = talk
    path = f"{V1}purge_history/{quote(room)}"
    for body, errcode in (({}, "M_BAD_JSON"), ({"purge_up_to_ts": "x"}, "M_BAD_JSON")):
        r = refusal(admin.post, path, body)
        assert (r.status, r.errcode) == (400, errcode)
    assert refusal(admin.post, f"{path}/$nothing").status == 404
    r = refusal(admin.post, f"{V1}purge_history/{quote(alice.create_room())}/{quote(sent[0])}")
    assert (r.status, r.body["error"]) == (400, "Event is for wrong room.")
    assert refusal(admin.get, f"{V1}purge_history_status/x").status == 404
    assert refusal(alice.post, path, {"purge_up_to_ts": 1}).status == 403
    assert refusal(alice.get, f"{V1}purge_history_status/x").status == 403


def test_the_tree_below_a_space_is_shown_whole_to_administrators(admin, alice):
    space = alice.create_room(creation_content={"type": "m.space"})
    child = alice.create_room(name="private")
    alice.set_state(space, "m.space.child", {"via": ["test"]}, child)
    rooms = admin.get(f"{V1}rooms/{quote(space)}/hierarchy")["rooms"]
    assert [r["room_id"] for r in rooms] == [space, child]
    assert refusal(alice.get, f"{V1}rooms/{quote(space)}/hierarchy").status == 403
