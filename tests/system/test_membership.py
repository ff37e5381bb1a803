"""Who may change whose membership; invites, forgetting, and the options of both."""

import itertools

import pytest

from mx import Client, quote, refusal
from server import SECRET, Server, wait_for

_n = itertools.count(1)


def membership(client, room, user):
    return client.state(room, "m.room.member", user)["membership"]


# -- whose membership changes by whom ----------------------------------------------------------------------------------

ACTIONS = ("join", "invite", "kick", "ban", "unban", "leave")


def put_into(room, alice, who, state):
    """Brings a user to a state."""
    if state in ("invite", "join", "left"):
        alice.invite(room, who.user_id)
    if state in ("join", "left"):
        who.join(room)
    if state == "left":
        who.leave(room)
    if state == "ban":
        alice.ban(room, who.user_id)
    if state == "knock":
        who.post(f"/knock/{room}")


def act(actor, action, room, target):
    if action in ("join", "leave"):  # of somebody else: only by a member event
        content = {"membership": action}
        return actor.set_state(room, "m.room.member", content, target)
    return actor.post(f"/rooms/{room}/{action}", {"user_id": target})


# What a moderator (level 50) may do to somebody without power, by the membership that they have. All else is refused.
ALLOWED = {
    "none": {"invite", "ban", "unban"},
    "invite": {"invite", "kick", "ban", "leave"},
    "join": {"kick", "ban", "leave"},
    "left": {"invite", "ban", "leave"},
    "ban": {"ban", "unban", "leave"},
    "knock": {"invite", "kick", "ban", "leave"},
}


# C12 nobody is joined or parted by others but by a kick, a ban, or their lifting
def test_a_moderator_does_what_the_rules_say_and_no_more(alice, bob, new_user):
    room = alice.create_room(initial_state=[{"type": "m.room.join_rules", "content": {"join_rule": "knock"}}])
    put_into(room, alice, bob, "join")
    power = alice.state(room, "m.room.power_levels")
    alice.set_state(room, "m.room.power_levels", {**power, "users": {**power["users"], bob.user_id: 50}})
    others = {state: [] for state in ALLOWED}
    for state, action in itertools.product(ALLOWED, ACTIONS):
        who = new_user("target")
        put_into(room, alice, who, state)
        before = who.sync().get("rooms", {})
        try:
            act(bob, action, room, who.user_id)
            others[state].append(action)
        except Exception as e:
            assert e.status == 403, (state, action, e)
            assert {k: set(v) for k, v in who.sync().get("rooms", {}).items()} == {k: set(v) for k, v in before.items()}
        if action in ("join", "invite") and state != "join":
            assert room not in who.get("/joined_rooms")["joined_rooms"]
    assert {s: set(a) for s, a in others.items()} == {**ALLOWED, "none": others_of_none(others)}


def others_of_none(others):
    """A leave of somebody who never was there is a kick of nobody: the rules allow it, as they do unbanning them."""
    assert {"invite", "ban"} <= set(others["none"]) <= {"invite", "ban", "unban", "leave"}
    return set(others["none"])


# C12 neither a stranger nor a member without power
@pytest.mark.parametrize("inside", [False, True])
def test_without_power_only_oneself_is_changed(alice, bob, new_user, inside):
    room = alice.create_room(power_level_content_override={"invite": 50})
    if inside:
        put_into(room, alice, bob, "join")
    for state, action in itertools.product(("none", "invite", "join", "left", "ban"), ACTIONS):
        who = new_user("target")
        put_into(room, alice, who, state)
        try:
            act(bob, action, room, who.user_id)
            assert state == "ban" and False, (state, action)
        except AssertionError:
            raise
        except Exception as e:
            assert e.status == 403, (state, action, e)
    assert membership(alice, room, alice.user_id) == "join"


def test_ones_own_way_through_a_room(alice, bob, room):
    for _ in range(2):  # what is so already is no error
        bob.leave(room)
    for _ in range(2):
        bob.join(room)
    bob.set_state(room, "m.room.member", {"membership": "leave"}, bob.user_id)
    assert membership(alice, room, bob.user_id) == "leave"
    for wrong in ({"membership": "invited"}, {"membership": 3}, {}):
        assert refusal(bob.set_state, room, "m.room.member", wrong, bob.user_id).status == 400
    assert refusal(bob.set_state, room, "m.room.member", {"membership": "ban"}, bob.user_id).status == 403


def test_moderators_do_not_touch_each_other(alice, bob, new_user, room):
    carol = new_user("carol")
    carol.join(room)
    power = alice.state(room, "m.room.power_levels")
    alice.set_state(room, "m.room.power_levels", {**power, "users": {**power["users"], bob.user_id: 50, carol.user_id: 50}})
    for call in (bob.kick, bob.ban):
        assert refusal(call, room, carol.user_id).status == 403
        assert refusal(call, room, alice.user_id).status == 403
    bob.leave(room)
    assert refusal(bob.kick, room, carol.user_id).status == 403


# C14 NUL in what these endpoints are given
def test_nul_is_refused_in_ids_and_kept_in_reasons(alice, bob, room):
    for call, body in (("invite", {"user_id": "@a\0b:test"}), ("kick", {"user_id": "@a\0b:test"}), ("ban", {"user_id": "\0"})):
        r = refusal(alice.post, f"/rooms/{room}/{call}", body)
        assert 400 <= r.status < 500, (call, r)
    alice.kick(room, bob.user_id, reason="a\0b")
    assert alice.state(room, "m.room.member", bob.user_id)["reason"] == "a\0b"
    made = alice.create_room(initial_state=[{"type": "org.example.x", "content": {"k": "a\0b"}}])
    assert alice.state(made, "org.example.x") == {"k": "a\0b"}
    for body in ({"name": "a\0b"}, {"topic": "a\0b"}, {"creation_content": {"type": "a\0b"}},
                 {"room_alias_name": "a\0b"}, {"invite": ["@a\0b:test"]}, {"room_version": "1\0"}, {"preset": "public_chat\0"},
                 {"initial_state": [{"type": "a\0b", "content": {}}]}, {"initial_state": [{"type": "t", "state_key": "a\0b", "content": {}}]}):
        r = refusal(alice.create_room, **body)
        assert r.status == 400, (body, r)
    for path in (f"/directory/room/{quote('#a' + chr(0) + 'b:test')}",):
        assert refusal(alice.put, path, {"room_id": room}).status == 400
    assert refusal(alice.post, "/publicRooms", {"since": "\0"}).status == 400
    assert refusal(alice.post, "/publicRooms", {"filter": {"generic_search_term": "a\0b"}}).status == 400


# -- invites -----------------------------------------------------------------------------------------------------------


def test_an_invite_says_why_by_whom_and_for_what(alice, bob):
    room = alice.create_room(is_direct=True)
    alice.invite(room, bob.user_id, reason="for a talk")
    events = bob.sync()["rooms"]["invite"][room]["invite_state"]["events"]
    assert events[-1]["content"]["reason"] == "for a talk" and events[-1]["sender"] == alice.user_id
    by = [e for e in events if e["type"] == "m.room.member" and e["state_key"] == alice.user_id]
    assert by and by[0]["content"]["membership"] == "join"


def test_others_are_not_invited_by_mail(alice, room):
    body = {"medium": "email", "address": "a@example.org", "id_server": "id.example.org", "id_access_token": "x"}
    r = refusal(alice.post, f"/rooms/{room}/invite", body)
    assert (r.status, r.errcode) == (403, "M_THREEPID_DENIED")
    r = refusal(alice.post, f"/rooms/{room}/invite", {"medium": "email", "address": "a@example.org"})
    assert (r.status, r.errcode) == (400, "M_MISSING_PARAM")
    assert refusal(alice.create_room, invite_3pid=[body]).errcode == "M_THREEPID_DENIED"
    assert refusal(alice.create_room, invite_3pid=[{"medium": "email"}]).errcode == "M_MISSING_PARAM"


def test_who_wants_no_invites_gets_none(alice, bob, server):
    path = f"/user/{bob.user_id}/account_data/m.invite_permission_config"
    bob.put(path, {"default_action": "block"})
    room = alice.create_room()
    r = refusal(alice.invite, room, bob.user_id)
    assert (r.status, r.errcode, r.body["error"]) == (403, "M_INVITE_BLOCKED", "You are not permitted to invite this user.")
    assert refusal(alice.create_room, invite=[bob.user_id]).errcode == "M_INVITE_BLOCKED"
    bob.put(path, {"default_action": "allow"})
    alice.invite(room, bob.user_id)


def test_the_invites_and_words_of_ignored_people_are_not_shown(alice, bob, room):
    since = bob.sync()["next_batch"]
    bob.put(f"/user/{bob.user_id}/account_data/m.ignored_user_list", {"ignored_users": {alice.user_id: {}}})
    other = alice.create_room(invite=[bob.user_id])
    said = alice.text(room, "listen")
    got = bob.sync(since).get("rooms", {})
    assert other not in got.get("invite", {})
    assert said not in [e["event_id"] for e in got.get("join", {}).get(room, {}).get("timeline", {}).get("events", [])]
    assert said not in [e["event_id"] for e in bob.messages(room)["chunk"]]
    bob.put(f"/user/{bob.user_id}/account_data/m.ignored_user_list", {"ignored_users": {}})
    assert other in bob.sync()["rooms"]["invite"]
    assert said in [e["event_id"] for e in bob.messages(room)["chunk"]]


# -- with a transaction id ---------------------------------------------------------------------------------------------


def test_changes_with_a_transaction_id_are_done_once(alice, bob):
    room = alice.put("/createRoom/one", {"preset": "private_chat"})["room_id"]
    assert alice.put("/createRoom/one", {"preset": "private_chat"})["room_id"] == room
    assert alice.put("/createRoom/two", {"preset": "private_chat"})["room_id"] != room
    at = f"/rooms/{quote(room)}"
    for _ in range(2):
        assert alice.put(f"{at}/invite/t1", {"user_id": bob.user_id}) == {}
    for _ in range(2):
        assert bob.put(f"/join/{quote(room)}/t1", {}) == {"room_id": room}
    assert bob.put(f"{at}/join/t2", {}) == {"room_id": room}
    for _ in range(2):
        assert alice.put(f"{at}/kick/t2", {"user_id": bob.user_id}) == {}  # a second kick would be refused
    for _ in range(2):
        assert alice.put(f"{at}/ban/t3", {"user_id": bob.user_id}) == {}
    for _ in range(2):
        assert alice.put(f"{at}/unban/t4", {"user_id": bob.user_id}) == {}  # so would a second unban
    for _ in range(2):
        assert alice.put(f"{at}/leave/t5", {}) == {}
    assert alice.put(f"{at}/forget/t6", {}) == {}
    assert refusal(alice.put, f"{at}/unban/t7", {"user_id": bob.user_id}).status == 403


# -- options -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def strict():
    s = Server(config={
        "forget_rooms_on_leave": True,
        "forgotten_room_retention_period": 200,
        "allow_per_room_profiles": False,
        "require_membership_for_aliases": False,
        "room_prejoin_state": {"disable_default_event_types": True,
                               "additional_event_types": ["org.example.all", ["org.example.one", "k"], ["m.room.topic", ""]]},
        "default_power_level_content_override": {"private_chat": {"events": {"m.room.name": 7}, "kick": 33}, "public_chat": None},
        "encryption_enabled_by_default_for_room_type": "invite",
        "alias_creation_rules": [{"user_id": "@banned*", "action": "deny"}, {"alias": "#no-*", "action": "deny"}, {"action": "allow"}],
        "room_list_publication_rules": [{"alias": "#listed*", "action": "allow"}, {"action": "deny"}],
    })
    s.start()
    yield s
    s.close()


@pytest.fixture
def two(strict):
    n = next(_n)
    return Client(strict.base).register(f"ann{n}"), Client(strict.base).register(f"ben{n}")


def test_leaving_is_forgetting_where_the_server_says_so(two):
    ann, ben = two
    room = ann.create_room(preset="public_chat")
    ben.join(room)
    since = ben.sync()["next_batch"]
    ben.leave(room)
    told = ben.sync(since)
    assert room in told["rooms"]["leave"]  # the user's other devices learn of it
    everything = '{"room":{"include_leave":true}}'
    assert room not in ben.sync(filter=everything).get("rooms", {}).get("leave", {})
    assert refusal(ben.messages, room).status == 403
    ben.join(room)
    ann.kick(room, ben.user_id)
    assert room not in ben.sync(filter=everything).get("rooms", {}).get("leave", {})
    ben.join(room)
    assert ben.messages(room)["chunk"]


def test_a_room_that_nobody_remembers_goes(strict, two):
    ann, ben = two
    admin = Client(strict.base).register_with_secret(SECRET, f"adm{next(_n)}", "a good password 1", admin=True)
    room, kept = ann.create_room(preset="public_chat"), ann.create_room(preset="public_chat")
    for r in (room, kept):
        ben.join(r)
    ann.leave(kept)
    ben.leave(room)
    path = "/_synapse/admin/v1/rooms/"
    assert admin.get(path + room)["room_id"] == room
    ann.leave(room)
    wait_for(lambda: admin.raw("GET", path + room).status_code == 404)
    assert refusal(ben.join, room).status == 404
    assert ben.text(kept, "still here") and admin.get(path + kept)["joined_local_members"] == 1


def test_a_name_for_one_room_is_not_taken(two):
    ann, ben = two
    room = ann.create_room(preset="public_chat")
    ben.put(f"/profile/{ben.user_id}/displayname", {"displayname": "Ben"})
    ben.post(f"/join/{room}", {"displayname": "Another", "avatar_url": "mxc://x/y"})
    assert ann.state(room, "m.room.member", ben.user_id) == {"membership": "join", "displayname": "Ben"}
    ben.set_state(room, "m.room.member", {"membership": "join", "displayname": "Third"}, ben.user_id)
    assert ann.state(room, "m.room.member", ben.user_id)["displayname"] == "Ben"


def test_invited_people_see_what_the_operator_chose(two):
    ann, ben = two
    room = ann.create_room(name="hidden", topic="shown", initial_state=[
        {"type": "org.example.all", "state_key": "", "content": {"n": 0}},
        {"type": "org.example.all", "state_key": "a", "content": {"n": 1}},
        {"type": "org.example.one", "state_key": "k", "content": {"n": 2}},
        {"type": "org.example.one", "state_key": "l", "content": {"n": 3}}])
    ann.set_state(room, "org.example.all", {"n": 4}, "b")
    ann.invite(room, ben.user_id)
    events = ben.sync()["rooms"]["invite"][room]["invite_state"]["events"]
    got = [(e["type"], e["state_key"]) for e in events]
    assert got[0] == ("m.room.create", "")  # always there
    assert sorted(got[1:]) == sorted([("org.example.all", ""), ("org.example.all", "a"), ("org.example.all", "b"), ("org.example.one", "k"),
                                      ("m.room.topic", ""), ("m.room.member", ann.user_id), ("m.room.member", ben.user_id)])
    direct = ann.create_room(invite=[ben.user_id], initial_state=[{"type": "org.example.all", "state_key": "z", "content": {}}])
    events = ben.sync()["rooms"]["invite"][direct]["invite_state"]["events"]
    assert ("org.example.all", "z") in [(e["type"], e["state_key"]) for e in events]


def test_rooms_are_made_as_the_operator_wishes(two):
    ann, _ = two
    room = ann.create_room(preset="private_chat")
    power = ann.state(room, "m.room.power_levels")
    assert power["events"] == {"m.room.name": 7} and power["kick"] == 33 and power["ban"] == 50
    assert ann.state(room, "m.room.encryption") == {"algorithm": "m.megolm.v1.aes-sha2"}
    own = ann.create_room(preset="private_chat", power_level_content_override={"kick": 44, "users": {ann.user_id: 100}})
    assert ann.state(own, "m.room.power_levels")["kick"] == 44
    assert ann.state(own, "m.room.power_levels")["events"] == {"m.room.name": 7}
    public = ann.create_room(preset="public_chat")
    assert ann.state(public, "m.room.power_levels")["kick"] == 50
    assert refusal(ann.state, public, "m.room.encryption").status == 404
    other = ann.create_room(initial_state=[{"type": "m.room.encryption", "content": {"algorithm": "org.example.own"}}])
    assert ann.state(other, "m.room.encryption")["algorithm"] == "org.example.own"
    empty = ann.create_room(initial_state=[{"type": "m.room.encryption", "content": {}}])
    assert ann.state(empty, "m.room.encryption")["algorithm"] == "m.megolm.v1.aes-sha2"


def test_aliases_and_the_list_follow_the_rules(strict, two):
    ann, ben = two
    n = next(_n)
    room = ann.create_room(preset="public_chat")
    ben.put(f"/directory/room/%23from-outside-{n}:{strict.name}", {"room_id": room})  # membership is not required here
    r = refusal(ann.put, f"/directory/room/%23no-{n}:{strict.name}", {"room_id": room})
    assert (r.status, r.body["error"]) == (403, "Not allowed to create alias")
    banned = Client(strict.base).register(f"banned{n}")
    assert refusal(banned.create_room, room_alias_name=f"b{n}").status == 403
    assert refusal(ann.put, f"/directory/list/room/{quote(room)}", {"visibility": "public"}).status == 403
    hidden = ann.create_room(visibility="public", room_alias_name=f"hidden{n}")  # made, but not in the list
    assert ann.get(f"/directory/list/room/{quote(hidden)}") == {"visibility": "private"}
    listed = ann.create_room(visibility="public", room_alias_name=f"listed{n}")
    assert ann.get(f"/directory/list/room/{quote(listed)}") == {"visibility": "public"}
