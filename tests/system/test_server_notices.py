"""Messages of the server itself to its users."""

import concurrent.futures

import pytest

from mx import Client, quote, refusal
from server import SECRET, Server

PATH = "/_synapse/admin/v1/send_server_notice"


@pytest.fixture(scope="module")
def notices():
    s = Server(config={"server_notices": {"system_mxid_localpart": "notices", "system_mxid_display_name": "The Server", "room_name": "News",
                                          "room_topic": "of the server", "room_avatar_url": "mxc://test/a"}})  # fmt: skip
    s.start()
    yield s
    s.close()


@pytest.fixture(scope="module")
def boss(notices):
    return Client(notices.base).register_with_secret(SECRET, "boss", admin=True)


def notice(boss, c, text, txn=None):
    body = {"user_id": c.user_id, "content": {"msgtype": "m.text", "body": text}}
    return (boss.put(f"{PATH}/{txn}", body) if txn else boss.post(PATH, body))["event_id"]


def invited(c):
    return list(c.get("/sync", {"timeout": 0}).get("rooms", {}).get("invite", {}))


def test_a_notice_comes_into_a_room_that_is_the_users_own(notices, boss):
    c = Client(notices.base).register("one")
    event = notice(boss, c, "hello")
    [room] = invited(c)
    r = refusal(c.leave, room)
    assert (r.status, r.errcode, r.body["error"]) == (403, "M_CANNOT_LEAVE_SERVER_NOTICE_ROOM", "You cannot reject this invite")
    c.join(room)
    assert c.event(room, event)["sender"] == "@notices:test"
    assert c.state(room, "m.room.name")["name"] == "News" and c.state(room, "m.room.topic")["topic"] == "of the server"
    assert c.state(room, "m.room.avatar")["url"] == "mxc://test/a"
    assert c.state(room, "m.room.member", "@notices:test")["displayname"] == "The Server"
    assert "m.server_notice" in c.get(f"/user/{quote(c.user_id)}/rooms/{quote(room)}/tags")["tags"]
    assert refusal(c.text, room, "may not").status == 403
    # once in it, one may leave, and is asked back into the same one
    c.leave(room)
    notice(boss, c, "again")
    assert invited(c) == [room]
    assert notice(boss, c, "once", txn="t1") == notice(boss, c, "once", txn="t1")
    assert notice(boss, c, "once", txn="t2") != notice(boss, c, "once", txn="t1")


def test_state_events_can_be_sent(notices, boss):
    c = Client(notices.base).register("two")
    boss.post(PATH, {"user_id": c.user_id, "type": "m.x", "state_key": "k", "content": {"a": 1}})
    [room] = invited(c)
    c.join(room)
    assert c.state(room, "m.x", "k") == {"a": 1}


def test_notices_at_once_make_one_room(notices, boss):
    c = Client(notices.base).register("three")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        clients = [Client(notices.base, boss.token) for _ in range(8)]
        events = list(pool.map(lambda k: notice(clients[k], c, f"n{k}"), range(8)))
    assert len(set(events)) == 8 and len(invited(c)) == 1


def test_a_new_room_comes_after_the_old_one_was_deleted(notices, boss):
    c = Client(notices.base).register("four")
    notice(boss, c, "x")
    [room] = invited(c)
    boss.delete(f"/_synapse/admin/v1/rooms/{quote(room)}", {})
    notice(boss, c, "y")
    [new] = invited(c)
    assert new != room


def test_nobody_takes_the_name_or_invites_it(notices, boss):
    c = Client(notices.base)
    assert refusal(c.register, "notices").errcode == "M_EXCLUSIVE"
    c.register("five")
    room = c.create_room()
    r = refusal(c.invite, room, "@notices:test")
    assert (r.status, r.body["error"]) == (403, "Cannot invite this user")


@pytest.mark.parametrize("body, status, errcode", [({}, 400, "M_MISSING_PARAM"), ({"user_id": "@x:test"}, 400, "M_MISSING_PARAM"),
                                                   ({"user_id": "@x:test", "content": {}}, 404, "M_NOT_FOUND"), ({"user_id": "x", "content": {}}, 400, "M_INVALID_PARAM"),
                                                   ({"user_id": "@x:elsewhere", "content": {}}, 400, "M_UNKNOWN"), ({"user_id": "@x:test", "content": 1}, 400, "M_BAD_JSON")])  # fmt: skip
def test_bad_notices_are_refused(boss, body, status, errcode):
    r = refusal(boss.post, PATH, body)
    assert (r.status, r.errcode) == (status, errcode)


def test_only_administrators_send_them_and_only_where_they_are_configured(notices, admin, alice):
    c = Client(notices.base).register("six")
    assert refusal(c.post, PATH, {}).errcode == "M_FORBIDDEN"
    r = refusal(admin.post, PATH, {"user_id": alice.user_id, "content": {"msgtype": "m.text", "body": "x"}})
    assert (r.status, r.body["error"]) == (400, "Server notices are not enabled on this server")
