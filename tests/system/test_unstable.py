"""What experimental_features of homeserver.yaml switch on, and unstable room versions."""

import itertools
import json

import pytest

from mx import Client, quote, refusal
from server import Server

_names = itertools.count(1)


@pytest.fixture(scope="module")
def unstable():
    s = Server(config={"experimental_features": {"msc3391_enabled": True, "msc3890_enabled": True, "msc4306_enabled": True, "msc4222_enabled": True}})
    s.start()
    yield s
    s.close()


@pytest.fixture
def carol(unstable):
    return Client(unstable.base).register(f"carol{next(_names)}")


def delete(user, path):
    return user.delete(f"/_matrix/client/unstable/org.matrix.msc3391/user/{user.user_id}{path}")


def test_deleted_account_data_is_gone_and_told(carol):
    room = carol.create_room()
    carol.next_sync()
    for path, where in (("", lambda s: s), (f"/rooms/{room}", lambda s: s["rooms"]["join"][room])):
        carol.put(f"/user/{carol.user_id}{path}/account_data/org.example.x", {"a": 1})
        delete(carol, f"{path}/account_data/org.example.x")
        events = where(carol.next_sync())["account_data"]["events"]
        assert {"type": "org.example.x", "content": {}} in events
        assert refusal(carol.get, f"/user/{carol.user_id}{path}/account_data/org.example.x").status == 404
        assert "org.example.x" not in json.dumps(carol.sync())


def test_empty_account_data_counts_as_deleted(carol):
    carol.put(f"/user/{carol.user_id}/account_data/org.example.x", {"a": 1})
    carol.put(f"/user/{carol.user_id}/account_data/org.example.x", {})
    assert refusal(carol.get, f"/user/{carol.user_id}/account_data/org.example.x").status == 404


def test_nobody_deletes_anothers_account_data_and_the_servers_own_types_stay(carol):
    path = "/_matrix/client/unstable/org.matrix.msc3391/user/"
    assert refusal(carol.delete, path + "@other:test/account_data/org.example.x").status == 403
    assert refusal(delete, carol, "/account_data/m.push_rules").status == 405


def test_without_the_switch_there_is_no_deleting(alice):
    e = refusal(delete, alice, "/account_data/org.example.x")
    assert (e.status, e.errcode) == (404, "M_UNRECOGNIZED")
    alice.put(f"/user/{alice.user_id}/account_data/org.example.x", {})
    assert alice.get(f"/user/{alice.user_id}/account_data/org.example.x") == {}


def test_a_devices_notification_settings_go_with_it(carol, unstable):
    other = Client(unstable.base).login(carol.user_id)
    kind = "org.matrix.msc3890.local_notification_settings."
    for device in (carol.device_id, other.device_id):
        carol.put(f"/user/{carol.user_id}/account_data/{kind}{device}", {"is_silenced": True})
    auth = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": carol.user_id}, "password": "a good password 1"}
    carol.delete(f"/devices/{other.device_id}", {"auth": auth})
    assert refusal(carol.get, f"/user/{carol.user_id}/account_data/{kind}{other.device_id}").status == 404
    assert carol.get(f"/user/{carol.user_id}/account_data/{kind}{carol.device_id}") == {"is_silenced": True}
    third = Client(unstable.base).login(carol.user_id)
    carol.put(f"/user/{carol.user_id}/account_data/{kind}{third.device_id}", {"is_silenced": True})
    third.post("/logout")
    assert refusal(carol.get, f"/user/{carol.user_id}/account_data/{kind}{third.device_id}").status == 404


def test_messages_are_filtered_by_their_relation(alice):
    room = alice.create_room()
    root = alice.text(room, "root")
    thread = alice.text(room, "thread", **{"m.relates_to": {"rel_type": "m.thread", "event_id": root}})
    reference = alice.text(room, "reference", **{"m.relates_to": {"rel_type": "m.reference", "event_id": root}})

    def found(**f):
        f = {"types": ["m.room.message"], **{f"org.matrix.msc3874.{k}": v for k, v in f.items()}}
        return [e["event_id"] for e in alice.messages(room, dir="f", filter=json.dumps(f))["chunk"]]

    assert found(rel_types=["m.thread"]) == [thread]
    assert found(rel_types=["m.thread", "m.reference"]) == [thread, reference]
    assert found(not_rel_types=["m.thread"]) == [root, reference]


@pytest.mark.parametrize("version", ["org.matrix.msc3757.10", "org.matrix.msc3757.11"])
def test_state_of_ones_own_is_written_by_oneself_and_those_above(alice, bob, version):
    room = alice.create_room(preset="public_chat", room_version=version, power_level_content_override={"state_default": 0})
    bob.join(room)
    bob.set_state(room, "org.example.s", {"a": 1}, bob.user_id + "_one")
    assert refusal(bob.set_state, room, "org.example.s", {"a": 1}, alice.user_id + "_one").status == 403
    alice.set_state(room, "org.example.s", {"a": 2}, bob.user_id + "_one")
    assert refusal(bob.set_state, room, "org.example.s", {"a": 1}, "@nobody").status == 400
    assert bob.state(room, "org.example.s", bob.user_id + "_one") == {"a": 2}


def subscription(room, root):
    return f"/_matrix/client/unstable/io.element.msc4306/rooms/{quote(room)}/thread/{quote(root)}/subscription"


def in_thread(user, room, root):
    return user.text(room, "reply", **{"m.relates_to": {"rel_type": "m.thread", "event_id": root}})


def test_a_thread_is_followed_and_left(carol):
    room = carol.create_room()
    root, other = carol.text(room, "root"), carol.text(room, "other")
    path = subscription(room, root)
    assert refusal(carol.get, path).errcode == "M_NOT_FOUND"
    carol.delete(path)
    reply = in_thread(carol, room, root)
    carol.put(path, {"automatic": reply})
    assert carol.get(path) == {"automatic": True}
    carol.put(path, {})
    assert carol.get(path) == {"automatic": False}
    carol.put(path, {"automatic": reply})
    assert carol.get(path) == {"automatic": False}
    carol.delete(path)
    assert refusal(carol.get, path).status == 404
    for cause in (root, in_thread(carol, room, other)):
        e = refusal(carol.put, path, {"automatic": cause})
        assert (e.status, e.errcode) == (400, "IO.ELEMENT.MSC4306.M_NOT_IN_THREAD")
    assert refusal(carol.put, path, {"automatic": 5}).errcode == "M_INVALID_PARAM"
    assert refusal(carol.put, subscription(room, "$none"), {}).status == 404
    assert refusal(carol.put, subscription(room, "none"), {}).errcode == "M_INVALID_PARAM"


def test_what_came_before_leaving_a_thread_does_not_bring_it_back(carol):
    room = carol.create_room()
    root = carol.text(room, "root")
    path = subscription(room, root)
    before = in_thread(carol, room, root)
    carol.put(path, {"automatic": before})
    carol.delete(path)
    e = refusal(carol.put, path, {"automatic": before})
    assert (e.status, e.errcode) == (409, "IO.ELEMENT.MSC4306.M_CONFLICTING_UNSUBSCRIPTION")
    carol.put(path, {"automatic": in_thread(carol, room, root)})
    assert carol.get(path) == {"automatic": True}


def test_followed_threads_are_listed_newest_first(carol):
    room = carol.create_room()
    roots = [carol.text(room, f"root {i}") for i in range(3)]
    for root in roots:
        carol.put(subscription(room, root), {})
    carol.delete(subscription(room, roots[0]))
    path = "/_matrix/client/unstable/io.element.msc4308/thread_subscriptions"
    all_of = carol.get(path, {"dir": "b"})
    assert set(all_of["subscribed"][room]) == set(roots[1:]) and set(all_of["unsubscribed"][room]) == {roots[0]}
    page = carol.get(path, {"dir": "b", "limit": 1})
    assert "subscribed" not in page and set(page["unsubscribed"][room]) == {roots[0]}
    page = carol.get(path, {"dir": "b", "limit": 1, "from": page["end"]})
    assert set(page["subscribed"][room]) == {roots[2]}
    for query in ({"dir": "f"}, {"dir": "b", "limit": 0}, {"dir": "b", "from": "x"}, {"dir": "b", "to": "ts-1"}):
        assert refusal(carol.get, path, query).errcode == "M_INVALID_PARAM"


def test_a_thread_that_one_can_not_see_is_not_followed(carol, unstable):
    stranger = Client(unstable.base).register(f"stranger{next(_names)}")
    room = carol.create_room()
    e = refusal(stranger.put, subscription(room, carol.text(room, "root")), {})
    assert (e.status, e.errcode) == (404, "M_NOT_FOUND")


def test_without_the_switch_threads_are_not_followed(alice):
    room = alice.create_room()
    assert refusal(alice.put, subscription(room, alice.text(room, "root")), {}).errcode == "M_UNRECOGNIZED"


def test_the_state_after_has_its_older_name_where_it_is_allowed(alice, carol):
    ask = {"org.matrix.msc4222.use_state_after": "true"}
    for user, key in ((carol, "org.matrix.msc4222.state_after"), (alice, "state")):
        room = user.create_room()
        part = user.sync(**ask)["rooms"]["join"][room]
        assert [k for k in part if "state" in k] == [key]
