"""Asking to be let into a room, and rooms whose members may come in from another one."""

import pytest

from mx import refusal

ALL = [str(v) for v in range(1, 13)]
KNOCK = [v for v in ALL if int(v) >= 7]
RESTRICTED = [v for v in ALL if int(v) >= 8]
KNOCK_RESTRICTED = [v for v in ALL if int(v) >= 10]


def knock_room(client, version="11", rule="knock", **kw):
    rules = {"join_rule": rule, **kw.pop("rules", {})}
    return client.create_room(room_version=version, initial_state=[{"type": "m.room.join_rules", "content": rules}], **kw)


def knock(client, room, **body):
    return client.post(f"/knock/{room}", body)["room_id"]


def membership(client, room, user):
    return client.state(room, "m.room.member", user)["membership"]


def section(client, which, room):
    return client.sync().get("rooms", {}).get(which, {}).get(room)


# -- knocking ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", KNOCK)
def test_a_knock_is_seen_by_both_sides_and_accepted_by_an_invite(alice, bob, version):
    room = knock_room(alice, version, name="Behind the door")
    assert knock(bob, room, reason="let me in") == room
    event = alice.get(f"/rooms/{room}/state/m.room.member/{bob.user_id}", {"format": "event"})
    assert event["content"]["membership"] == "knock" and event["content"]["reason"] == "let me in"
    assert event["content"]["displayname"]  # the profile is in it
    shown = section(bob, "knock", room)["knock_state"]["events"]
    assert {"m.room.create", "m.room.join_rules", "m.room.name"} <= {e["type"] for e in shown}
    assert shown[-1]["content"]["membership"] == "knock" and shown[-1]["state_key"] == bob.user_id
    for e in shown:
        assert set(e) == {"type", "state_key", "content", "sender"}
    assert refusal(bob.join, room).status == 403
    alice.invite(room, bob.user_id)
    assert section(bob, "knock", room) is None and section(bob, "invite", room)
    bob.join(room)
    assert section(bob, "join", room)


@pytest.mark.parametrize("version", [v for v in ALL if v not in KNOCK])
def test_older_versions_know_no_knocking(alice, bob, version):
    room = alice.create_room(room_version=version)
    r = refusal(knock, bob, room)
    assert (r.status, r.errcode) == (403, "M_FORBIDDEN")
    assert refusal(bob.get, f"/rooms/{room}/state").status == 403


@pytest.mark.parametrize("rule", ["public", "invite", "private"])
def test_only_a_room_that_says_so_is_knocked_on(alice, bob, rule):
    room = knock_room(alice, rule=rule)
    r = refusal(knock, bob, room)
    assert (r.status, r.errcode, r.body["error"]) == (403, "M_FORBIDDEN", "You don't have permission to knock")


def test_a_knock_is_rejected_rescinded_and_repeated(alice, bob):
    room = knock_room(alice)
    knock(bob, room)
    since = bob.sync()["next_batch"]
    alice.kick(room, bob.user_id, reason="no")
    told = bob.sync(since)["rooms"]["leave"][room]
    last = [e for e in told["timeline"]["events"] + told["state"]["events"] if e.get("state_key") == bob.user_id][-1]
    assert last["content"]["membership"] == "leave" and last["sender"] == alice.user_id
    assert section(bob, "knock", room) is None
    knock(bob, room)
    bob.leave(room)
    assert membership(alice, room, bob.user_id) == "leave"
    knock(bob, room)
    assert membership(alice, room, bob.user_id) == "knock"
    alice.ban(room, bob.user_id)
    r = refusal(knock, bob, room)
    assert (r.status, r.errcode) == (403, "M_BAD_STATE")


def test_a_second_knock_changes_its_reason(alice, bob):
    room = knock_room(alice)
    knock(bob, room, reason="one")
    knock(bob, room, reason="two")
    assert alice.state(room, "m.room.member", bob.user_id)["reason"] == "two"


def test_members_and_the_invited_do_not_knock(alice, bob):
    room = knock_room(alice)
    r = refusal(knock, alice, room)
    assert (r.status, r.body["error"]) == (403, "You cannot knock on a room you are already in")
    alice.invite(room, bob.user_id)
    assert refusal(knock, bob, room).status == 403


def test_who_knocks_sees_nothing_of_the_room(alice, bob):
    room = knock_room(alice)
    knock(bob, room)
    alice.text(room, "among us")
    for path in ("state", "members", "messages?dir=b"):
        assert refusal(bob.get, f"/rooms/{room}/{path}").status == 403, path
    assert refusal(bob.text, room, "hello").status == 403


def test_a_knock_by_alias_or_on_nothing(alice, bob, server):
    room = knock_room(alice, room_alias_name=f"door-{alice.user_id[1:].split(':')[0]}")
    alias = alice.state(room, "m.room.canonical_alias")["alias"]
    assert bob.post(f"/knock/{alias.replace('#', '%23')}", {}) == {"room_id": room}
    r = refusal(knock, bob, f"!none:{server.name}")
    assert r.status == 404
    assert refusal(knock, bob, "nonsense").status == 400


# -- restricted rooms --------------------------------------------------------------------------------------------------


def allow(*rooms):
    return {"allow": [{"type": "m.room_membership", "room_id": r} for r in rooms]}


@pytest.mark.parametrize("version", RESTRICTED)
def test_members_of_the_named_room_come_in(alice, bob, new_user, version):
    space = alice.create_room(preset="public_chat")
    room = knock_room(alice, version, "restricted", rules=allow(space))
    r = refusal(bob.join, room)
    assert (r.status, r.errcode) == (403, "M_FORBIDDEN")
    assert r.body["error"] == "You do not belong to any of the required rooms/spaces to join this room."
    bob.join(space)
    bob.join(room)
    assert alice.state(room, "m.room.member", bob.user_id)["join_authorised_via_users_server"] == alice.user_id
    bob.leave(space)
    assert bob.text(room, "who is in stays")
    carol = new_user("carol")
    alice.invite(room, carol.user_id)
    carol.join(room)
    assert "join_authorised_via_users_server" not in alice.state(room, "m.room.member", carol.user_id)


@pytest.mark.parametrize("version", [v for v in ALL if v not in RESTRICTED])
def test_in_older_versions_restricted_lets_nobody_in(alice, bob, version):
    space = alice.create_room(preset="public_chat")
    bob.join(space)
    room = knock_room(alice, version, "restricted", rules=allow(space))
    assert refusal(bob.join, room).status == 403


@pytest.mark.parametrize("version", KNOCK_RESTRICTED)
def test_a_knock_restricted_room_does_both(alice, bob, new_user, version):
    space = alice.create_room(preset="public_chat")
    room = knock_room(alice, version, "knock_restricted", rules=allow(space))
    knock(bob, room)
    assert section(bob, "knock", room)
    carol = new_user("carol")
    carol.join(space)
    carol.join(room)
    assert membership(alice, room, carol.user_id) == "join"


def test_nobody_can_let_them_in(alice, bob):
    """The only member is below the invite level."""
    space = alice.create_room(preset="public_chat")
    bob.join(space)
    room = knock_room(alice, "10", "restricted", rules=allow(space), power_level_content_override={"invite": 101})
    r = refusal(bob.join, room)
    assert (r.status, r.errcode) == (400, "M_UNABLE_TO_GRANT_JOIN")


def test_a_client_does_not_say_who_authorised_it(alice, bob):
    """A made-up authorising user is taken out; the server puts its own in."""
    space = alice.create_room(preset="public_chat")
    room = knock_room(alice, rule="restricted", rules=allow(space))
    assert refusal(bob.set_state, room, "m.room.member",
                   {"membership": "join", "join_authorised_via_users_server": alice.user_id}, bob.user_id).status == 403
    bob.join(space)
    bob.set_state(room, "m.room.member", {"membership": "join", "join_authorised_via_users_server": "@nobody:else"}, bob.user_id)
    assert alice.state(room, "m.room.member", bob.user_id)["join_authorised_via_users_server"] == alice.user_id


@pytest.mark.parametrize("rules", [{}, {"allow": "all"}, {"allow": [{"type": "m.room_membership"}, {"type": "other"}, 7, None]}])
def test_rules_without_meaning_let_nobody_in(alice, bob, rules):
    room = knock_room(alice, "9", "restricted", rules=rules)
    assert refusal(bob.join, room).status == 403
