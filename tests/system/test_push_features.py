"""Push rules of proposals, each with its switch in experimental_features."""

import itertools

import pytest

from mx import Client, quote
from server import Server

_names = itertools.count(1)
POLL = "org.matrix.msc3381.poll"
SWITCHES = ("msc3381_polls_enabled", "msc4028_push_encrypted_events", "msc4075_enabled", "msc4210_enabled", "msc4306_enabled")


@pytest.fixture(scope="module")
def proposing():
    s = Server(config={"experimental_features": {name: True for name in SWITCHES}})
    s.start()
    yield s
    s.close()


@pytest.fixture
def carol(proposing):
    return Client(proposing.base).register(f"carol{next(_names)}")


@pytest.fixture
def dave(proposing):
    return Client(proposing.base).register(f"dave{next(_names)}")


@pytest.fixture
def both(carol, dave):
    room = carol.create_room(preset="public_chat")
    dave.join(room)
    return room


def ids(user, kind):
    return [r["rule_id"] for r in user.get(f"/pushrules/global/{kind}/")]


def counts(user, room, **query):
    part = user.sync(**query)["rooms"]["join"][room]
    return tuple(part["unread_notifications"].values())


def in_thread(user, room, root, body="reply", **extra):
    return user.text(room, body, **{"m.relates_to": {"rel_type": "m.thread", "event_id": root}}, **extra)


def follow(user, room, root):
    user.put(f"/_matrix/client/unstable/io.element.msc4306/rooms/{quote(room)}/thread/{quote(root)}/subscription", {})


def test_the_rules_stand_where_synapse_has_them(carol, alice):
    override = ids(carol, "override")
    assert override[:2] == [".m.rule.master", ".org.matrix.msc4028.encrypted_event"]
    assert override[-1] == ".org.matrix.msc3930.rule.poll_response"
    at = override.index(".m.rule.member_event")
    assert override[at + 1 : at + 4] == [".org.matrix.msc4075.rule.rtc.invite_for_me", ".org.matrix.msc4075.rule.rtc.invite_for_room", ".m.rule.is_user_mention"]
    assert ids(carol, "underride")[-4:] == [f".org.matrix.msc3930.rule.{p}" for p in ("poll_start_one_to_one", "poll_start", "poll_end_one_to_one", "poll_end")]
    assert ids(carol, "postcontent") == [f".io.element.msc4306.rule.{p}" for p in ("unsubscribed_thread", "subscribed_thread")]
    assert not {".m.rule.contains_display_name", ".m.rule.roomnotif"} & set(override) and ids(carol, "content") == []
    assert not [r for kind in ("override", "underride", "postcontent") for r in ids(alice, kind) if "msc" in r]
    rules = next(e for e in carol.sync()["account_data"]["events"] if e["type"] == "m.push_rules")["content"]["global"]
    assert [r["rule_id"] for r in rules["override"]] == override


def test_polls_notify_and_answers_do_not(carol, dave, both):
    carol.send(both, f"{POLL}.start", {"body": "?"})
    carol.send(both, f"{POLL}.response", {"body": dave.user_id})
    carol.send(both, f"{POLL}.end", {"body": "!"})
    assert counts(dave, both) == (2, 0)
    shown = dave.get("/notifications")["notifications"]
    assert [n["event"]["type"] for n in shown] == [f"{POLL}.end", f"{POLL}.start"]
    assert shown[0]["actions"] == ["notify", {"set_tweak": "sound", "value": "default"}]


def test_a_rule_of_a_proposal_is_changed_like_any_other(carol, dave, both):
    dave.put("/pushrules/global/underride/.org.matrix.msc3930.rule.poll_start_one_to_one/actions", {"actions": ["notify", {"set_tweak": "highlight"}]})
    dave.put("/pushrules/global/underride/.org.matrix.msc3930.rule.poll_end_one_to_one/enabled", {"enabled": False})
    dave.put("/pushrules/global/underride/.org.matrix.msc3930.rule.poll_end/enabled", {"enabled": False})
    dave.sync()
    carol.send(both, f"{POLL}.start", {"body": "?"})
    carol.send(both, f"{POLL}.end", {"body": "!"})
    assert counts(dave, both) == (1, 1)


def test_names_in_a_text_are_nothing(carol, dave, both):
    carol.text(both, f"{dave.user_id} {dave.user_id[1:].split(':')[0]} @room")
    assert counts(dave, both) == (1, 0)
    carol.text(both, "you", **{"m.mentions": {"user_ids": [dave.user_id]}})
    assert counts(dave, both) == (2, 1)


def test_only_followed_threads_notify(carol, dave, both):
    root, other = carol.text(both, "root"), carol.text(both, "other")
    follow(dave, both, root)
    in_thread(carol, both, root)
    in_thread(carol, both, other)
    assert counts(dave, both) == (3, 0)
    assert [n["event"]["content"]["body"] for n in dave.get("/notifications")["notifications"]] == ["reply", "other", "root"]
    filter = '{"room":{"timeline":{"unread_thread_notifications":true}}}'
    part = dave.sync(filter=filter)["rooms"]["join"][both]
    assert part["unread_thread_notifications"] == {root: {"notification_count": 1, "highlight_count": 0}}
    in_thread(carol, both, other, **{"m.mentions": {"user_ids": [dave.user_id]}})  # who is meant is told
    part = dave.sync(filter=filter)["rooms"]["join"][both]
    assert part["unread_thread_notifications"][other] == {"notification_count": 1, "highlight_count": 1}


def test_who_has_left_a_room_is_not_told_of_its_threads(carol, dave, both):
    root = carol.text(both, "root")
    follow(dave, both, root)
    dave.leave(both)
    in_thread(carol, both, root)
    dave.join(both)
    assert counts(dave, both) == (0, 0)
    in_thread(carol, both, root)
    assert counts(dave, both) == (1, 0)


def test_without_the_switches_polls_are_nothing_and_threads_notify(alice, bob, room):
    alice.send(room, f"{POLL}.start", {"body": "?"})
    in_thread(alice, room, alice.text(room, "root"))
    assert counts(bob, room) == (2, 0)
