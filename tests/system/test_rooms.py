"""Making rooms, belonging to them, their state and names."""

import itertools
import secrets

import pytest

from mx import Client, quote, refusal

_n = itertools.count(1)
_run = secrets.token_hex(3)


def alias_name():
    return f"alias-{next(_n)}-{_run}"


# -- createRoom --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [str(v) for v in range(1, 13)])
def test_a_room_of_each_version_can_be_made_and_lived_in(alice, bob, version):
    room = alice.create_room(room_version=version, preset="public_chat", name="A room")
    create = alice.state(room, "m.room.create")
    assert create["room_version"] == version and create.get("creator") == (alice.user_id if int(version) < 11 else None)
    assert (":" in room) == (version != "12")
    bob.join(room)
    e = bob.text(room, "hi")
    assert alice.event(room, e)["content"]["body"] == "hi"
    assert alice.event(room, e).get("room_id") == room
    power = alice.state(room, "m.room.power_levels")
    assert (alice.user_id in power["users"]) == (version != "12") and power["events"]["m.room.tombstone"] == (150 if version == "12" else 100)
    alice.set_state(room, "m.room.power_levels", {**power, "users": {**power["users"], bob.user_id: 50}})
    bob.set_state(room, "m.room.topic", {"topic": "by bob"})
    bob.redact(room, e)
    assert alice.event(room, e)["content"] == {}
    react = bob.send(room, "m.reaction", {"m.relates_to": {"rel_type": "m.annotation", "event_id": alice.text(room, "x"), "key": "+"}})
    bob.receipt(room, react)
    alice.ban(room, bob.user_id)
    assert refusal(bob.join, room).status == 403
    alice.unban(room, bob.user_id)
    alice.set_state(room, "m.room.join_rules", {"join_rule": "invite"})
    assert refusal(bob.join, room).status == 403
    alice.invite(room, bob.user_id)
    bob.join(room)
    alice.kick(room, bob.user_id)
    types = [x["type"] for x in alice.messages(room, limit=100)["chunk"]]
    assert types.count("m.room.member") == 7 and types[-1] == "m.room.create"
    members = [x for x in alice.sync()["rooms"]["join"][room]["timeline"]["events"] if x["type"] == "m.room.member"]
    assert members[-1]["content"]["membership"] == "leave"


def test_where_the_initial_state_names_a_thing_twice_the_last_counts(alice):
    room = alice.create_room(initial_state=[{"type": "org.example.x", "content": {"n": 1}}, {"type": "org.example.y", "content": {}},
                                            {"type": "org.example.x", "content": {"n": 2}}])
    types = [(e["type"], e["content"]) for e in alice.messages(room, dir="f", limit=50)["chunk"] if e["type"].startswith("org")]
    assert types == [("org.example.x", {"n": 2}), ("org.example.y", {})]


def test_an_unknown_version_is_refused(alice):
    r = refusal(alice.create_room, room_version="no.such")
    assert (r.status, r.errcode) == (400, "M_UNSUPPORTED_ROOM_VERSION")


@pytest.mark.parametrize(
    "preset, join_rule, guest",
    [("private_chat", "invite", "can_join"), ("trusted_private_chat", "invite", "can_join"), ("public_chat", "public", None)],
)
def test_presets_set_their_rules(alice, preset, join_rule, guest):
    room = alice.create_room(preset=preset)
    assert alice.state(room, "m.room.join_rules")["join_rule"] == join_rule
    assert alice.state(room, "m.room.history_visibility")["history_visibility"] == "shared"
    if guest:
        assert alice.state(room, "m.room.guest_access")["guest_access"] == guest
    else:
        assert refusal(alice.state, room, "m.room.guest_access").status == 404


def test_visibility_alone_chooses_the_preset(alice):
    assert alice.state(alice.create_room(visibility="public"), "m.room.join_rules")["join_rule"] == "public"
    assert alice.state(alice.create_room(), "m.room.join_rules")["join_rule"] == "invite"


def test_name_topic_alias_and_initial_state_are_in_it(alice, server):
    local = alias_name()
    room = alice.create_room(
        name="The name",
        topic="The topic",
        room_alias_name=local,
        initial_state=[{"type": "org.example.s", "state_key": "k", "content": {"v": 1}},
                       {"type": "m.room.history_visibility", "content": {"history_visibility": "joined"}}],
        creation_content={"m.federate": False},
    )
    assert alice.state(room, "m.room.name") == {"name": "The name"}
    assert alice.state(room, "m.room.topic")["topic"] == "The topic"
    assert alice.state(room, "m.room.canonical_alias") == {"alias": f"#{local}:{server.name}"}
    assert alice.state(room, "org.example.s", "k") == {"v": 1}
    assert alice.state(room, "m.room.history_visibility") == {"history_visibility": "joined"}
    assert alice.state(room, "m.room.create")["m.federate"] is False


def test_the_creators_power_can_be_overridden(alice):
    room = alice.create_room(power_level_content_override={"events": {"m.room.topic": 0}, "users_default": 7})
    power = alice.state(room, "m.room.power_levels")
    assert power["users_default"] == 7 and power["events"] == {"m.room.topic": 0}
    assert power["users"] == {alice.user_id: 100}


def test_invited_people_see_the_invite(alice, bob):
    room = alice.create_room(invite=[bob.user_id], is_direct=True, name="For two")
    invite = bob.sync()["rooms"]["invite"][room]["invite_state"]["events"]
    mine = [e for e in invite if e["type"] == "m.room.member" and e["state_key"] == bob.user_id][0]
    assert mine["content"]["membership"] == "invite" and mine["content"]["is_direct"] is True
    assert {"m.room.create", "m.room.join_rules", "m.room.name"} <= {e["type"] for e in invite}


def test_trusted_private_chat_gives_everybody_power(alice, bob):
    room = alice.create_room(preset="trusted_private_chat", invite=[bob.user_id])
    assert alice.state(room, "m.room.power_levels")["users"] == {alice.user_id: 100, bob.user_id: 100}


@pytest.mark.parametrize(
    "body",
    [
        {"invite": ["not a user"]},
        {"room_alias_name": "with space:and colon"},
        {"preset": "no_such_preset"},
        {"initial_state": {}},
        {"name": 17},
        {"creation_content": []},
        {"visibility": 3},
    ],
)
def test_a_bad_body_makes_no_room(alice, body):
    before = alice.get("/joined_rooms")
    assert refusal(alice.create_room, **body).status == 400
    assert alice.get("/joined_rooms") == before


def test_a_taken_alias_is_refused(alice):
    local = alias_name()
    alice.create_room(room_alias_name=local)
    r = refusal(alice.create_room, room_alias_name=local)
    assert (r.status, r.errcode) == (400, "M_ROOM_IN_USE")


# -- membership --------------------------------------------------------------------------------------------------------


def membership(client, room, user):
    return client.state(room, "m.room.member", user)["membership"]


def test_only_invited_people_join_an_invite_room(alice, bob):
    room = alice.create_room()
    r = refusal(bob.join, room)
    assert (r.status, r.errcode) == (403, "M_FORBIDDEN")
    alice.invite(room, bob.user_id, reason="come in")
    assert bob.join(room) == room
    assert set(alice.get(f"/rooms/{quote(room)}/joined_members")["joined"]) == {alice.user_id, bob.user_id}


def test_joining_twice_is_fine(bob, room):
    assert bob.join(room) == room


def test_joining_by_alias(alice, bob, server):
    local = alias_name()
    room = alice.create_room(preset="public_chat", room_alias_name=local)
    assert bob.join(f"#{local}:{server.name}") == room
    assert refusal(bob.join, f"#no-{local}:{server.name}").status == 404


def test_leaving_rejecting_and_kicking(alice, bob, new_user, room):
    bob.leave(room, reason="enough")
    assert membership(alice, room, bob.user_id) == "leave"
    carol = new_user("carol")
    alice.invite(room, carol.user_id)
    carol.leave(room)
    assert membership(alice, room, carol.user_id) == "leave"
    carol.join(room)
    alice.kick(room, carol.user_id, reason="out")
    event = alice.get(f"/rooms/{quote(room)}/state/m.room.member/{carol.user_id}", {"format": "event"})
    assert event["content"]["membership"] == "leave" and event["content"]["reason"] == "out"
    assert event["sender"] == alice.user_id
    assert refusal(alice.kick, room, carol.user_id).status == 403


def test_the_banned_stay_out_until_unbanned(alice, bob, room):
    alice.ban(room, bob.user_id, reason="spam")
    r = refusal(bob.join, room)
    assert (r.status, r.errcode) == (403, "M_BAD_STATE")  # Synapse's code for it
    assert refusal(alice.invite, room, bob.user_id).status == 403
    assert refusal(bob.text, room, "still here").status == 403
    alice.unban(room, bob.user_id)
    assert membership(alice, room, bob.user_id) == "leave"
    bob.join(room)


def test_the_powerless_neither_kick_nor_ban_nor_name(alice, bob, room):
    for act in (lambda: bob.kick(room, alice.user_id), lambda: bob.ban(room, alice.user_id),
                lambda: bob.set_state(room, "m.room.name", {"name": "x"})):
        r = refusal(act)
        assert (r.status, r.errcode) == (403, "M_FORBIDDEN")


def test_who_has_left_does_not_speak(bob, room):
    bob.leave(room)
    r = refusal(bob.text, room, "hello?")
    assert (r.status, r.errcode) == (403, "M_FORBIDDEN")


def test_a_room_is_forgotten_only_after_leaving(alice, bob, room):
    assert refusal(bob.post, f"/rooms/{quote(room)}/forget").status == 400
    bob.leave(room)
    bob.post(f"/rooms/{quote(room)}/forget")
    assert room not in bob.sync(filter='{"room":{"include_leave":true}}').get("rooms", {}).get("leave", {})
    assert refusal(bob.messages, room).status == 403
    bob.join(room)
    assert bob.messages(room)["chunk"]


def test_members_are_listed_and_filtered(alice, bob, room, new_user):
    carol = new_user("carol")
    alice.invite(room, carol.user_id)
    path = f"/rooms/{quote(room)}/members"
    assert len(alice.get(path)["chunk"]) == 3
    joined = alice.get(path, {"membership": "join"})["chunk"]
    assert {e["state_key"] for e in joined} == {alice.user_id, bob.user_id}
    others = alice.get(path, {"not_membership": "join"})["chunk"]
    assert [e["state_key"] for e in others] == [carol.user_id]
    assert refusal(carol.get, path).status == 403


def test_members_at_a_point_of_the_past(alice, bob, room, new_user):
    then = alice.sync()["next_batch"]
    carol = new_user("carol")
    carol.join(room)
    path = f"/rooms/{quote(room)}/members"
    past = alice.get(path, {"at": then})["chunk"]
    assert carol.user_id not in {e["state_key"] for e in past}
    assert carol.user_id in {e["state_key"] for e in alice.get(path)["chunk"]}


def test_joined_rooms(alice, bob, room):
    assert room in bob.get("/joined_rooms")["joined_rooms"]
    bob.leave(room)
    assert room not in bob.get("/joined_rooms")["joined_rooms"]


def test_an_invite_carries_enough_to_decide(alice, bob):
    room = alice.create_room(name="A name", topic="hidden")
    alice.invite(room, bob.user_id, reason="please")
    events = bob.sync()["rooms"]["invite"][room]["invite_state"]["events"]
    for e in events:
        assert {"type", "state_key", "content", "sender"} <= set(e)
    assert any(e["type"] == "m.room.name" and e["content"] == {"name": "A name"} for e in events)
    bob.join(room)
    assert room not in bob.sync().get("rooms", {}).get("invite", {})


def test_one_cannot_invite_who_is_in_the_room(alice, bob, room):
    assert refusal(alice.invite, room, bob.user_id).status == 403


# -- state -------------------------------------------------------------------------------------------------------------


def test_state_is_put_got_and_listed(alice, bob, room):
    e = alice.set_state(room, "org.example.type", {"a": [1, {"b": None}]}, "key/with slash")
    assert bob.state(room, "org.example.type", "key/with slash") == {"a": [1, {"b": None}]}
    everything = bob.get(f"/rooms/{quote(room)}/state")
    mine = [x for x in everything if x["event_id"] == e][0]
    assert mine["state_key"] == "key/with slash" and mine["room_id"] == room
    assert {"m.room.create", "m.room.member", "m.room.power_levels", "m.room.join_rules"} <= {x["type"] for x in everything}


def test_the_empty_state_key_may_be_left_out(alice, room):
    path = f"/rooms/{quote(room)}/state/m.room.topic"
    alice.put(path, {"topic": "x"})
    for p in (path, path + "/"):
        assert alice.get(p)["topic"] == "x"


def test_the_same_state_twice_is_one_event(alice, room):
    assert alice.set_state(room, "m.room.topic", {"topic": "t"}) == alice.set_state(room, "m.room.topic", {"topic": "t"})


def test_missing_state_is_not_found(alice, room):
    r = refusal(alice.state, room, "org.example.none")
    assert (r.status, r.errcode) == (404, "M_NOT_FOUND")


def test_outsiders_see_no_state(room, new_user):
    carol = new_user("carol")
    for path in ("state", "state/m.room.create/", "members", "joined_members", "messages?dir=b"):
        r = refusal(carol.get, f"/rooms/{quote(room)}/{path}")
        assert (r.status, r.errcode) == (403, "M_FORBIDDEN"), path


def test_nobody_takes_anothers_user_id_as_state_key(alice, bob, room):
    alice.set_state(room, "m.room.power_levels", {**alice.state(room, "m.room.power_levels"), "state_default": 0})
    assert refusal(bob.set_state, room, "org.example.x", {}, alice.user_id).status == 403
    bob.set_state(room, "org.example.x", {}, bob.user_id)


def test_power_is_not_raised_above_ones_own(alice, bob, room):
    power = alice.state(room, "m.room.power_levels")
    power["users"][bob.user_id] = 50
    alice.set_state(room, "m.room.power_levels", power)
    power["users"][bob.user_id] = 100
    assert refusal(bob.set_state, room, "m.room.power_levels", power).status == 403
    power["users"][bob.user_id] = "50"
    assert refusal(alice.set_state, room, "m.room.power_levels", power).status == 400


# -- aliases and the directory ---------------------------------------------------------------------------------------------


def test_aliases_come_and_go(alice, bob, room, server):
    alias = f"#{alias_name()}:{server.name}"
    path = f"/directory/room/{quote(alias)}"
    assert refusal(alice.get, path).errcode == "M_NOT_FOUND"
    alice.put(path, {"room_id": room})
    found = bob.get(path)
    assert found["room_id"] == room and server.name in found["servers"]
    assert refusal(bob.put, path, {"room_id": room}).status == 409
    assert alias in alice.get(f"/rooms/{quote(room)}/aliases")["aliases"]
    assert refusal(bob.delete, path).status == 403
    alice.delete(path)
    assert refusal(alice.get, path).status == 404


def test_a_canonical_alias_must_exist_and_point_here(alice, room, server):
    alias = f"#{alias_name()}:{server.name}"
    r = refusal(alice.set_state, room, "m.room.canonical_alias", {"alias": alias})
    assert (r.status, r.errcode) == (400, "M_BAD_ALIAS")
    alice.put(f"/directory/room/{quote(alias)}", {"room_id": room})
    alice.set_state(room, "m.room.canonical_alias", {"alias": alias})
    r = refusal(alice.set_state, room, "m.room.canonical_alias", {"alias": "not an alias"})
    assert r.status == 400


def test_published_rooms_are_in_the_directory(alice, bob, server):
    word = f"word{next(_n)}{_run}"
    room = alice.create_room(visibility="public", name=f"Room {word}", topic="about things")
    found = bob.post("/publicRooms", {"filter": {"generic_search_term": word}})["chunk"]
    assert [r["room_id"] for r in found] == [room]
    assert found[0]["num_joined_members"] == 1 and found[0]["topic"] == "about things"
    assert found[0]["world_readable"] is False and found[0]["join_rule"] == "public"
    assert alice.get(f"/directory/list/room/{quote(room)}") == {"visibility": "public"}
    alice.put(f"/directory/list/room/{quote(room)}", {"visibility": "private"})
    assert bob.post("/publicRooms", {"filter": {"generic_search_term": word}})["chunk"] == []


def test_the_directory_has_pages(alice):
    word = f"paged{next(_n)}{_run}"
    rooms = {alice.create_room(visibility="public", name=f"{word} {i}") for i in range(5)}
    seen, since = [], None
    for _ in range(6):
        body = {"limit": 2, "filter": {"generic_search_term": word}}
        if since:
            body["since"] = since
        page = alice.post("/publicRooms", body)
        seen += [r["room_id"] for r in page["chunk"]]
        since = page.get("next_batch")
        if not since:
            break
    assert len(seen) == 5 and set(seen) == rooms


def test_the_body_of_a_join_is_its_content(alice, bob, server):
    local = alias_name()
    room = alice.create_room(preset="public_chat", room_alias_name=local)
    bob.post(f"/join/{quote('#' + local + ':' + server.name)}", {"com.example.why": "curious"})
    member = alice.state(room, "m.room.member", bob.user_id)
    assert member["com.example.why"] == "curious"
    assert member["membership"] == "join"
    assert member["displayname"]


def test_a_room_is_not_created_twice(alice, room):
    r = refusal(alice.set_state, room, "m.room.create", {"room_version": "11", "again": True})
    assert (r.status, r.errcode) == (400, "M_INVALID_PARAM")


def test_a_deleted_alias_leaves_the_canonical_alias_event(alice, room, server):
    names = [f"#{alias_name()}:{server.name}" for _ in range(3)]
    for name in names:
        alice.put(f"/directory/room/{quote(name)}", {"room_id": room})
    alice.set_state(room, "m.room.canonical_alias", {"alias": names[0], "alt_aliases": names[1:], "x": 1})
    alice.delete(f"/directory/room/{quote(names[1])}")
    assert alice.state(room, "m.room.canonical_alias") == {"alias": names[0], "alt_aliases": names[2:], "x": 1}
    alice.delete(f"/directory/room/{quote(names[2])}")
    alice.delete(f"/directory/room/{quote(names[0])}")
    assert alice.state(room, "m.room.canonical_alias") == {"x": 1}


def test_a_bystander_who_deletes_an_alias_of_theirs_changes_no_state(alice, bob, room, server):
    name = f"#{alias_name()}:{server.name}"
    bob.put(f"/directory/room/{quote(name)}", {"room_id": room})
    alice.set_state(room, "m.room.canonical_alias", {"alias": name})
    bob.delete(f"/directory/room/{quote(name)}")
    assert alice.state(room, "m.room.canonical_alias") == {"alias": name}


def test_members_at_a_token_of_a_timeline(alice, bob):
    room = alice.create_room(preset="public_chat")
    alice.text(room, "alone")
    before = alice.sync()["rooms"]["join"][room]["timeline"]["prev_batch"]
    bob.join(room)
    chunk = alice.get(f"/rooms/{quote(room)}/members", {"at": before})["chunk"]
    assert [e["state_key"] for e in chunk] == [alice.user_id]
