"""Each member of a filter, by /sync."""

import json

import pytest

from mx import Client, quote
from server import CLUSTER


def sync(client, since=None, **parts):
    """With a filter whose room part is `parts`."""
    return client.sync(since, filter=json.dumps({"room": parts}))


def part(answer, room):
    return answer.get("rooms", {}).get("join", {}).get(room, {})


def ids(answer, room, section="timeline"):
    return [e["event_id"] for e in part(answer, room).get(section, {}).get("events", [])]


def types(answer, room, section="timeline"):
    return {e["type"] for e in part(answer, room).get(section, {}).get("events", [])}


def relates(kind, event):
    return {"m.relates_to": {"rel_type": kind, "event_id": event}}


def test_contains_url_asks_for_a_url_that_is_a_string(alice, room):
    image = alice.send(room, content={"msgtype": "m.image", "body": "x", "url": "mxc://test/x"})
    odd = alice.send(room, content={"msgtype": "m.text", "body": "x", "url": 5})
    text = alice.text(room, "x")
    since = alice.sync()["next_batch"]
    avatar = alice.set_state(room, "m.room.avatar", {"url": "mxc://test/y"})
    with_url, without = (ids(sync(alice, timeline={"contains_url": b, "limit": 50}), room) for b in (True, False))
    assert with_url == [image, avatar] and {odd, text} <= set(without) and not set(with_url) & set(without)
    topic = alice.set_state(room, "m.room.topic", {"topic": "x"})
    alice.text(room, "last")
    for wanted, state in ((True, avatar), (False, topic)):
        assert ids(sync(alice, since, timeline={"limit": 1}, state={"contains_url": wanted}), room, "state") == [state]


def test_related_by_asks_for_what_others_relate_to(alice, bob, room):
    first, second, third = (alice.text(room, str(i)) for i in range(3))
    bob.text(room, "reply", **relates("m.thread", first))
    alice.text(room, "reply", **relates("m.reference", second))

    def found(**timeline):
        return ids(sync(alice, timeline={"limit": 50, **timeline}), room)

    assert found(related_by_senders=[bob.user_id]) == [first]
    assert found(related_by_rel_types=["m.reference"]) == [second]
    assert found(related_by_rel_types=["m.reference", "m.thread"]) == [first, second]
    assert found(related_by_senders=[bob.user_id], related_by_rel_types=["m.reference"]) == []
    assert third not in found(related_by_senders=[alice.user_id, bob.user_id])


def test_what_is_not_wanted_goes_before_what_is(alice, bob, room):
    mine, his, odd = alice.text(room, "a"), bob.text(room, "b"), alice.send(room, "org.example.odd", {})
    every = {mine, his, odd}

    def left(**timeline):
        return set(ids(sync(alice, timeline={"limit": 50, **timeline}), room)) & every

    assert left(not_types=["org.example.*"]) == {mine, his}
    assert left(types=["org.*", "m.room.message"], not_types=["m.room.*"]) == {odd}
    assert left(not_types=["*"]) == set() and left(types=[]) == set()
    assert left(not_senders=[bob.user_id]) == {mine, odd}
    assert left(senders=[alice.user_id, bob.user_id], not_senders=[alice.user_id]) == {his}
    assert left(senders=[]) == set()
    assert left(not_rooms=[room]) == set() and left(rooms=[room]) == every and left(rooms=[]) == set()


def test_each_section_has_a_filter_of_its_own(alice, bob, room):
    since = alice.sync()["next_batch"]
    bob.receipt(room, alice.text(room, "x"))
    alice.put(f"/user/{alice.user_id}/rooms/{quote(room)}/tags/u.x", {})
    alice.put(f"/user/{alice.user_id}/rooms/{quote(room)}/account_data/org.example.a", {"a": 1})
    alice.set_state(room, "m.room.topic", {"topic": "x"})
    whole = sync(alice, since)
    assert "m.receipt" in types(whole, room, "ephemeral") and {"m.tag", "org.example.a"} == types(whole, room, "account_data")
    assert types(sync(alice, since, ephemeral={"not_types": ["m.receipt"]}), room, "ephemeral") == set()
    assert types(sync(alice, since, ephemeral={"not_rooms": [room]}), room, "ephemeral") == set()
    assert types(sync(alice, since, account_data={"not_types": ["m.*"]}), room, "account_data") == {"org.example.a"}
    assert types(sync(alice, since, account_data={"rooms": []}), room, "account_data") == set()
    assert types(sync(alice, state={"not_types": ["m.room.member", "m.room.*_levels"]}, timeline={"limit": 1}), room, "state").isdisjoint(
        {"m.room.member", "m.room.power_levels"})
    assert types(sync(alice, state={"types": ["m.room.create"]}, timeline={"limit": 1}), room, "state") == {"m.room.create"}
    assert types(sync(alice, state={"senders": [bob.user_id]}, timeline={"limit": 1}), room, "state") == {"m.room.member"}


def test_account_data_and_presence_have_filters_too(alice):
    for name in ("org.example.one", "org.other.two"):
        alice.put(f"/user/{alice.user_id}/account_data/{name}", {"a": 1})

    def told(**f):
        answer = alice.sync(filter=json.dumps(f))
        return {e["type"] for e in answer.get("account_data", {}).get("events", [])}

    assert {"org.example.one", "org.other.two", "m.push_rules"} <= told()
    assert told(account_data={"types": ["org.example.*"]}) == {"org.example.one"}
    assert told(account_data={"not_types": ["org.*"]}) == {"m.push_rules"}
    assert told(account_data={"types": []}) == set()
    assert alice.sync(filter=json.dumps({"presence": {"senders": [alice.user_id]}}))["presence"]["events"]
    assert "presence" not in alice.sync(filter=json.dumps({"presence": {"not_senders": [alice.user_id]}}))


def test_rooms_and_not_rooms_hold_for_all_sections(alice, bob):
    rooms = [alice.create_room() for _ in range(3)]
    left, asked = alice.create_room(), bob.create_room(invite=[alice.user_id])
    alice.leave(left)

    def shown(**room):
        answer = sync(alice, include_leave=True, **room).get("rooms", {})
        return {r for section in ("join", "invite", "leave") for r in answer.get(section, {})} & {*rooms, left, asked}

    assert shown() == {*rooms, left, asked}
    assert shown(rooms=rooms[:2]) == set(rooms[:2]) and shown(rooms=[left, asked]) == {left, asked}
    assert shown(not_rooms=[rooms[0], left, asked]) == set(rooms[1:])
    assert shown(rooms=rooms, not_rooms=rooms[:1]) == set(rooms[1:]) and shown(rooms=[]) == set()


def test_event_fields_are_all_that_events_have(alice, room):
    since = alice.sync()["next_batch"]
    alice.send(room, content={"msgtype": "m.text", "body": "x", "a": {"b": 1, "c": 2}, "d.e": 3})

    def event(*fields):
        answer = alice.sync(since, filter=json.dumps({"event_fields": fields}))
        return part(answer, room)["timeline"]["events"][0]

    assert event("type", "content.body") == {"type": "m.room.message", "content": {"body": "x"}}
    assert event("content.a.b", "sender") == {"sender": alice.user_id, "content": {"a": {"b": 1}}}
    assert event("content.d\\.e") == {"content": {"d.e": 3}}
    assert event("content.nothing", "room_id.x") == {}
    assert set(event("content")["content"]) == {"msgtype", "body", "a", "d.e"}


def test_counts_of_threads_are_apart_where_asked_for(alice, bob, room):
    root = alice.text(room, "root")
    bob.receipt(room, root)
    reply = [alice.text(room, f"reply {i}", **relates("m.thread", root)) for i in range(2)]
    alice.text(room, "main")
    apart = part(sync(bob, timeline={"unread_thread_notifications": True}), room)
    assert apart["unread_notifications"]["notification_count"] == 1
    assert apart["unread_thread_notifications"] == {root: {"notification_count": 2, "highlight_count": 0}}
    together = part(sync(bob, timeline={}), room)
    assert together["unread_notifications"]["notification_count"] == 3 and "unread_thread_notifications" not in together
    bob.receipt(room, reply[1], body={"thread_id": root})
    apart = part(sync(bob, timeline={"unread_thread_notifications": True}), room)
    assert apart["unread_notifications"]["notification_count"] == 1 and "unread_thread_notifications" not in apart


def members(answer, room):
    return {e["state_key"] for e in part(answer, room).get("state", {}).get("events", []) if e["type"] == "m.room.member"}


def test_redundant_members_come_each_time_others_once(alice, bob, room):
    alice.set_state(room, "m.room.name", {"name": "so that nobody is shown as a hero"})
    lazy = {"timeline": {"limit": 1}, "state": {"lazy_load_members": True}}
    redundant = {"timeline": {"limit": 1}, "state": {"lazy_load_members": True, "include_redundant_members": True}}
    since = {f: sync(alice, **f_)["next_batch"] for f, f_ in (("r", redundant), ("l", lazy))}
    told = {"r": [], "l": []}
    for i in range(2):
        bob.text(room, str(i))
        for f, f_ in (("r", redundant), ("l", lazy)):
            answer = sync(alice, since[f], **f_)
            since[f] = answer["next_batch"]
            told[f].append(bob.user_id in members(answer, room))
    assert told["r"] == [True, True] and told["l"][0]
    assert CLUSTER or not told["l"][1]  # each worker has a memory of its own


def test_each_device_has_a_token_and_a_memory_of_members_of_its_own(server, alice, bob, room):
    lazy = {"timeline": {"limit": 1}, "state": {"lazy_load_members": True}}
    phone = Client(server.base).login(alice.user_id)
    alice.set_state(room, "m.room.name", {"name": "so that nobody is shown as a hero"})
    since = {c.device_id: sync(c, **lazy)["next_batch"] for c in (alice, phone)}
    said = bob.text(room, "one")
    first = sync(alice, since[alice.device_id], **lazy)
    assert members(first, room) == {bob.user_id}
    again = bob.text(room, "two")
    second = sync(alice, first["next_batch"], **lazy)
    assert ids(second, room) == [again] and (CLUSTER or members(second, room) == set())
    late = sync(phone, since[phone.device_id], **lazy)
    assert members(late, room) == {bob.user_id}, "the phone has not been told"
    assert ids(late, room) == [again] and part(late, room)["timeline"]["limited"] is True
    assert ids(sync(alice, since[alice.device_id], timeline={"limit": 5}), room) == [said, again]


@pytest.mark.parametrize("bad", [{"room": 5}, {"room": {"timeline": []}}, {"room": {"timeline": {"types": "x"}}}, {"room": {"timeline": {"limit": -1}}},
                                 {"room": {"rooms": ["x"]}}, {"room": {"include_leave": "yes"}}, {"event_format": "odd"}, {"event_fields": [1]}])
def test_filters_of_a_wrong_shape_are_refused(alice, bad):
    r = alice.raw("GET", "/sync", query={"filter": json.dumps(bad)})
    assert r.status_code == 400 and r.json()["errcode"] in ("M_BAD_JSON", "M_NOT_JSON")
