"""Presence: who is there, and who is told."""

import pytest

from mx import Client, refusal
from server import CLUSTER, Server, wait_for


def presence_of(answer, user):
    found = [e for e in answer.get("presence", {}).get("events", []) if e["sender"] == user.user_id]
    return found[-1]["content"] if found else None


def awaited(client, user, wanted):
    """Syncs until the user's presence is as wanted."""

    def found(answer):
        content = presence_of(answer, user)
        return content and all(content.get(k) == v for k, v in wanted.items()) and content

    return client.sync_until(found)


def put(user, presence, **extra):
    user.put(f"/presence/{user.user_id}/status", {"presence": presence, **extra})


def get(user, of):
    return user.get(f"/presence/{of.user_id}/status")


def becomes(viewer, user, presence):
    """Another worker hears of it a moment later."""
    wait_for(lambda: get(viewer, user)["presence"] == presence)


def test_what_one_sets_is_seen_by_those_who_share_a_room(alice, bob, room, new_user):
    put(alice, "unavailable", status_msg="at lunch")
    becomes(bob, alice, "unavailable")
    seen = get(bob, alice)
    assert seen.pop("last_active_ago") >= 0
    assert seen == {"presence": "unavailable", "status_msg": "at lunch"}
    stranger = new_user("stranger")
    for user_id in (alice.user_id, "@nobody:test"):
        e = refusal(stranger.get, f"/presence/{user_id}/status")
        assert (e.status, e.errcode, e.body["error"]) == (403, "M_FORBIDDEN", "You are not allowed to see their presence.")


def test_a_change_is_told_in_sync_and_only_once(alice, bob, room):
    bob.next_sync()
    put(alice, "online", status_msg="here")
    awaited(bob, alice, {"status_msg": "here", "presence": "online", "currently_active": True})
    put(alice, "unavailable", status_msg="here")
    awaited(bob, alice, {"presence": "unavailable"})
    assert presence_of(bob.next_sync(), alice) is None


def test_syncing_makes_one_online_and_set_presence_is_obeyed(alice, bob, room):
    for presence in ("unavailable", "online"):
        alice.sync(set_presence=presence)
        becomes(bob, alice, presence)
    other = Client(alice.base).login(alice.user_id)
    put(other, "unavailable", status_msg="second device")
    wait_for(lambda: get(bob, alice).get("status_msg") == "second device")
    assert get(bob, alice)["presence"] == "online"
    alice.sync(set_presence="unavailable")
    becomes(bob, alice, "unavailable")
    assert refusal(alice.sync, set_presence="asleep").status == 400


def test_a_sync_with_set_presence_offline_changes_nothing(new_user, bob):
    quiet = new_user("quiet")
    quiet.join(bob.create_room(preset="public_chat"))
    quiet.sync(set_presence="offline")
    assert get(bob, quiet) == {"presence": "offline"}


def test_an_initial_sync_tells_of_those_who_are_there(alice, bob, room, new_user):
    put(alice, "online", status_msg="first")
    stranger = new_user("stranger")
    put(stranger, "online", status_msg="unseen")
    wait_for(lambda: (presence_of(bob.sync(), alice) or {}).get("status_msg") == "first")
    assert presence_of(bob.sync(), stranger) is None
    put(alice, "offline")
    wait_for(lambda: presence_of(bob.sync(), alice) is None)


def test_who_joins_sees_who_is_there_and_is_seen(alice, bob):
    put(alice, "online", status_msg="host")
    put(bob, "online", status_msg="guest")
    room = alice.create_room(preset="public_chat")
    alice.next_sync()
    bob.next_sync()
    bob.join(room)
    awaited(bob, alice, {"status_msg": "host"})
    awaited(alice, bob, {"status_msg": "guest"})


def test_who_has_left_is_told_nothing_more(alice, bob, room):
    bob.next_sync()
    bob.leave(room)
    bob.next_sync()
    put(alice, "online", status_msg="secret")
    put(bob, "online", status_msg="own")
    awaited(bob, bob, {"status_msg": "own"})
    assert presence_of(bob.sync(), alice) is None


def test_filters_are_obeyed(alice, bob, room):
    put(alice, "online", status_msg="filtered")
    wait_for(lambda: presence_of(bob.sync(), alice))
    for f in ('{"presence":{"types":[]}}', '{"presence":{"not_senders":["%s"]}}' % alice.user_id, '{"presence":{"limit":0}}'):
        assert presence_of(bob.sync(filter=f), alice) is None
    assert presence_of(bob.sync(filter='{"presence":{"senders":["%s"]}}' % alice.user_id), alice)


def test_bad_presence_is_refused(alice, bob):
    assert refusal(alice.put, f"/presence/{bob.user_id}/status", {"presence": "online"}).errcode == "M_FORBIDDEN"
    path = f"/presence/{alice.user_id}/status"
    for body in ({}, {"presence": "asleep"}, {"presence": "busy"}, {"presence": 5}, {"presence": "online", "status_msg": 5},
                 {"presence": "online", "more": 1}, {"presence": "online", "status_msg": "x" * 2049}, {"presence": "online", "status_msg": "a\0"}):
        assert refusal(alice.put, path, body).status == 400
    alice.put(path, {"presence": "online", "status_msg": "x" * 2048})


def restless(name="test", **presence):
    return Server(name, config={"presence": {"enabled": True, **presence}})


@pytest.mark.skipif(CLUSTER, reason="starts servers of its own")
def test_time_ends_presence_and_a_status_outlives_a_restart():
    s = restless(sync_online_timeout="1s", idle_timeout="1s").start()
    try:
        a, b = (Client(s.base).register(name) for name in ("aa", "bb"))
        room = a.create_room(preset="public_chat")
        b.join(room)
        put(a, "online", status_msg="kept")
        b.next_sync()
        awaited(b, a, {"presence": "offline", "status_msg": "kept"})
        s.stop()
        s.start()
        seen = get(b, a)
        assert seen["presence"] == "offline" and seen["status_msg"] == "kept" and seen["last_active_ago"] > 0
        a.sync()
        becomes(b, a, "online")
        assert get(b, a)["status_msg"] == "kept"
    finally:
        s.close()


@pytest.mark.skipif(CLUSTER, reason="starts servers of its own")
@pytest.mark.parametrize("enabled", [False, "untracked"])
def test_presence_can_be_switched_off(enabled):
    s = Server(config={"presence": {"enabled": enabled}}).start()
    try:
        a = Client(s.base).register("aa")
        put(a, "online", status_msg="unseen")
        assert get(a, a)["presence"] == "offline" and "status_msg" not in get(a, a)
        assert "presence" not in a.sync()
    finally:
        s.close()
