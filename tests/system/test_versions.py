"""What came with newer room versions: restricted joins, knocking, creators above all power levels; and threads' own
lines of what was read."""

import json

import pytest

from mx import quote, refusal


def forbidden(call, *args):
    r = refusal(call, *args)
    return (r.status, r.errcode) == (403, "M_FORBIDDEN")


def restricted_room(owner, space, version="11", rule="restricted"):
    rules = {"join_rule": rule, "allow": [{"type": "m.room_membership", "room_id": space}]}
    state = [{"type": "m.room.join_rules", "state_key": "", "content": rules}]
    return owner.create_room(room_version=version, initial_state=state)


# -- joins -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rule, version", [("restricted", "8"), ("restricted", "11"), ("knock_restricted", "10"), ("restricted", "12")]
)
def test_members_of_the_named_room_join_a_restricted_one(alice, bob, rule, version):
    space = alice.create_room(preset="public_chat")
    room = restricted_room(alice, space, version, rule)
    assert forbidden(bob.join, room)
    bob.join(space)
    bob.join(room)
    member = alice.state(room, "m.room.member", bob.user_id)
    assert member["join_authorised_via_users_server"] == alice.user_id
    bob.leave(room)
    bob.leave(space)
    assert refusal(bob.join, room).status == 403
    alice.invite(room, bob.user_id)
    bob.join(room)
    assert "join_authorised_via_users_server" not in alice.state(room, "m.room.member", bob.user_id)


def test_a_restricted_room_with_broken_rules_lets_nobody_in(alice, bob):
    for allow in ({}, [], [{"type": "m.room_membership"}], [{"type": "other", "room_id": "!x:y"}], ["text"]):
        state = [{"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": "restricted", "allow": allow}}]
        room = alice.create_room(room_version="11", initial_state=state)
        assert refusal(bob.join, room).status == 403, allow


# -- knocking ----------------------------------------------------------------------------------------------------------


def test_a_knock_is_seen_and_answered_by_an_invite(alice, bob):
    rules = [{"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": "knock"}}]
    room = alice.create_room(room_version="11", name="The door", initial_state=rules)
    assert refusal(bob.join, room).status == 403
    bob.post(f"/knock/{quote(room)}", {"reason": "let me in"})
    assert alice.state(room, "m.room.member", bob.user_id)["reason"] == "let me in"
    stripped = bob.next_sync()["rooms"]["knock"][room]["knock_state"]["events"]
    assert any(e["type"] == "m.room.name" and e["content"]["name"] == "The door" for e in stripped)
    alice.invite(room, bob.user_id)
    assert room in bob.next_sync()["rooms"]["invite"]
    bob.join(room)
    assert room in bob.next_sync()["rooms"]["join"]


def test_one_knocks_only_where_that_is_the_rule(alice, bob):
    room = alice.create_room(room_version="11")
    assert forbidden(bob.post, f"/knock/{quote(room)}")


# -- version 12 --------------------------------------------------------------------------------------------------------


def test_creators_stand_above_power_levels(alice, bob, new_user):
    carol = new_user("carol")
    room = alice.create_room(
        room_version="12", preset="public_chat", creation_content={"additional_creators": [bob.user_id]}
    )
    bob.join(room)
    carol.join(room)
    levels = alice.state(room, "m.room.power_levels")
    assert alice.user_id not in levels["users"] and bob.user_id not in levels["users"]
    alice.set_state(room, "m.room.power_levels", {**levels, "users": {carol.user_id: 100}})
    for creator in (alice, bob):
        assert refusal(carol.kick, room, creator.user_id).status == 403
        creator.set_state(room, "m.room.topic", {"topic": creator.user_id})
    for creator in (alice, bob):
        named = {**levels, "users": {carol.user_id: 100, creator.user_id: 100}}
        r = refusal(bob.set_state, room, "m.room.power_levels", named)
        assert r.status in (400, 403)
    bob.kick(room, carol.user_id)


def test_the_room_id_is_the_create_events(alice):
    room = alice.create_room(room_version="12")
    state = alice.get(f"/rooms/{quote(room)}/state")
    create = [e for e in state if e["type"] == "m.room.create"][0]
    assert create["event_id"] == "$" + room[1:]
    assert create["room_id"] == room
    assert alice.event(room, create["event_id"])["room_id"] == room


@pytest.mark.parametrize("creators", ["text", ["not a user"], [17], [{}]])
def test_creators_must_be_users(alice, creators):
    r = refusal(alice.create_room, room_version="12", creation_content={"additional_creators": creators})
    assert r.status == 400


def test_those_trusted_from_the_beginning_are_creators(alice, bob):
    room = alice.create_room(room_version="12", preset="trusted_private_chat", invite=[bob.user_id])
    assert bob.user_id in alice.state(room, "m.room.create")["additional_creators"]
    bob.join(room)
    bob.set_state(room, "m.room.topic", {"topic": "mine too"})


def test_a_lower_default_takes_power_away(alice, bob, room):
    levels = alice.state(room, "m.room.power_levels")
    alice.set_state(room, "m.room.power_levels", {**levels, "users_default": 40})
    levels = alice.state(room, "m.room.power_levels")
    alice.set_state(room, "m.room.power_levels", {**levels, "users_default": -10})
    assert refusal(bob.text, room, "powerless").status == 403


# -- threads -----------------------------------------------------------------------------------------------------------


def in_thread(root):
    return {"m.relates_to": {"rel_type": "m.thread", "event_id": root}}


def test_threads_are_listed_newest_reply_first(alice, bob, room):
    one, two, three = (alice.text(room, n) for n in ("one", "two", "three"))
    alice.text(room, "a", **in_thread(one))
    bob.text(room, "b", **in_thread(two))
    alice.text(room, "c", **in_thread(one))

    def listed(who, **query):
        answer = who.get(f"/_matrix/client/v1/rooms/{quote(room)}/threads", query)
        return [e["event_id"] for e in answer["chunk"]], answer.get("next_batch")

    assert listed(alice)[0] == [one, two]
    assert listed(bob, include="participated")[0] == [two]
    first, token = listed(alice, limit=1)
    assert first == [one]
    assert listed(alice, limit=1, **{"from": token})[0] == [two]


def test_each_thread_is_read_by_itself(alice, bob, room):
    root = alice.text(room, "root")
    bob.receipt(room, root)
    threaded = alice.text(room, "threaded", **in_thread(root))
    main = alice.text(room, "main")
    per_thread = json.dumps({"room": {"timeline": {"unread_thread_notifications": True}}})

    def counts(**query):
        joined = bob.sync(**query)["rooms"]["join"][room]
        threads = joined.get("unread_thread_notifications", {})
        return joined["unread_notifications"]["notification_count"], threads.get(root, {}).get("notification_count", 0)

    assert counts() == (2, 0)
    assert counts(filter=per_thread) == (1, 1)
    bob.receipt(room, threaded, body={"thread_id": root})
    assert counts(filter=per_thread) == (1, 0)
    bob.receipt(room, main, body={"thread_id": "main"})
    assert counts(filter=per_thread) == (0, 0)
    assert counts() == (0, 0)
    alice.text(room, "again", **in_thread(root))
    last = alice.text(room, "and here")
    assert counts(filter=per_thread) == (1, 1)
    bob.receipt(room, last)
    assert counts(filter=per_thread) == (0, 0)
