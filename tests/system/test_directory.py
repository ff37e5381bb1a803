"""Aliases and the list of public rooms."""

import itertools
import secrets

import pytest

from mx import Client, quote, refusal
from server import Server

_n = itertools.count(1)
_run = secrets.token_hex(3)


def word():
    return f"w{next(_n)}{_run}"


def path_of(alias):
    return f"/directory/room/{quote(alias)}"


def search(client, term, **body):
    body.setdefault("filter", {})["generic_search_term"] = term
    return client.post("/publicRooms", body)


def ids(page):
    return [r["room_id"] for r in page["chunk"]]


# -- aliases -----------------------------------------------------------------------------------------------------------


# C08 an alias is not moved or taken away by others
def test_only_who_made_it_or_has_the_power_takes_an_alias_away(alice, bob, new_user, server):
    carol = new_user("carol")
    room = alice.create_room(preset="public_chat")
    for who in (bob, carol):
        who.join(room)
    mine = bob.create_room(preset="public_chat")
    alias, of_bob = f"#{word()}:{server.name}", f"#{word()}:{server.name}"
    alice.put(path_of(alias), {"room_id": room})
    bob.put(path_of(of_bob), {"room_id": room})  # any member may name a room
    r = refusal(bob.put, path_of(alias), {"room_id": mine})
    assert (r.status, r.errcode) == (409, "M_UNKNOWN")
    for who, what in ((bob, alias), (carol, alias), (carol, of_bob)):
        r = refusal(who.delete, path_of(what))
        assert (r.status, r.errcode, r.body["error"]) == (403, "M_FORBIDDEN", "You don't have permission to delete the alias.")
    assert alice.get(path_of(alias))["room_id"] == room
    bob.delete(path_of(of_bob))
    bob.put(path_of(of_bob), {"room_id": room})
    alice.delete(path_of(of_bob))  # the power to set the canonical alias
    assert refusal(alice.delete, path_of(of_bob)).errcode == "M_NOT_FOUND"
    # whoever has no say in the room has none in its names
    r = refusal(alice.put, path_of(f"#{word()}:{server.name}"), {"room_id": mine})
    assert (r.status, r.body["error"]) == (403, "You must be in the room to create an alias for it")


def test_an_alias_that_goes_leaves_the_canonical_alias(alice, bob, server):
    room = alice.create_room(preset="public_chat")
    a, b = (f"#{word()}:{server.name}" for _ in range(2))
    for x in (a, b):
        alice.put(path_of(x), {"room_id": room})
    alice.set_state(room, "m.room.canonical_alias", {"alias": a, "alt_aliases": [b]})
    alice.delete(path_of(a))
    assert alice.state(room, "m.room.canonical_alias") == {"alt_aliases": [b]}
    alice.delete(path_of(b))
    assert alice.state(room, "m.room.canonical_alias") == {}


def test_bad_aliases_are_refused(alice, room, server):
    for name, status in (("#with space:" + server.name, 400), ("#elsewhere:else.example", 400), ("no sigil", 400), ("#" + "x" * 260 + ":" + server.name, 400),
                         ("!a:" + server.name, 400), ("#nul\0:" + server.name, 400)):
        assert refusal(alice.put, path_of(name), {"room_id": room}).status == status, name
    good = path_of(f"#{word()}:{server.name}")
    assert refusal(alice.put, good, {"room_id": "!none:" + server.name}).status == 400
    for body in ({}, {"room_id": 5}):
        assert refusal(alice.put, good, body).status == 400
    assert refusal(alice.get, path_of("#a:else.example")).status == 502


def test_a_canonical_alias_is_checked(alice, room, server):
    other = alice.create_room()
    here, there = (f"#{word()}:{server.name}" for _ in range(2))
    alice.put(path_of(here), {"room_id": room})
    alice.put(path_of(there), {"room_id": other})
    for content, errcode in (
        ({"alias": there}, "M_BAD_ALIAS"), ({"alt_aliases": [here, there]}, "M_BAD_ALIAS"), ({"alias": f"#{word()}:{server.name}"}, "M_BAD_ALIAS"),
        ({"alias": "nonsense"}, "M_INVALID_PARAM"), ({"alias": 5}, "M_INVALID_PARAM"), ({"alt_aliases": "x"}, "M_INVALID_PARAM"),
        ({"alt_aliases": [5]}, "M_INVALID_PARAM"),
    ):
        r = refusal(alice.set_state, room, "m.room.canonical_alias", content)
        assert (r.status, r.errcode) == (400, errcode), content
    alice.set_state(room, "m.room.canonical_alias", {"alias": here, "alt_aliases": [here]})
    alice.delete(path_of(here))
    # what a room is made with, too
    for content in ({"alias": there}, {"alt_aliases": [there]}):
        r = refusal(alice.create_room, initial_state=[{"type": "m.room.canonical_alias", "content": content}])
        assert (r.status, r.errcode) == (400, "M_BAD_ALIAS")
    local = word()
    own = f"#{local}:{server.name}"
    made = alice.create_room(room_alias_name=local, initial_state=[{"type": "m.room.canonical_alias", "content": {"alt_aliases": [own]}}])
    assert alice.state(made, "m.room.canonical_alias") == {"alt_aliases": [own]}


# C17 a room has so many aliases and no more
def test_a_room_has_a_thousand_aliases(alice, room, server):
    base = word()
    for i in range(1000):
        alice.put(path_of(f"#{base}-{i}:{server.name}"), {"room_id": room})
    r = refusal(alice.put, path_of(f"#{base}-more:{server.name}"), {"room_id": room})
    assert (r.status, r.body["error"]) == (400, "A room has no more than 1000 aliases")
    assert len(alice.get(f"/rooms/{quote(room)}/aliases")["aliases"]) == 1000


def test_who_sees_the_aliases_of_a_room(alice, bob, new_user, room, server):
    alias = f"#{word()}:{server.name}"
    alice.put(path_of(alias), {"room_id": room})
    carol = new_user("carol")
    at = f"/rooms/{quote(room)}/aliases"
    assert bob.get(at) == {"aliases": [alias]}
    assert refusal(carol.get, at).status == 403
    alice.set_state(room, "m.room.history_visibility", {"history_visibility": "world_readable"})
    assert carol.get(at) == {"aliases": [alias]}


# -- the list ----------------------------------------------------------------------------------------------------------


def test_name_topic_and_alias_are_searched(alice, server):
    a, b, c = word(), word(), word()
    room = alice.create_room(visibility="public", name=f"The {a.upper()} room", topic=f"All about {b}", room_alias_name=f"{c}-x")
    for term in (a, a.upper(), b, c, f"about {b}"):
        found = search(alice, term)["chunk"]
        assert [r["room_id"] for r in found] == [room], term
    assert found[0] == {"room_id": room, "name": f"The {a.upper()} room", "topic": f"All about {b}", "canonical_alias": f"#{c}-x:{server.name}",
                        "num_joined_members": 1, "world_readable": False, "guest_can_join": False, "join_rule": "public"}
    for term in (f"{a}%", f"{a[:-1]}_", f"\\{a}", f"{a} {b}"):
        assert not search(alice, term)["chunk"], term


@pytest.mark.parametrize("rule, world, listed", [("public", False, True), ("knock", False, True), ("knock_restricted", False, True),
                                                 ("invite", False, False), ("restricted", False, False), ("invite", True, True)])
def test_which_published_rooms_are_listed(alice, rule, world, listed):
    name = word()
    state = [{"type": "m.room.join_rules", "content": {"join_rule": rule}}]
    if world:
        state.append({"type": "m.room.history_visibility", "content": {"history_visibility": "world_readable"}})
    room = alice.create_room(visibility="public", name=name, initial_state=state)
    found = search(alice, name)["chunk"]
    assert [r["room_id"] for r in found] == ([room] if listed else [])
    if found:
        assert (found[0]["join_rule"], found[0]["world_readable"]) == (rule, world)
    alice.leave(room)
    assert not search(alice, name)["chunk"]  # nobody is in it


def test_kinds_of_rooms_are_told_apart(alice):
    name = word()
    plain = alice.create_room(visibility="public", name=f"{name} plain")
    space = alice.create_room(visibility="public", name=f"{name} space", creation_content={"type": "m.space"})
    other = alice.create_room(visibility="public", name=f"{name} other", creation_content={"type": "org.example.kind"})

    def kinds(*types):
        return set(ids(alice.post("/publicRooms", {"filter": {"generic_search_term": name, "room_types": list(types)}})))

    assert kinds(None) == {plain} and kinds("m.space") == {space} and kinds("m.space", None) == {plain, space}
    assert kinds("org.example.kind", "none") == {other} and kinds("none") == set() and kinds() == {plain, space, other}
    total = alice.post("/publicRooms", {"limit": 1})["total_room_count_estimate"]
    spaces = alice.post("/publicRooms", {"limit": 1, "filter": {"room_types": ["m.space"]}})["total_room_count_estimate"]
    assert 1 <= spaces < total


def test_pages_lead_forwards_and_back(alice, new_user):
    name = word()
    rooms = [alice.create_room(visibility="public", name=f"{name} {i}") for i in range(7)]
    for i, who in enumerate([new_user("guest") for _ in range(3)]):
        for room in rooms[: i + 1]:
            who.join(room)
    whole = ids(search(alice, name))
    assert whole[:3] == [rooms[0], rooms[1], rooms[2]] and set(whole) == set(rooms)  # the largest first

    def walk(key, since=None, limit=3):
        pages = []
        while True:
            page = search(alice, name, limit=limit, **({"since": since} if since else {}))
            pages.append(page)
            since = page.get(key)
            if not since or len(pages) > 9:
                return pages

    forward = walk("next_batch")
    assert [len(p["chunk"]) for p in forward] == [3, 3, 1] and sum(map(ids, forward), []) == whole
    assert "prev_batch" not in forward[0] and all("prev_batch" in p for p in forward[1:])
    back = walk("prev_batch", forward[-1]["prev_batch"])
    assert sum(map(ids, reversed(back)), []) == whole[:6] and all("next_batch" in p for p in back)
    assert ids(search(alice, name, limit=3, since=back[0]["next_batch"])) == ids(forward[2])
    for wrong in ("x", "n1", "n1_", "q1_2", "n1_x"):
        assert refusal(search, alice, name, since=wrong).status == 400
    # the same by GET, without a search
    page = alice.get("/publicRooms", {"limit": 2})
    assert len(page["chunk"]) == 2 and not set(ids(page)) & set(ids(alice.get("/publicRooms", {"limit": 2, "since": page["next_batch"]})))
    assert refusal(alice.get, "/publicRooms", {"limit": -1}).status == 400
    assert len(alice.get("/publicRooms", {"limit": 0})["chunk"]) > 2


# X08 a page has a hundred rooms at most
def test_a_page_is_bounded(alice):
    for _ in range(101):
        alice.create_room(visibility="public")
    assert len(alice.get("/publicRooms", {"limit": 100000})["chunk"]) == 100
    assert len(alice.post("/publicRooms", {"limit": 100000})["chunk"]) == 100


def test_networks_and_other_servers(alice, anyone, server):
    name = word()
    room = alice.create_room(visibility="public", name=name)
    assert ids(search(alice, name, include_all_networks=True)) == [room]
    assert search(alice, name, third_party_instance_id="irc|libera") == {"chunk": [], "total_room_count_estimate": 0}
    assert refusal(search, alice, name, third_party_instance_id="nonsense").status == 400
    assert refusal(search, alice, name, third_party_instance_id="irc|libera", include_all_networks=True).status == 400
    assert ids(alice.post(f"/publicRooms?server={server.name}", {"filter": {"generic_search_term": name}})) == [room]
    assert refusal(alice.get, "/publicRooms", {"server": "else.example"}).status == 502
    r = refusal(alice.get, "/publicRooms", {"server": "not a name"})
    assert (r.status, r.errcode) == (400, "M_INVALID_PARAM")
    assert refusal(anyone.get, "/publicRooms").errcode == "M_MISSING_TOKEN"
    assert refusal(anyone.post, "/publicRooms").errcode == "M_MISSING_TOKEN"


def test_who_publishes_a_room(alice, bob, room):
    at = f"/directory/list/room/{quote(room)}"
    for visibility in ("public", "private"):
        r = refusal(bob.put, at, {"visibility": visibility})
        assert (r.status, r.errcode) == (403, "M_FORBIDDEN")
    assert bob.get(at) == {"visibility": "private"}
    alice.put(at)  # public, if nothing is said
    assert bob.get(at) == {"visibility": "public"}
    alice.put(at, {"visibility": "private"})
    for body in ({"visibility": "secret"}, {"visibility": 3}):
        assert refusal(alice.put, at, body).errcode == "M_BAD_JSON"
    assert refusal(alice.put, "/directory/list/room/!none:test", {"visibility": "public"}).status == 403  # as for one that is closed to her
    assert refusal(alice.get, "/directory/list/room/!none:test").errcode == "M_NOT_FOUND"
    power = alice.state(room, "m.room.power_levels")
    alice.set_state(room, "m.room.power_levels", {**power, "users": {**power["users"], bob.user_id: 50}})
    bob.put(at, {"visibility": "public"})
    bob.leave(room)
    assert refusal(bob.put, at, {"visibility": "private"}).status == 403


# -- options -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def other():
    s = Server(config={"enable_room_list_search": False, "allow_public_rooms_without_auth": True})
    s.start()
    yield s
    s.close()


def test_a_server_may_have_no_list(other):
    ann = Client(other.base).register("ann")
    room = ann.create_room(preset="public_chat")
    r = refusal(ann.put, f"/directory/list/room/{quote(room)}", {"visibility": "public"})
    assert (r.status, r.errcode) == (403, "M_FORBIDDEN")
    nobody = Client(other.base)
    assert nobody.get("/publicRooms") == {"chunk": [], "total_room_count_estimate": 0}
    assert ann.post("/publicRooms", {}) == {"chunk": [], "total_room_count_estimate": 0}
    assert refusal(nobody.get, "/publicRooms", {"server": "else.example"}).errcode == "M_MISSING_TOKEN"
    assert refusal(nobody.post, "/publicRooms").errcode == "M_MISSING_TOKEN"
