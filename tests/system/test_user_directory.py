"""Searching for users."""

import secrets

import pytest

from mx import Client, refusal
from server import Server


def found(user, term, **extra):
    return [r["user_id"] for r in user.post("/user_directory/search", {"search_term": term, **extra})["results"]]


def named(new_user, name, localpart="u"):
    user = new_user(localpart)
    user.put(f"/profile/{user.user_id}/displayname", {"displayname": name})
    return user


@pytest.fixture
def word():
    return "w" + secrets.token_hex(4)


def test_who_is_in_a_public_room_is_found_by_anybody(new_user, alice, word):
    bob = named(new_user, f"Bob {word.upper()}")
    assert found(alice, word) == []
    room = bob.create_room(preset="public_chat")
    answer = alice.post("/user_directory/search", {"search_term": word})
    assert answer == {"limited": False, "results": [{"user_id": bob.user_id, "display_name": f"Bob {word.upper()}"}]}
    bob.leave(room)
    assert found(alice, word) == []


def test_a_room_that_all_may_read_counts_as_public(new_user, alice, word):
    bob = named(new_user, word)
    room = bob.create_room(initial_state=[{"type": "m.room.history_visibility", "content": {"history_visibility": "world_readable"}}])
    assert found(alice, word) == [bob.user_id]
    bob.set_state(room, "m.room.history_visibility", {"history_visibility": "shared"})
    assert found(alice, word) == []


def test_who_shares_a_private_room_is_found_by_its_members_only(new_user, alice, bob, word):
    carol = named(new_user, word)
    room = carol.create_room(invite=[alice.user_id])
    assert found(alice, word) == []
    alice.join(room)
    assert found(alice, word) == [carol.user_id]
    assert found(bob, word) == []
    alice.leave(room)
    assert found(alice, word) == []


def test_words_are_beginnings_in_any_case_and_all_must_be_there(new_user, alice, word):
    bob = named(new_user, f"Jürgen {word} O'Größe")
    bob.create_room(preset="public_chat")
    for term in (f"JÜRG {word}", f"{word} größe", f"  {word[:6]} o'gröSSE".replace("SS", "ß"), bob.user_id, bob.user_id.split(":")[0], f"{word} ! ? -", f"\\{word}\\ '"):
        assert bob.user_id in found(alice, term), term
    for term in (f"{word} nobody", "!", "", "  ", "':* | 'x", f"({word} & x"):
        assert bob.user_id not in found(alice, term), term


def test_the_exact_name_comes_first_and_pages_end(new_user, alice, word):
    users = [named(new_user, f"{word}{suffix}") for suffix in ("er", "", "est")]
    for user in users:
        user.create_room(preset="public_chat")
    assert found(alice, word)[0] == users[1].user_id
    answer = alice.post("/user_directory/search", {"search_term": word, "limit": 2})
    assert answer["limited"] and len(answer["results"]) == 2
    assert alice.post("/user_directory/search", {"search_term": word, "limit": 0}) == {"limited": True, "results": []}
    assert len(found(alice, word, limit=1000)) == 3


# C11
def test_a_name_of_one_room_is_not_told(new_user, alice, word):
    bob = named(new_user, "plain")
    room = bob.create_room(preset="public_chat")
    bob.set_state(room, "m.room.member", {"membership": "join", "displayname": word}, bob.user_id)
    assert found(alice, word) == []


def test_who_has_left_the_server_is_not_found(new_user, alice, word):
    bob = named(new_user, word)
    alice.join(bob.create_room(preset="public_chat"))
    auth = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": bob.user_id}, "password": "a good password 1"}
    bob.post("/account/deactivate", {"auth": auth})
    assert found(alice, word) == []


def test_a_new_name_replaces_the_old_one(new_user, alice, word):
    bob = named(new_user, word)
    bob.create_room(preset="public_chat")
    bob.put(f"/profile/{bob.user_id}/displayname", {"displayname": f"x{word}"})
    assert found(alice, word) == []
    assert found(alice, f"x{word}") == [bob.user_id]


def test_bad_searches_are_refused(alice, anyone):
    assert refusal(anyone.post, "/user_directory/search", {"search_term": "x"}).errcode == "M_MISSING_TOKEN"
    for body in ({}, {"search_term": 5}, {"search_term": "x" * 2000}, {"search_term": "a\0b"}, {"search_term": "x", "limit": "y"}):
        assert refusal(alice.post, "/user_directory/search", body).status == 400


def test_the_options_of_the_directory_are_obeyed(word):
    def asked(**options):
        s = Server(config={"user_directory": options}).start()
        try:
            a, b = (Client(s.base).register(name) for name in ("aa", "bb"))
            b.put(f"/profile/{b.user_id}/displayname", {"displayname": word})
            return found(a, word), found(b, word)
        finally:
            s.close()

    assert asked(search_all_users=True) == (["@bb:test"], [])
    assert asked(enabled=False, search_all_users=True) == ([], [])
