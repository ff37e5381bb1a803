"""/sync: first, next, long-polled, filtered, lazy."""

import json
import threading
import time

import pytest

from mx import NO_PRESENCE, Client, quote, refusal


def joined(answer, room):
    return answer.get("rooms", {}).get("join", {}).get(room, {})


def timeline(answer, room):
    return joined(answer, room).get("timeline", {}).get("events", [])


def test_a_first_sync_has_the_room_whole(alice, bob, room):
    e = alice.text(room, "hello")
    answer = bob.sync()
    assert timeline(answer, room)[-1]["event_id"] == e
    seen = timeline(answer, room) + joined(answer, room)["state"]["events"]
    assert {"m.room.create", "m.room.power_levels", "m.room.join_rules"} <= {x["type"] for x in seen}
    assert len({x["event_id"] for x in seen}) == len(seen)
    assert joined(answer, room)["summary"].get("m.joined_member_count", 2) == 2


def test_the_next_sync_has_only_what_is_new(alice, bob, room):
    bob.next_sync()
    e = alice.text(room, "new")
    answer = bob.next_sync()
    assert [x["event_id"] for x in timeline(answer, room)] == [e]
    assert joined(answer, room)["timeline"]["limited"] is False
    assert room not in bob.next_sync().get("rooms", {}).get("join", {})


def test_one_token_gives_one_answer_again_and_again(alice, bob, room):
    since = bob.sync()["next_batch"]
    sent = [alice.text(room, str(i)) for i in range(3)]
    for _ in range(3):
        assert [x["event_id"] for x in timeline(bob.sync(since), room)] == sent


def test_a_gap_is_limited_and_messages_fill_it(alice, bob, room):
    since = bob.sync()["next_batch"]
    sent = [alice.text(room, str(i)) for i in range(15)]
    answer = bob.sync(since, filter=json.dumps({"room": {"timeline": {"limit": 4}}}))
    t = joined(answer, room)["timeline"]
    assert t["limited"] is True and [x["event_id"] for x in t["events"]] == sent[-4:]
    filled = bob.messages(room, "b", **{"from": t["prev_batch"], "to": since, "limit": 50})["chunk"]
    assert [x["event_id"] for x in filled] == sent[:-4][::-1]


def test_state_changed_in_a_gap_is_in_the_state_section(alice, bob, room):
    since = bob.sync()["next_batch"]
    topic = alice.set_state(room, "m.room.topic", {"topic": "in the gap"})
    for i in range(5):
        alice.text(room, str(i))
    answer = bob.sync(since, filter=json.dumps({"room": {"timeline": {"limit": 2}}}))
    assert [x["event_id"] for x in joined(answer, room)["state"]["events"]] == [topic]


def test_full_state_repeats_all_of_it(alice, room):
    since = alice.sync()["next_batch"]
    answer = alice.sync(since, full_state="true")
    assert "m.room.create" in {x["type"] for x in joined(answer, room)["state"]["events"]}


def test_a_long_poll_wakes_at_once(server, alice, bob, room):
    bob.next_sync()
    got = {}

    def poll():
        got["answer"] = bob.next_sync(timeout=30000, filter=NO_PRESENCE)
        got["at"] = time.monotonic()

    t = threading.Thread(target=poll)
    t.start()
    server_parked = threading.Event()
    server_parked.wait(0.3)  # lets the poll arrive first; the assertion below holds either way
    e = alice.text(room, "wake up")
    sent = time.monotonic()
    t.join(10)
    assert [x["event_id"] for x in timeline(got["answer"], room)] == [e]
    assert got["at"] - sent < 2


def test_a_long_poll_that_sees_nothing_ends_in_time_with_a_token(bob, room):
    bob.next_sync()
    begin = time.monotonic()
    answer = bob.next_sync(timeout=500, filter=NO_PRESENCE)
    assert 0.4 <= time.monotonic() - begin < 5
    assert "rooms" not in answer or not answer["rooms"].get("join")
    assert answer["next_batch"]


def test_invites_wake_and_leave_the_invite_section_when_answered(alice, bob):
    bob.next_sync()
    room = alice.create_room(invite=[bob.user_id])
    assert bob.sync_until(lambda a: room in a.get("rooms", {}).get("invite", {}))
    bob.join(room)
    answer = bob.sync_until(lambda a: room in a.get("rooms", {}).get("join", {}) and a)
    state = joined(answer, room)["state"]["events"] + timeline(answer, room)
    assert "m.room.create" in {x["type"] for x in state}


def test_a_left_room_is_told_once(alice, bob, room):
    bob.next_sync()
    alice.kick(room, bob.user_id)
    answer = bob.sync_until(lambda a: room in a.get("rooms", {}).get("leave", {}) and a)
    events = answer["rooms"]["leave"][room]["timeline"]["events"]
    assert events[-1]["content"]["membership"] == "leave"
    alice.text(room, "not for bob")
    assert room not in bob.next_sync().get("rooms", {}).get("leave", {})
    assert room in bob.sync()["rooms"]["leave"], "who was kicked is told at a first sync too"


def test_left_rooms_are_shown_when_asked_for(alice, bob, room):
    bob.leave(room)
    answer = bob.sync(filter=json.dumps({"room": {"include_leave": True}}))
    assert room in answer["rooms"]["leave"]


def test_a_rejected_invite_is_in_the_leave_section(alice, bob):
    room = alice.create_room(invite=[bob.user_id])
    bob.next_sync()
    bob.leave(room)
    assert bob.sync_until(lambda a: room in a.get("rooms", {}).get("leave", {}))


def test_rejoining_gives_the_state_again(alice, bob, room):
    bob.leave(room)
    bob.next_sync()
    alice.set_state(room, "m.room.name", {"name": "meanwhile"})
    bob.join(room)
    answer = bob.sync_until(lambda a: room in a.get("rooms", {}).get("join", {}) and a)
    types = {x["type"] for x in joined(answer, room)["state"]["events"] + timeline(answer, room)}
    assert {"m.room.create", "m.room.name"} <= types


def test_a_stored_filter_works_like_one_in_line(alice, bob, room):
    body = {"room": {"timeline": {"types": ["org.example.wanted"]}, "state": {"types": ["m.room.create"]}}}
    fid = bob.post(f"/user/{bob.user_id}/filter", body)["filter_id"]
    alice.text(room, "unwanted")
    e = alice.send(room, "org.example.wanted", {})
    for f in (fid, json.dumps(body)):
        answer = bob.sync(filter=f)
        assert [x["event_id"] for x in timeline(answer, room)] == [e]
        assert {x["type"] for x in joined(answer, room)["state"]["events"]} <= {"m.room.create"}


def test_a_filter_leaves_rooms_out(alice, room):
    other = alice.create_room()
    answer = alice.sync(filter=json.dumps({"room": {"not_rooms": [room]}}))
    assert other in answer["rooms"]["join"] and room not in answer["rooms"]["join"]


def test_lazy_members_are_those_who_speak(alice, bob, room, new_user):
    quiet = [new_user("quiet") for _ in range(8)]  # five of them are heroes and may be shown as such
    for q in quiet:
        q.join(room)
    for i in range(3):
        bob.text(room, str(i))
    lazy = json.dumps({"room": {"timeline": {"limit": 2}, "state": {"lazy_load_members": True}}})
    members = {x["state_key"] for x in joined(alice.sync(filter=lazy), room)["state"]["events"] if x["type"] == "m.room.member"}
    assert bob.user_id in members and len(members) <= 7


def test_heroes_name_a_room_without_a_name(alice, bob, new_user):
    room = alice.create_room(invite=[bob.user_id])
    bob.join(room)
    summary = joined(alice.sync(filter=json.dumps({"room": {"state": {"lazy_load_members": True}}})), room)["summary"]
    assert summary["m.heroes"] == [bob.user_id]
    assert summary["m.joined_member_count"] == 2 and summary["m.invited_member_count"] == 0


def test_heroes_follow_who_comes_and_goes(alice, bob, new_user):
    carol = new_user("carol")
    room = alice.create_room(preset="private_chat")

    def heroes(user):
        answer = user.sync(filter=json.dumps({"room": {"state": {"lazy_load_members": True}}}))
        return joined(answer, room)["summary"]["m.heroes"]

    assert heroes(alice) == []
    alice.invite(room, bob.user_id)
    assert heroes(alice) == [bob.user_id]
    alice.invite(room, carol.user_id)
    carol.join(room)
    assert heroes(alice) == [carol.user_id, bob.user_id], "who has joined comes first"
    bob.join(room)
    assert heroes(carol) == [alice.user_id, bob.user_id]
    for user in (carol, bob):
        user.leave(room)
    assert heroes(alice) == [carol.user_id, bob.user_id], "who was there"
    bob.post(f"/rooms/{quote(room)}/forget")
    alice.invite(room, bob.user_id)
    assert heroes(alice) == [bob.user_id]


@pytest.mark.parametrize("since", ["garbage", "s", "h-1_x", "'; drop table event; --", "9" * 400])
def test_a_bad_token_is_refused(alice, since):
    assert refusal(alice.sync, since).status == 400


@pytest.mark.parametrize("query", [{"timeout": "soon"}, {"full_state": "maybe"}, {"filter": "{"}, {"filter": "99999"}, {"set_presence": "odd"}])
def test_bad_queries_are_refused(alice, query):
    r = alice.raw("GET", "/sync", query=query)
    assert r.status_code in (400, 404) and r.json()["errcode"]


def test_history_before_a_join_respects_visibility(alice, bob):
    room = alice.create_room(
        preset="public_chat",
        initial_state=[{"type": "m.room.history_visibility", "state_key": "", "content": {"history_visibility": "joined"}}],
    )
    hidden = alice.text(room, "not for bob")
    bob.join(room)
    shown = alice.text(room, "for bob")
    seen = [x["event_id"] for x in timeline(bob.sync(), room)]
    assert shown in seen and hidden not in seen


def test_ones_own_devices_all_get_everything(server, alice, room):
    phone = Client(server.base).login(alice.user_id)
    phone.next_sync()
    alice.next_sync()
    e = alice.text(room, "to all devices")
    for c in (alice, phone):
        assert c.sync_until_event(room, e)


def test_a_room_that_was_left_and_forgotten_is_told_once(alice, bob, room):
    alice.next_sync()
    alice.leave(room)
    alice.post(f"/rooms/{quote(room)}/forget")
    assert room in alice.next_sync()["rooms"]["leave"]
    bob.text(room, "after")
    assert room not in alice.next_sync().get("rooms", {}).get("leave", {})


def test_events_say_what_the_reader_was_then(alice, bob):
    room = alice.create_room(preset="public_chat")
    alice.text(room, "before")
    bob.join(room)
    alice.text(room, "after")
    events = bob.sync()["rooms"]["join"][room]["timeline"]["events"]
    joined = False
    for e in events:
        joined = joined or (e["type"] == "m.room.member" and e["state_key"] == bob.user_id)
        assert e["unsigned"]["membership"] == ("join" if joined else "leave"), e
    assert joined


def state_after(answer, room, section="join"):
    part = answer["rooms"][section][room]
    assert "state" not in part
    return part["state_after"]["events"]


def test_state_after_the_timeline_has_all_that_changed_wherever_it_is_shown(alice, bob, room):
    since = bob.sync()["next_batch"]
    topic = alice.set_state(room, "m.room.topic", {"topic": "new"})
    alice.text(room, "hello")
    before = joined(bob.sync(since), room)
    assert before["state"]["events"] == [] and "state_after" not in before
    answer = bob.sync(since, use_state_after="true")
    assert topic in [e["event_id"] for e in timeline(answer, room)]
    assert [e["event_id"] for e in state_after(answer, room)] == [topic]
    for i in range(4):
        alice.text(room, str(i))
    for part in ({"limit": 2}, {"types": ["m.room.message"]}, {"limit": 0}):  # a gap, or the timeline does not show it
        answer = bob.sync(since, use_state_after="true", filter=json.dumps({"room": {"timeline": part}}))
        assert [e["event_id"] for e in state_after(answer, room)] == [topic], part
    bob.leave(room)
    left = state_after(bob.sync(since, use_state_after="true"), room, "leave")
    assert {e["type"] for e in left} == {"m.room.topic", "m.room.member"}


def test_a_first_sync_has_the_state_after_once_for_each_key(alice, bob, room):
    alice.set_state(room, "m.room.topic", {"topic": "old"})
    topic = alice.set_state(room, "m.room.topic", {"topic": "new"})
    events = state_after(alice.sync(use_state_after="true"), room)
    keys = [(e["type"], e["state_key"]) for e in events]
    assert len(set(keys)) == len(keys) and {("m.room.create", ""), ("m.room.member", bob.user_id)} <= set(keys)
    assert [e["event_id"] for e in events if e["type"] == "m.room.topic"] == [topic]


def test_members_are_loaded_lazily_into_the_state_after(alice, bob, room):
    lazy = {"use_state_after": "true", "filter": json.dumps({"room": {"state": {"lazy_load_members": True}, "timeline": {"limit": 1}}})}
    alice.text(room, "hello")
    answer = bob.sync(**lazy)
    assert {e["state_key"] for e in state_after(answer, room) if e["type"] == "m.room.member"} == {alice.user_id, bob.user_id}
    alice.text(room, "again")
    assert state_after(bob.sync(answer["next_batch"], **lazy), room) == []


def test_who_waits_for_the_state_after_is_given_it(alice, bob, room):
    since = bob.sync()["next_batch"]
    got = []
    waiting = threading.Thread(target=lambda: got.append(bob.sync(since, timeout=20000, use_state_after="true", filter=NO_PRESENCE)))
    waiting.start()
    topic = alice.set_state(room, "m.room.topic", {"topic": "new"})
    waiting.join()
    assert [e["event_id"] for e in state_after(got[0], room)] == [topic]


@pytest.mark.parametrize("version", ["1", "11"])
def test_events_in_the_format_of_servers_have_their_ids(alice, version):
    room = alice.create_room(room_version=version)
    sent = alice.text(room, "hello")
    event = timeline(alice.sync(filter=json.dumps({"event_format": "federation"})), room)[-1]
    assert event["event_id"] == sent and event["room_id"] == room and {"auth_events", "prev_events", "hashes", "depth"} <= set(event)
