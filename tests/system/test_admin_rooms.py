"""Rooms, for administrators."""

import secrets

import pytest

from mx import quote, refusal

V1 = "/_synapse/admin/v1"


def path(room, *more):
    return f"{V1}/rooms/{quote(room)}" + "".join("/" + m for m in more)


def listed(admin, **query):
    return admin.get(V1 + "/rooms", query)


@pytest.fixture
def word():
    """In no room's name but those of one test."""
    return secrets.token_hex(6)


# -- lists -------------------------------------------------------------------------------------------------------------


def test_a_room_is_listed_with_what_it_is(admin, alice, bob, word):
    room = alice.create_room(preset="public_chat", visibility="public", name=f"The {word} Room", topic="t", room_alias_name=word)
    bob.join(room)
    answer = listed(admin, search_term=word.upper())
    assert answer["total_rooms"] == 1 and answer["offset"] == 0 and "next_batch" not in answer and "prev_batch" not in answer
    assert answer["rooms"] == [
        {
            "room_id": room, "name": f"The {word} Room", "canonical_alias": f"#{word}:test", "joined_members": 2, "joined_local_members": 2,
            "version": "11", "creator": alice.user_id, "encryption": None, "federatable": True, "public": True, "join_rules": "public",
            "guest_access": None, "history_visibility": "shared", "state_events": answer["rooms"][0]["state_events"], "room_type": None,
        }
    ]  # fmt: skip
    assert answer["rooms"][0]["state_events"] >= 8
    details = admin.get(path(room))
    assert {k: details[k] for k in answer["rooms"][0]} == answer["rooms"][0]
    assert (details["topic"], details["avatar"], details["joined_local_devices"], details["forgotten"]) == ("t", None, 2, False)
    assert (details["tombstoned"], details["replacement_room"]) == (False, None)


def test_a_list_is_searched_in_names_local_parts_of_aliases_and_whole_ids(admin, alice, word):
    room = alice.create_room(name=f"100%_{word}")
    assert [r["room_id"] for r in listed(admin, search_term=f"%_{word}")["rooms"]] == [room]
    assert listed(admin, search_term=f"1_0%{word}")["total_rooms"] == 0
    assert listed(admin, search_term=room)["total_rooms"] == 1
    assert listed(admin, search_term=room[:-1])["total_rooms"] == 0
    aliased = alice.create_room(room_alias_name=f"x{word}y")
    assert listed(admin, search_term=f"x{word}")["rooms"][0]["room_id"] == aliased


ORDERS = ["alphabetical", "size", "name", "canonical_alias", "joined_members", "joined_local_members", "version", "creator", "encryption",
          "federatable", "public", "join_rules", "guest_access", "history_visibility", "state_events"]  # fmt: skip


@pytest.mark.parametrize("order", ORDERS)
def test_each_order_runs_both_ways_and_in_pages(admin, alice, bob, order):
    w = secrets.token_hex(6)
    small = alice.create_room(name=f"a {w}", preset="private_chat", room_version="9")
    large = bob.create_room(name=f"b {w}", preset="public_chat", room_alias_name=w, creation_content={"m.federate": False}, visibility="public",
                            initial_state=[{"type": "m.room.encryption", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}])  # fmt: skip
    alice.join(large)
    forward = [r["room_id"] for r in listed(admin, search_term=w, order_by=order)["rooms"]]
    assert sorted(forward) == sorted([small, large])
    assert [r["room_id"] for r in listed(admin, search_term=w, order_by=order, dir="b")["rooms"]] == forward[::-1]
    pages = [listed(admin, search_term=w, order_by=order, limit=1, **{"from": i}) for i in (0, 1)]
    assert [p["rooms"][0]["room_id"] for p in pages] == forward
    assert pages[0]["next_batch"] == 1 and pages[1]["prev_batch"] == 0 and "next_batch" not in pages[1]
    if order in ("size", "joined_members", "joined_local_members", "state_events"):
        assert forward == [large, small]
    if order in ("name", "alphabetical", "creator"):
        assert forward == [small, large]


def test_public_and_empty_rooms_can_be_asked_for(admin, alice, word):
    public = alice.create_room(name=f"a {word}", preset="public_chat", visibility="public")
    private = alice.create_room(name=f"b {word}")
    ids = lambda **q: [r["room_id"] for r in listed(admin, search_term=word, **q)["rooms"]]
    assert ids(public_rooms="true") == [public] and ids(public_rooms="false") == [private]
    alice.leave(private)
    assert ids(empty_rooms="true") == [private] and ids(empty_rooms="false") == [public]


@pytest.mark.parametrize("query", [{"order_by": "x"}, {"dir": "x"}, {"search_term": ""}, {"from": "-1"}, {"limit": "x"}, {"public_rooms": "yes"},
                                   {"search_term": "a\0b"}])  # fmt: skip
def test_bad_lists_are_refused(admin, query):
    r = refusal(admin.get, V1 + "/rooms", query)
    assert (r.status, r.errcode) == (400, "M_INVALID_PARAM")


# -- what is in a room -------------------------------------------------------------------------------------------------


def test_an_administrator_reads_rooms_without_being_there(admin, alice, bob):
    room = alice.create_room(name="private")
    alice.invite(room, bob.user_id)
    bob.join(room)
    sent = [alice.text(room, f"m{i}") for i in range(5)]
    members = admin.get(path(room, "members"))
    assert sorted(members["members"]) == sorted([alice.user_id, bob.user_id]) and members["total"] == 2
    state = admin.get(path(room, "state"))["state"]
    assert {e["type"] for e in state} >= {"m.room.create", "m.room.member", "m.room.name"}
    assert [e["content"] for e in admin.get(path(room, "state"), {"type": "m.room.name"})["state"]] == [{"name": "private"}]
    page = admin.get(path(room, "messages"), {"dir": "b", "limit": 3})
    assert [e["event_id"] for e in page["chunk"]] == sent[:1:-1]
    older = admin.get(path(room, "messages"), {"dir": "b", "limit": 100, "from": page["end"]})
    assert older["chunk"][0]["event_id"] == sent[1] and older["chunk"][-1]["type"] == "m.room.create"
    context = admin.get(path(room, "context", quote(sent[2])), {"limit": 2})
    assert context["event"]["event_id"] == sent[2] and context["events_before"][0]["event_id"] == sent[1]
    found = admin.get(path(room, "timestamp_to_event"), {"ts": 0, "dir": "f"})
    assert admin.get(path(room, "context", quote(found["event_id"])))["event"]["type"] == "m.room.create"
    assert refusal(admin.messages, room).status == 403  # but not as somebody with an account


def test_an_event_is_shown_as_it_was_stored(admin, alice):
    room = alice.create_room()
    event = alice.text(room, "secret")
    alice.redact(room, event)
    shown = admin.get(f"{V1}/fetch_event/{quote(event)}")["event"]
    assert shown["content"]["body"] == "secret" and shown["event_id"] == event and "signatures" in shown and "auth_events" in shown
    assert refusal(admin.get, f"{V1}/fetch_event/$no").status == 404


@pytest.mark.parametrize("more", [(), ("members",), ("state",), ("messages",), ("timestamp_to_event",), ("hierarchy",)])  # fmt: skip
def test_unknown_rooms_are_not_found(admin, more):
    r = refusal(admin.get, path("!nowhere:test", *more), {"ts": 0})
    assert (r.status, r.errcode, r.body["error"]) == (404, "M_NOT_FOUND", "Room not found")


def test_nobody_else_may(alice, anyone):
    room = alice.create_room()
    for p in (V1 + "/rooms", path(room), path(room, "members"), path(room, "state"), path(room, "messages"), path(room, "block"),
              path(room, "forward_extremities"), path(room, "context", "$x"), path(room, "timestamp_to_event"), V1 + "/fetch_event/$x"):  # fmt: skip
        assert refusal(alice.get, p).errcode == "M_FORBIDDEN"
        assert refusal(anyone.get, p).errcode == "M_MISSING_TOKEN"
    assert refusal(alice.post, f"{V1}/join/{quote(room)}", {"user_id": alice.user_id}).errcode == "M_FORBIDDEN"
    assert refusal(alice.post, path(room, "make_room_admin")).errcode == "M_FORBIDDEN"
    assert refusal(alice.put, path(room, "block"), {"block": True}).errcode == "M_FORBIDDEN"
    assert refusal(alice.delete, path(room, "forward_extremities")).errcode == "M_FORBIDDEN"


# -- blocking ----------------------------------------------------------------------------------------------------------


def test_nobody_comes_into_a_blocked_room(admin, alice, bob, word):
    room = alice.create_room(preset="public_chat", room_alias_name=word)
    assert admin.get(path(room, "block")) == {"block": False}
    assert admin.put(path(room, "block"), {"block": True}) == {"block": True}
    assert admin.get(path(room, "block")) == {"block": True, "user_id": admin.user_id}
    for attempt in (lambda: bob.join(room), lambda: bob.join(f"#{word}:test"), lambda: alice.invite(room, bob.user_id)):
        r = refusal(attempt)
        assert (r.status, r.body["error"]) == (403, "This room has been blocked on this server")
    alice.text(room, "who is there stays")
    assert admin.put(path(room, "block"), {"block": False}) == {"block": False}
    bob.join(room)


def test_a_room_can_be_blocked_before_it_is_known(admin, bob):
    room = f"!{secrets.token_hex(8)}:elsewhere.example"
    admin.put(path(room, "block"), {"block": True})
    assert refusal(bob.join, room).status == 403


@pytest.mark.parametrize("room, body, errcode", [("!x:test", {}, "M_MISSING_PARAM"), ("!x:test", {"block": "x"}, "M_BAD_JSON"),
                                                 ("x", {"block": True}, "M_UNKNOWN")])  # fmt: skip
def test_bad_blocks_are_refused(admin, room, body, errcode):
    r = refusal(admin.put, path(room, "block"), body)
    assert (r.status, r.errcode) == (400, errcode)


# -- acting in rooms ---------------------------------------------------------------------------------------------------


def test_a_user_is_joined_by_an_administrator(admin, alice, bob, word):
    public = alice.create_room(preset="public_chat", room_alias_name=word)
    assert admin.post(f"{V1}/join/{quote('#' + word + ':test')}", {"user_id": bob.user_id}) == {"room_id": public}
    private = alice.create_room()
    alice.invite(private, admin.user_id)
    admin.join(private)
    assert admin.post(f"{V1}/join/{quote(private)}", {"user_id": bob.user_id}) == {"room_id": private}
    assert {public, private} <= set(bob.get("/joined_rooms")["joined_rooms"])
    other = alice.create_room()  # the administrator is not there and cannot invite
    assert refusal(admin.post, f"{V1}/join/{quote(other)}", {"user_id": bob.user_id}).errcode == "M_FORBIDDEN"


@pytest.mark.parametrize("body, status, errcode", [({}, 400, "M_MISSING_PARAM"), ({"user_id": "x"}, 400, "M_INVALID_PARAM"),
                                                   ({"user_id": "@x:elsewhere"}, 400, "M_UNKNOWN"), ({"user_id": "@nobody:test"}, 404, "M_NOT_FOUND")])  # fmt: skip
def test_bad_joins_are_refused(admin, alice, body, status, errcode):
    r = refusal(admin.post, f"{V1}/join/{quote(alice.create_room(preset='public_chat'))}", body)
    assert (r.status, r.errcode) == (status, errcode)


@pytest.mark.parametrize("version", ["11", "12"])
def test_somebody_is_made_admin_of_a_room(admin, alice, bob, version):
    room = alice.create_room(room_version=version)
    assert admin.post(path(room, "make_room_admin"), {"user_id": bob.user_id}) == {}
    assert alice.state(room, "m.room.power_levels")["users"][bob.user_id] == 100
    bob.join(room)  # was invited
    assert admin.post(path(room, "make_room_admin")) == {}
    assert alice.state(room, "m.room.power_levels")["users"][admin.user_id] == 100
    assert alice.state(room, "m.room.member", admin.user_id)["membership"] == "invite"
    for c in (alice, bob):
        c.leave(room)
    r = refusal(admin.post, path(room, "make_room_admin"))
    assert (r.status, r.body["error"]) == (400, "No local admin user in room")


def test_forward_extremities_are_shown_and_cleared(admin, alice):
    room = alice.create_room()
    event = alice.text(room, "the newest")
    answer = admin.get(path(room, "forward_extremities"))
    assert answer["count"] == 1 and answer["results"][0]["event_id"] == event and answer["results"][0]["depth"] > 1
    assert admin.delete(path(room, "forward_extremities")) == {"deleted": 0}
