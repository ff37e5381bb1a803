"""GET /rooms/{roomId}/hierarchy: the tree of rooms below a space."""

import pytest

from mx import quote, refusal


def make(client, name=None, space=False, **options):
    if space:
        options["creation_content"] = {"type": "m.space"}
    return client.create_room(preset=options.pop("preset", "public_chat"), **({"name": name} if name else {}), **options)


def child(client, space, room, via=("x",), **more):
    client.set_state(space, "m.space.child", {"via": list(via), **more}, room)


def tree(client, space, **query):
    return client.get(f"/_matrix/client/v1/rooms/{quote(space)}/hierarchy", query)


def rooms(client, space, **query):
    return [r["room_id"] for r in tree(client, space, **query)["rooms"]]


def rules(rule, **more):
    return {"initial_state": [{"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": rule, **more}}]}


@pytest.fixture
def family(alice):
    """root → (a, sub → (b, c), d), in this order."""
    root, sub = make(alice, "Root", True), make(alice, "Sub", True, topic="what is below")
    a, b, c, d = (make(alice, n) for n in "abcd")
    child(alice, root, a, order="1", suggested=True)
    child(alice, root, sub, order="2")
    child(alice, root, d, order="3", suggested=True)
    child(alice, sub, b, order="1")
    child(alice, sub, c, order="2")
    return {"root": root, "sub": sub, "a": a, "b": b, "c": c, "d": d}


def test_the_tree_is_walked_depth_first(alice, family):
    f = family
    answer = tree(alice, f["root"])
    assert [r["room_id"] for r in answer["rooms"]] == [f["root"], f["a"], f["sub"], f["b"], f["c"], f["d"]]
    assert "next_batch" not in answer
    by_id = {r["room_id"]: r for r in answer["rooms"]}
    sub = by_id[f["sub"]]
    assert (sub["name"], sub["topic"], sub["room_type"], sub["join_rule"]) == ("Sub", "what is below", "m.space", "public")
    assert (sub["num_joined_members"], sub["world_readable"], sub["guest_can_join"]) == (1, False, False)
    assert by_id[f["a"]]["children_state"] == []
    links = by_id[f["root"]]["children_state"]
    assert [e["state_key"] for e in links] == [f["a"], f["sub"], f["d"]]
    assert set(links[0]) == {"type", "state_key", "content", "sender", "origin_server_ts"}
    assert links[0]["content"] == {"via": ["x"], "order": "1", "suggested": True}


def test_depth_and_suggestions_bound_the_walk(alice, family):
    f = family
    assert rooms(alice, f["root"], max_depth=0) == [f["root"]]
    assert rooms(alice, f["root"], max_depth=1) == [f["root"], f["a"], f["sub"], f["d"]]
    assert rooms(alice, f["root"], suggested_only="true") == [f["root"], f["a"], f["d"]]


def test_pages_follow_each_other_whatever_changes_meanwhile(alice, bob, family):
    f = family
    first = tree(alice, f["root"], limit=3)
    assert [r["room_id"] for r in first["rooms"]] == [f["root"], f["a"], f["sub"]]
    alice.set_state(f["root"], "m.space.child", {}, f["d"])
    child(alice, f["root"], make(alice, "new"), order="0")
    second = tree(alice, f["root"], **{"from": first["next_batch"], "limit": 2})
    assert [r["room_id"] for r in second["rooms"]] == [f["b"], f["c"]]
    again = tree(alice, f["root"], **{"from": first["next_batch"], "limit": 2})
    assert again["rooms"] == second["rooms"]
    last = tree(alice, f["root"], **{"from": second["next_batch"]})
    assert [r["room_id"] for r in last["rooms"]] == [f["d"]] and "next_batch" not in last


def test_a_token_is_for_the_same_user_and_question_only(alice, bob, family):
    f = family
    token = tree(alice, f["root"], limit=1, max_depth=1)["next_batch"]
    for who, space, query in ((bob, f["root"], {"max_depth": 1}), (alice, f["sub"], {"max_depth": 1}), (alice, f["root"], {}),
                              (alice, f["root"], {"max_depth": 1, "suggested_only": "true"}), (alice, f["root"], {"from": "xyz"})):
        r = refusal(tree, who, space, **{"from": token, **query})
        assert (r.status, r.errcode) == (400, "M_INVALID_PARAM")
    assert tree(alice, f["root"], **{"from": token, "max_depth": 1})["rooms"]


def test_what_was_closed_between_two_pages_is_not_on_the_second(alice, bob):
    root = make(alice, space=True)
    a, b = make(alice, "a"), make(alice, "b")
    child(alice, root, a, order="1")
    child(alice, root, b, order="2")
    token = tree(bob, root, limit=2)["next_batch"]
    alice.set_state(b, "m.room.join_rules", {"join_rule": "invite"})
    assert rooms(bob, root, **{"from": token}) == []


def test_children_are_ordered_by_order_then_time_then_id(alice):
    root = make(alice, space=True)
    kids = [make(alice, f"k{i}") for i in range(6)]
    child(alice, root, kids[0])
    child(alice, root, kids[1], order="b")
    child(alice, root, kids[2], order="~")
    child(alice, root, kids[3], order="a")
    child(alice, root, kids[4], order="x" * 51)  # too long: none
    child(alice, root, kids[5], order="ä")  # not printable ASCII: none
    links = tree(alice, root, max_depth=0)["rooms"][0]["children_state"]
    assert [e["state_key"] for e in links[:3]] == [kids[3], kids[1], kids[2]]
    rest = [(e["origin_server_ts"], e["state_key"]) for e in links[3:]]
    assert rest == sorted(rest) and {k for _, k in rest} == {kids[0], kids[4], kids[5]}


@pytest.mark.parametrize("content", [{}, {"via": []}, {"via": "x"}, {"via": [1]}, {"suggested": True}])
def test_links_without_servers_are_none(alice, content):
    root, a = make(alice, space=True), make(alice)
    alice.set_state(root, "m.space.child", content, a)
    answer = tree(alice, root)["rooms"]
    assert len(answer) == 1 and answer[0]["children_state"] == []


def test_circles_and_strangers_end_nothing(alice):
    a, b = make(alice, space=True), make(alice, space=True)
    child(alice, a, b)
    child(alice, b, a)
    child(alice, b, "!nowhere:elsewhere.test")
    child(alice, b, b)
    child(alice, b, "not a room id")
    assert rooms(alice, a) == [a, b]


# C03 the tree shows of rooms that one is not in only those that one could join, knock at, read, or is invited to
def test_only_rooms_that_one_may_know_of_are_in_the_tree(alice, bob, server):
    root = make(alice, space=True)
    club = make(alice, preset="private_chat")
    alice.invite(club, bob.user_id)
    allow = [{"type": "m.room_membership", "room_id": club}]
    kinds = {
        "public": make(alice),
        "private": make(alice, "secret", preset="private_chat"),
        "knock": make(alice, preset="private_chat", room_version="10", **rules("knock")),
        "old knock": make(alice, preset="private_chat", room_version="6", **rules("knock")),
        "restricted": make(alice, preset="private_chat", room_version="10", **rules("restricted", allow=allow)),
        "both": make(alice, preset="private_chat", room_version="10", **rules("knock_restricted", allow=allow)),
        "readable": make(alice, preset="private_chat", initial_state=[
            {"type": "m.room.history_visibility", "state_key": "", "content": {"history_visibility": "world_readable"}}]),
        "invited": make(alice, preset="private_chat"),
        "left": make(alice, preset="private_chat"),
    }
    alice.invite(kinds["invited"], bob.user_id)
    alice.invite(kinds["left"], bob.user_id)
    bob.join(kinds["left"])
    bob.leave(kinds["left"])
    for i, room in enumerate(kinds.values()):
        child(alice, root, room, order=str(i))

    def seen():
        names = {v: k for k, v in kinds.items()}
        return {names[r] for r in rooms(bob, root) if r != root}

    assert seen() == {"public", "knock", "both", "readable", "invited"}
    bob.join(club)
    assert seen() == {"public", "knock", "both", "readable", "invited", "restricted"}
    shown = {r["room_id"]: r for r in tree(bob, root)["rooms"]}
    assert shown[kinds["restricted"]]["allowed_room_ids"] == [club]
    assert "allowed_room_ids" not in shown[kinds["public"]]
    bob.leave(kinds["invited"])
    assert "invited" not in seen()


# C02 a space that is not to be seen looks like one that is not there
def test_a_closed_space_looks_like_none(alice, bob):
    closed = make(alice, space=True, preset="private_chat")
    nowhere = "!nowhere:" + alice.user_id.split(":", 1)[1]
    r, s = refusal(tree, bob, closed), refusal(tree, bob, nowhere)
    assert (r.status, r.errcode) == (403, "M_FORBIDDEN")
    assert (s.status, s.response.text.replace(nowhere, closed)) == (r.status, r.response.text)


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": -1}, {"limit": "x"}, {"max_depth": -1}, {"max_depth": "x"}, {"suggested_only": "x"}])
def test_bad_questions_are_refused(alice, query):
    r = refusal(tree, alice, make(alice, space=True), **query)
    assert (r.status, r.errcode) == (400, "M_INVALID_PARAM")


# X08 a page holds 50 rooms, however many are asked for and however many there are; the tree is asked for 10 times at once, no more
def test_a_page_has_fifty_rooms_and_ten_questions_are_enough(alice, new_user):
    carol = new_user("carol")
    root = make(alice, space=True)
    kids = [make(alice) for _ in range(52)]
    for k in kids:
        child(alice, root, k)
    first = tree(carol, root, limit=1000)
    assert len(first["rooms"]) == 50
    rest = tree(carol, root, **{"from": first["next_batch"]})
    assert {r["room_id"] for r in first["rooms"] + rest["rooms"]} == {root, *kids} and "next_batch" not in rest
    answers = [carol.raw("GET", f"/_matrix/client/v1/rooms/{quote(root)}/hierarchy", None, {"limit": 1}).status_code for _ in range(60)]  # workers count each for itself
    assert 429 in answers and set(answers) <= {200, 429}
