"""Replacing a room by one of another version."""

import threading

import pytest

from mx import quote, refusal

ALL = [str(v) for v in range(1, 13)]


def upgrade(client, room, version, **body):
    return client.post(f"/rooms/{quote(room)}/upgrade", {"new_version": version, **body})["replacement_room"]


def state_of(client, room):
    return {(e["type"], e["state_key"]): e for e in client.get(f"/rooms/{quote(room)}/state")}


def pairs():
    return list(zip(ALL, ALL[1:])) + [("1", "12"), ("12", "11"), ("12", "12"), ("6", "6")]


@pytest.mark.parametrize("old, new", pairs())
def test_from_each_version_to_another(alice, bob, new_user, old, new):
    room = alice.create_room(room_version=old, preset="public_chat", name="The name", topic="The topic",
                             initial_state=[{"type": "m.room.avatar", "content": {"url": "mxc://a/b"}},
                                            {"type": "m.room.guest_access", "content": {"guest_access": "forbidden"}},
                                            {"type": "m.room.history_visibility", "content": {"history_visibility": "world_readable"}},
                                            {"type": "m.room.encryption", "content": {"algorithm": "m.megolm.v1.aes-sha2"}},
                                            {"type": "m.room.server_acl", "content": {"allow": ["*"], "deny": ["evil.example"]}},
                                            {"type": "org.example.own", "content": {"a": 1}}])
    bob.join(room)
    carol = new_user("carol")
    alice.ban(room, carol.user_id, reason="spam")
    before = state_of(alice, room)
    then = upgrade(alice, room, new)

    was, now = state_of(alice, room), state_of(alice, then)
    tombstone = was["m.room.tombstone", ""]
    assert tombstone["content"] == {"body": "This room has been replaced", "replacement_room": then}
    create = now["m.room.create", ""]
    assert create["content"]["room_version"] == new
    assert create["content"]["predecessor"] == ({"room_id": room} if new == "12" else {"room_id": room, "event_id": tombstone["event_id"]})
    for key in ("join_rules", "name", "topic", "avatar", "guest_access", "history_visibility", "encryption", "server_acl"):
        assert now["m.room." + key, ""]["content"] == before["m.room." + key, ""]["content"], key
    assert ("org.example.own", "") not in now
    assert now["m.room.member", carol.user_id]["content"] == before["m.room.member", carol.user_id]["content"]
    assert set(k for t, k in now if t == "m.room.member") == {alice.user_id, carol.user_id}

    power, had = now["m.room.power_levels", ""]["content"], before["m.room.power_levels", ""]["content"]
    users = {} if new == "12" else {alice.user_id: 100} if old != "12" else {alice.user_id: had["events"]["m.room.tombstone"]}
    assert power == {**had, "users": users}
    shut = was["m.room.power_levels", ""]["content"]
    assert shut == {**had, "events_default": 50, "invite": 50}
    assert refusal(bob.text, room, "still here").status == 403

    bob.join(then)
    assert alice.event(then, bob.text(then, "moved"))["content"]["body"] == "moved"
    alice.set_state(then, "m.room.name", {"name": "Another"})
    assert refusal(carol.join, then).status == 403
    order = [(e["type"], e.get("state_key")) for e in reversed(alice.messages(then, limit=100)["chunk"])]
    assert order[:3] == [("m.room.create", ""), ("m.room.member", alice.user_id), ("m.room.power_levels", "")]


def test_who_may_not_send_the_tombstone_upgrades_nothing(alice, bob, new_user, room):
    r = refusal(upgrade, bob, room, "10")
    assert (r.status, r.errcode) == (403, "M_FORBIDDEN")
    assert r.body["error"] == "You don't have permission to post that to the room. user_level (0) < send_level (100)"
    for version in ("10", "12"):
        assert refusal(upgrade, new_user("carol"), room, version).status == 403
    assert ("m.room.tombstone", "") not in state_of(alice, room)
    assert refusal(upgrade, alice, "!none:test", "10").errcode == "M_FORBIDDEN"  # as one that is closed
    for body in ({}, {"new_version": 10}, {"new_version": "no.such"}, {"new_version": "12", "additional_creators": ["x"]},
                 {"new_version": "12", "additional_creators": bob.user_id}, {"new_version": "1\0"}):
        assert refusal(alice.post, f"/rooms/{room}/upgrade", body).status == 400, body
    assert refusal(alice.post, f"/rooms/{room}/upgrade", {"new_version": "no.such"}).errcode == "M_UNSUPPORTED_ROOM_VERSION"
    assert ("m.room.tombstone", "") not in state_of(alice, room)


def test_a_moderator_gets_what_he_needs_and_gives_it_back(alice, bob, room):
    """Level 50, with state that takes 90: he could not set it in a room of his own level."""
    power = alice.state(room, "m.room.power_levels")
    alice.set_state(room, "m.room.power_levels", {**power, "users": {alice.user_id: 100, bob.user_id: 50}, "users_default": 3,
                                                  "events": {**power["events"], "m.room.tombstone": 50, "m.room.name": 90}})
    alice.set_state(room, "m.room.name", {"name": "Ours"})
    then = upgrade(bob, room, "11")
    bob_sees = state_of(bob, then)
    assert bob_sees["m.room.name", ""]["content"] == {"name": "Ours"}
    users = bob_sees["m.room.power_levels", ""]["content"]["users"]
    assert users == {alice.user_id: 100, bob.user_id: 50}
    assert refusal(bob.set_state, then, "m.room.name", {"name": "Mine"}).status == 403
    alice.join(then)
    alice.set_state(then, "m.room.name", {"name": "Alice's"})
    old = alice.state(room, "m.room.power_levels")
    assert old["events_default"] == 0  # he may not change the levels there: the tombstone stands all the same


def test_strings_become_levels(alice, bob):
    """Old versions have levels in strings; what is none is left out."""
    room = alice.create_room(room_version="9", preset="public_chat")
    assert alice.set_state(room, "m.room.power_levels", {"users": {alice.user_id: 100}, "users_default": 0, "org.example": [1]})
    then = upgrade(alice, room, "10")
    assert alice.state(then, "m.room.power_levels") == {"users": {alice.user_id: 100}, "users_default": 0}
    old = alice.state(room, "m.room.power_levels")
    assert (old["events_default"], old["invite"]) == (50, 50)


def test_a_crowd_of_moderators_is_shut_out_above_its_level(alice, room):
    power = alice.state(room, "m.room.power_levels")
    alice.set_state(room, "m.room.power_levels", {**power, "users_default": 60, "invite": 80})
    upgrade(alice, room, "11")
    old = alice.state(room, "m.room.power_levels")
    assert (old["events_default"], old["invite"]) == (61, 80)


def test_additional_creators_of_version_12(alice, bob, new_user):
    carol = new_user("carol")
    room = alice.create_room(preset="public_chat", power_level_content_override={"users": {alice.user_id: 100, bob.user_id: 50, carol.user_id: 20}})
    then = upgrade(alice, room, "12", additional_creators=[bob.user_id])
    create = alice.state(then, "m.room.create")
    assert create["additional_creators"] == [bob.user_id] and create["predecessor"] == {"room_id": room}
    assert alice.state(then, "m.room.power_levels")["users"] == {carol.user_id: 20}
    bob.join(then)
    bob.set_state(then, "m.room.tombstone", {"body": "moved again", "replacement_room": "!x:test"})
    other = alice.create_room()
    assert "additional_creators" not in alice.state(upgrade(alice, other, "11", additional_creators=[bob.user_id]), "m.room.create")


def test_aliases_and_the_directory_lead_to_the_new_room(alice, bob, server):
    local = alice.user_id[1:].split(":")[0]
    room = alice.create_room(visibility="public", room_alias_name=f"up-{local}", name=f"list-{local}")
    alias, second = f"#up-{local}:{server.name}", f"#also-{local}:{server.name}"
    alice.put(f"/directory/room/{quote(second)}", {"room_id": room})
    alice.set_state(room, "m.room.canonical_alias", {"alias": alias, "alt_aliases": [second], "org.example": 1})
    then = upgrade(alice, room, "10")
    for a in (alias, second):
        assert bob.get(f"/directory/room/{quote(a)}")["room_id"] == then
    assert alice.state(then, "m.room.canonical_alias") == {"alias": alias, "alt_aliases": [second]}
    assert alice.state(room, "m.room.canonical_alias") == {"org.example": 1}
    assert alice.get(f"/directory/list/room/{quote(room)}") == {"visibility": "private"}
    assert alice.get(f"/directory/list/room/{quote(then)}") == {"visibility": "public"}
    found = bob.post("/publicRooms", {"filter": {"generic_search_term": f"list-{local}"}})["chunk"]
    assert [r["room_id"] for r in found] == [then]


def test_a_space_keeps_its_rooms_and_its_kind(alice):
    space = alice.create_room(creation_content={"type": "m.space", "m.federate": False}, initial_state=[
        {"type": "m.space.child", "state_key": f"!{i}:test", "content": {"via": ["test"], "order": str(i)}} for i in range(30)])
    alice.set_state(space, "m.space.child", {}, "!3:test")
    then = upgrade(alice, space, "10")
    now = state_of(alice, then)
    assert now["m.room.create", ""]["content"]["type"] == "m.space" and now["m.room.create", ""]["content"]["m.federate"] is False
    children = {k: e["content"]["order"] for (t, k), e in now.items() if t == "m.space.child"}
    assert children == {f"!{i}:test": str(i) for i in range(30) if i != 3}
    room = alice.create_room(initial_state=[{"type": "m.space.child", "state_key": "!1:test", "content": {"via": ["test"]}}])
    assert not [k for k in state_of(alice, upgrade(alice, room, "10")) if k[0] == "m.space.child"]


def test_tags_and_direct_chats_follow_their_owners(alice, bob, new_user, room):
    carol = new_user("carol")
    bob.put(f"/user/{bob.user_id}/rooms/{quote(room)}/tags/m.favourite", {"order": 0.5})
    bob.put(f"/user/{bob.user_id}/account_data/m.direct", {alice.user_id: [room, "!other:test"], carol.user_id: [room]})
    carol.put(f"/user/{carol.user_id}/account_data/m.direct", {alice.user_id: [room]})  # not a member
    since = bob.sync()["next_batch"]
    then = upgrade(alice, room, "10")
    assert bob.get(f"/user/{bob.user_id}/rooms/{quote(then)}/tags")["tags"] == {"m.favourite": {"order": 0.5}}
    assert bob.get(f"/user/{bob.user_id}/account_data/m.direct") == {alice.user_id: [room, "!other:test", then], carol.user_id: [room]}
    assert carol.get(f"/user/{carol.user_id}/account_data/m.direct") == {alice.user_id: [room]}
    told = bob.sync(since)
    assert [e for e in told["account_data"]["events"] if e["type"] == "m.direct"]
    bob.join(then)
    assert bob.sync()["rooms"]["join"][then]["account_data"]["events"]


def test_doing_it_twice_gives_the_same_room(alice, bob, room):
    power = alice.state(room, "m.room.power_levels")
    alice.set_state(room, "m.room.power_levels", {**power, "users": {**power["users"], bob.user_id: 100}})
    then = upgrade(alice, room, "10")
    assert upgrade(alice, room, "10") == then
    r = refusal(upgrade, bob, room, "10")
    assert (r.status, r.body["error"]) == (400, "An upgrade for this room is currently in progress")


def test_many_at_once_make_one_room(alice, room):
    got, rooms = [], alice.get("/joined_rooms")["joined_rooms"]

    def go():
        got.append(upgrade(alice, room, "12"))

    threads = [threading.Thread(target=go) for _ in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(got) == 6 and len(set(got)) == 1
    assert set(alice.get("/joined_rooms")["joined_rooms"]) == set(rooms) | set(got)


def test_those_inside_are_told_at_once(alice, bob, room):
    since = bob.sync()["next_batch"]
    then = upgrade(alice, room, "11")
    events = bob.sync(since)["rooms"]["join"][room]["timeline"]["events"]
    assert [e["content"]["replacement_room"] for e in events if e["type"] == "m.room.tombstone"] == [then]


def test_creators_of_version_12_stay_none_when_another_upgrades(alice, bob):
    room = alice.create_room(preset="public_chat", room_version="12")
    bob.join(room)
    levels = alice.state(room, "m.room.power_levels")
    alice.set_state(room, "m.room.power_levels", {**levels, "users": {bob.user_id: 150}})
    assert alice.user_id not in bob.state(upgrade(bob, room, "12"), "m.room.power_levels").get("users", {})


def test_push_rules_about_the_room_hold_for_the_new_one(alice, bob, room):
    """As a client mutes a room: a rule by the room's id, and an override."""
    bob.put(f"/pushrules/global/room/{quote(room)}", {"actions": []})
    bob.put("/pushrules/global/override/mine", {"actions": ["notify"], "conditions": [{"kind": "event_match", "key": "room_id", "pattern": room}]})
    then = upgrade(alice, room, "10")
    rules = bob.get("/pushrules/")["global"]
    assert {r["rule_id"]: r["actions"] for r in rules["room"]} == {room: [], then: []}
    patterns = [c["pattern"] for r in rules["override"] if not r["default"] for c in r["conditions"] if c.get("key") == "room_id"]
    assert sorted(patterns) == sorted([room, then])
    assert not alice.get("/pushrules/")["global"]["room"]
