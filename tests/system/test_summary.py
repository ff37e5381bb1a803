"""GET /room_summary/{roomIdOrAlias} and its older forms; GET /mutual_rooms."""

import pytest

from mx import quote, refusal

FORMS = ["/_matrix/client/v1/room_summary/{}", "/_matrix/client/unstable/im.nheko.summary/summary/{}",
         "/_matrix/client/unstable/im.nheko.summary/rooms/{}/summary"]


def summary(client, room, form=FORMS[0], **kw):
    return client.get(form.format(quote(room)), **kw)


@pytest.mark.parametrize("form", FORMS)
def test_a_public_room_is_told_of_to_anybody(alice, bob, anyone, server, form):
    name = "summary-" + form[16:20].strip("/") + str(FORMS.index(form))
    room = alice.create_room(preset="public_chat", name="N", topic="T", room_alias_name=name, initial_state=[
        {"type": "m.room.encryption", "state_key": "", "content": {"algorithm": "m.megolm.v1.aes-sha2"}},
        {"type": "m.room.avatar", "state_key": "", "content": {"url": "mxc://x/y"}}])
    alias = f"#{name}:{alice.user_id.split(':', 1)[1]}"
    want = {"room_id": room, "name": "N", "topic": "T", "canonical_alias": alias, "num_joined_members": 1, "avatar_url": "mxc://x/y",
            "world_readable": False, "guest_can_join": False, "encryption": "m.megolm.v1.aes-sha2", "join_rule": "public"}
    got = summary(anyone, room, form)
    version = got.pop("room_version")
    assert got == want and version == alice.state(room, "m.room.create")["room_version"]
    assert summary(anyone, alias, form)["room_id"] == room
    assert summary(alice, room, form)["membership"] == "join"
    assert summary(bob, room, form)["membership"] == "leave"


def test_memberships_are_told(alice, bob):
    room = alice.create_room(room_version="10", initial_state=[{"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": "knock"}}])
    alice.invite(room, bob.user_id)
    assert summary(bob, room)["membership"] == "invite"
    bob.join(room)
    assert summary(bob, room)["membership"] == "join"
    alice.ban(room, bob.user_id)
    assert summary(bob, room)["membership"] == "ban"


def test_a_restricted_room_names_its_rooms_to_their_members(alice, bob, anyone):
    space = alice.create_room(preset="public_chat", creation_content={"type": "m.space"})
    room = alice.create_room(preset="public_chat", room_version="8", initial_state=[{"type": "m.room.join_rules", "state_key": "", "content": {
        "join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": space}, {"type": "x"}, 1]}}])
    got = summary(alice, room)
    assert got["join_rule"] == "restricted" and got["allowed_room_ids"] == [space]
    for nobody in (bob, anyone):
        assert refusal(summary, nobody, room).status == 404
    bob.join(space)
    assert summary(bob, room)["allowed_room_ids"] == [space]


# C02 a room that is closed looks like one that is not there, with and without a token
# C03 a summary is given of rooms that one could join, knock at, read, or is invited to, and of no others
@pytest.mark.parametrize("form", FORMS)
def test_a_closed_room_looks_like_none(alice, bob, anyone, form):
    closed = alice.create_room(name="secret")
    nowhere = "!nowhere:" + alice.user_id.split(":", 1)[1]
    for who in (bob, anyone):
        r, s = refusal(summary, who, closed, form), refusal(summary, who, nowhere, form)
        assert (r.status, r.errcode) == (404, "M_NOT_FOUND")
        assert (s.status, s.response.text) == (r.status, r.response.text)
    alice.set_state(closed, "m.room.history_visibility", {"history_visibility": "world_readable"})
    assert summary(anyone, closed, form)["name"] == "secret"


def test_a_room_that_all_have_left_is_gone(alice, anyone):
    room = alice.create_room(preset="public_chat")
    assert summary(anyone, room)["num_joined_members"] == 1
    alice.leave(room)
    assert refusal(summary, anyone, room).status == 404


def test_what_is_no_room_is_refused(alice):
    assert (refusal(summary, alice, "nonsense").status, refusal(summary, alice, "#no:such.test").status) == (400, 502)
    r = refusal(summary, alice, "#nosuch:" + alice.user_id.split(":", 1)[1])
    assert (r.status, r.errcode) == (404, "M_NOT_FOUND")


# -- mutual rooms ---------------------------------------------------------------------------------------------------------

OLD = "/_matrix/client/unstable/uk.half-shot.msc2666/user/mutual_rooms"


def mutual(client, path="/_matrix/client/v1/mutual_rooms", **query):
    return client.get(path, query)


@pytest.mark.parametrize("path", ["/_matrix/client/v1/mutual_rooms", "/_matrix/client/unstable/mutual_rooms", OLD])
def test_rooms_of_both_are_told(alice, bob, room, path):
    alice.create_room(preset="public_chat")
    other = bob.create_room(preset="public_chat")
    assert mutual(alice, path, user_id=bob.user_id) == {"joined": [room], "count": 1}
    alice.join(other)
    assert mutual(alice, path, user_id=bob.user_id) == {"joined": sorted([room, other]), "count": 2}
    bob.leave(room)
    assert mutual(alice, path, user_id=bob.user_id)["joined"] == [other]


def test_many_rooms_come_in_pages(alice, bob):
    rooms = []
    for _ in range(103):
        rooms.append(alice.create_room(preset="public_chat"))
        bob.join(rooms[-1])
    first = mutual(alice, user_id=bob.user_id)
    assert first["joined"] == sorted(rooms)[:100] and first["count"] == 103
    last = mutual(alice, user_id=bob.user_id, **{"from": first["next_batch"]})
    assert last == {"joined": sorted(rooms)[100:], "count": 103}


def test_with_strangers_there_are_none(alice):
    assert mutual(alice, user_id="@nobody:elsewhere.test") == {"joined": [], "count": 0}


@pytest.mark.parametrize("query, errcode", [
    ("", "M_MISSING_PARAM"), ("user_id=nonsense", "M_INVALID_PARAM"), ("user_id=@:x.test", "M_INVALID_PARAM"), ("user_id=@a:b&user_id=@a:c", "M_INVALID_PARAM"),
    ("user_id=@a:b&from=A!", "M_INVALID_PARAM"), ("user_id=ME", "M_INVALID_PARAM"),
])
def test_bad_questions_about_mutual_rooms_are_refused(alice, query, errcode):
    r = refusal(alice.get, "/_matrix/client/v1/mutual_rooms?" + query.replace("ME", quote(alice.user_id)))
    assert (r.status, r.errcode) == (400, errcode)
