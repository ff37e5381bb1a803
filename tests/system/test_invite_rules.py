"""Whose invites somebody wants: lists in account data (MSC4155), beside one rule for everybody (MSC4380)."""

import itertools

import pytest

from mx import Client, refusal
from server import SECRET, Server

_names = itertools.count(1)
RULES = "org.matrix.msc4155.invite_permission_config"


@pytest.fixture(scope="module")
def filtering():
    s = Server(config={"experimental_features": {"msc4155_enabled": True}})
    s.start()
    yield s
    s.close()


@pytest.fixture
def inviter(filtering):
    return Client(filtering.base).register(f"inviter{next(_names)}")


@pytest.fixture
def invited(filtering):
    return Client(filtering.base).register(f"invited{next(_names)}")


def wants(user, type=RULES, **rules):
    user.put(f"/user/{user.user_id}/account_data/{type}", rules)


def is_blocked(inviter, invited):
    room = inviter.create_room()
    r = refusal(inviter.invite, room, invited.user_id)
    assert (r.status, r.errcode, r.body["error"]) == (403, "M_INVITE_BLOCKED", "You are not permitted to invite this user.")
    assert refusal(inviter.create_room, invite=[invited.user_id]).errcode == "M_INVITE_BLOCKED"
    assert refusal(inviter.set_state, room, "m.room.member", {"membership": "invite"}, invited.user_id).errcode == "M_INVITE_BLOCKED"
    assert room not in invited.sync().get("rooms", {}).get("invite", {})


def is_told(inviter, invited):
    before = invited.sync()["next_batch"]
    room = inviter.create_room(invite=[invited.user_id])
    assert room in invited.sync(before)["rooms"]["invite"] and room in invited.sync()["rooms"]["invite"]
    assert [n["room_id"] for n in invited.get("/notifications", {"limit": 1})["notifications"]] == [room]


def is_ignored(inviter, invited):
    before = invited.sync()["next_batch"]
    room = inviter.create_room(invite=[invited.user_id])
    assert inviter.state(room, "m.room.member", invited.user_id)["membership"] == "invite"
    assert "rooms" not in invited.sync(before) and "invite" not in invited.sync().get("rooms", {})
    assert invited.get("/notifications")["notifications"] == []
    return room


@pytest.mark.parametrize("pattern", ["{user}", "@inviter*", "*", "@INVITER*:*"])
def test_users_are_blocked_by_id_and_glob(inviter, invited, pattern):
    wants(invited, blocked_users=[pattern.format(user=inviter.user_id)])
    is_blocked(inviter, invited)


def test_servers_are_blocked_and_users_of_them_allowed(inviter, invited, filtering):
    server = inviter.user_id.split(":", 1)[1]
    wants(invited, blocked_servers=[server])
    is_blocked(inviter, invited)
    wants(invited, blocked_servers=["*"], allowed_users=[inviter.user_id])
    is_told(inviter, invited)
    is_blocked(Client(filtering.base).register(f"inviter{next(_names)}"), invited)


def test_invites_of_the_ignored_are_made_and_not_told(inviter, invited):
    wants(invited, ignored_users=[inviter.user_id])
    room = is_ignored(inviter, invited)
    invited.join(room)  # one who knows of it may come
    assert room in invited.sync()["rooms"]["join"]


def test_what_was_ignored_is_seen_when_the_rule_is_gone(inviter, invited):
    wants(invited, ignored_servers=["*"])
    room = is_ignored(inviter, invited)
    wants(invited)
    assert room in invited.sync()["rooms"]["invite"]


def test_allowing_comes_before_ignoring_and_that_before_blocking(inviter, invited):
    wants(invited, blocked_users=["*"], ignored_users=["@inviter*"])
    is_ignored(inviter, invited)
    wants(invited, blocked_users=["*"], ignored_users=["*"], allowed_users=["@inviter*"])
    is_told(inviter, invited)


def test_one_rule_for_everybody_comes_before_the_lists(inviter, invited):
    wants(invited, allowed_users=["*"])
    wants(invited, "m.invite_permission_config", default_action="block")
    is_blocked(inviter, invited)
    wants(invited, blocked_users=["*"])
    wants(invited, "m.invite_permission_config", default_action="allow")
    is_told(inviter, invited)


def test_administrators_invite_whom_they_like(invited, filtering):
    boss = Client(filtering.base).register_with_secret(SECRET, f"boss{next(_names)}", admin=True)
    wants(invited, blocked_users=["*"])
    assert boss.create_room(invite=[invited.user_id]) in invited.sync()["rooms"]["invite"]


# X08 nonsense in account data
@pytest.mark.parametrize("rules", [{"blocked_users": "*"}, {"blocked_users": [1, None, {}, ""]}, {"blocked_users": {"*": {}}}, {"blocked_users": ["*" * 300]}])
def test_what_is_no_list_of_globs_is_no_rule(inviter, invited, rules):
    wants(invited, **rules)
    is_told(inviter, invited)


def test_without_the_switch_lists_are_nothing(alice, bob):
    wants(bob, blocked_users=["*"])
    is_told(alice, bob)
