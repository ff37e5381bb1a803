"""Accounts that are locked, suspended or erased."""

import re
import subprocess

import pytest

from mx import Client
from server import SECRET, Server, program

LOCKED, SUSPENDED = 8, 16

# What a suspended account may do beside reading, as the rows name it.
ALLOWED = {
    "/account/3pid", "/account/3pid/add", "/account/3pid/delete", "/account/3pid/unbind", "/account/deactivate", "/account/password",
    "/delete_devices", "/devices/{deviceId}", "/login/get_token", "/publicRooms", "/pushers/set", "/pushrules/global/{kind}/{ruleId}",
    "/pushrules/global/{kind}/{ruleId}/{attribute}", "/rooms/{roomId}/forget", "/rooms/{roomId}/forget/{txnId}", "/rooms/{roomId}/leave",
    "/rooms/{roomId}/leave/{txnId}", "/rooms/{roomId}/read_markers", "/rooms/{roomId}/receipt/{receiptType}/{eventId}",
    "/rooms/{roomId}/redact/{eventId}", "/rooms/{roomId}/redact/{eventId}/{txnId}", "/search", "/sendToDevice/{eventType}/{txnId}",
    "/user/{userId}/account_data/{type}", "/user/{userId}/filter", "/user/{userId}/rooms/{roomId}/account_data/{type}",
    "/user/{userId}/rooms/{roomId}/tags/{tag}", "/user_directory/search", "/logout", "/logout/all",
}
LATER = ("/keys/", "/room_keys/", "/presence/")


def rows():
    """Every operation that needs to know who asks, once: method, path, the path without its prefix."""
    text = subprocess.run([program(), "routes"], check=True, capture_output=True, text=True).stdout
    for line in text.splitlines():
        method, path, who = line.split("\t")[:3]
        bare = re.sub(r"^/_(matrix/(client|media)|synapse/admin)/(v[0-9]+|r0|unstable(/[a-z]+\.[a-z0-9.]+)?|api/v1)", "", path)
        if who in ("user", "optional", "admin") and not re.search("/(r0|unstable|api/v1)/", path) and not path.endswith("/versions"):
            yield method, path, bare


def ask(client, method, path):
    return client.raw(method, re.sub(r"\{[^}]*\}", "x", path), None if method == "GET" else {})


def sql_flags(server, user, flags):
    """As an administrator would, before the first request of the session."""
    server.sql(f"UPDATE account SET flags = {flags} WHERE user_nid = (SELECT user_nid FROM user_id WHERE mxid = '{user.user_id}')")
    return user


# C13
def test_a_locked_account_is_told_so_by_every_operation_but_logging_out(server, new_user):
    c = sql_flags(server, new_user("locked"), LOCKED)
    last = []
    for method, path, bare in rows():
        if bare in ("/logout", "/logout/all"):
            last.append((method, path))
            continue
        r = ask(c, method, path)
        assert (r.status_code, r.json()["errcode"], r.json()["soft_logout"]) == (401, "M_USER_LOCKED", True), (method, path)
    for method, path in last:
        assert ask(c, method, path).status_code in (200, 401)


# C13
def test_a_suspended_account_may_do_what_is_listed_and_nothing_else(server, new_user):
    c = sql_flags(server, new_user("suspended"), SUSPENDED)
    refused = set()
    for method, path, bare in rows():
        if method in ("GET", "HEAD") or bare in ("/logout", "/logout/all") or path.startswith("/_synapse") or bare.startswith("/admin/"):
            continue
        r = ask(c, method, path)
        is_refused = r.status_code == 403 and r.json()["errcode"] == "M_USER_SUSPENDED"
        if is_refused:
            refused.add(bare)
        # The redaction of something that is not one's own is refused further inside.
        assert is_refused == (bare not in ALLOWED and not bare.startswith(LATER)), (method, path, r.text)
    assert {"/createRoom", "/join/{roomIdOrAlias}", "/rooms/{roomId}/send/{eventType}/{txnId}", "/upload", "/profile/{userId}/{keyName}"} <= refused
    assert c.raw("POST", "/logout").status_code == 200


def test_a_suspended_account_reads_leaves_and_takes_back_its_own_words(server, alice, bob):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    hers, his = alice.text(room, "hers"), bob.text(room, "his")
    alice.set_state(room, "m.room.power_levels", {"users": {alice.user_id: 100, bob.user_id: 100}})
    sql_flags(server, bob, SUSPENDED)
    again = Client(server.base).login(bob.user_id)  # whose session is not known anywhere yet
    assert again.messages(room)["chunk"]
    r = again.raw("PUT", f"/rooms/{room}/send/m.room.message/1", {"body": "x", "msgtype": "m.text"})
    assert (r.status_code, r.json()["errcode"]) == (403, "M_USER_SUSPENDED")
    r = again.raw("PUT", f"/rooms/{room}/redact/{hers}/1", {})
    assert (r.status_code, r.json()["errcode"]) == (403, "M_USER_SUSPENDED")
    again.redact(room, his)
    again.leave(room)
    r = again.raw("POST", f"/rooms/{room}/join", {})
    assert (r.status_code, r.json()["error"]) == (403, "Joining rooms while account is suspended is not allowed.")


def password(user):
    return {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": user.user_id}, "password": "a good password 1"}


def test_what_an_erased_user_said_is_kept_for_those_who_were_there(alice, bob, new_user):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    said = alice.text(room, "secret words")
    edit = alice.send(room, content={"msgtype": "m.text", "body": "* other words", "m.new_content": {"msgtype": "m.text", "body": "other words"},
                                     "m.relates_to": {"rel_type": "m.replace", "event_id": said}})
    thread = alice.send(room, content={"msgtype": "m.text", "body": "thread words", "m.relates_to": {"rel_type": "m.thread", "event_id": said}})
    carol = new_user("carol")
    carol.join(room)
    assert carol.event(room, said)["content"]["body"] == "secret words"
    alice.post("/account/deactivate", {"erase": True, "auth": password(alice)})
    assert bob.event(room, said)["content"]["body"] == "secret words"
    places = [
        carol.event(room, said),
        carol.get(f"/rooms/{room}/context/{said}"),
        carol.messages(room, limit=50),
        carol.sync(),
        carol.get(f"/_matrix/client/v1/rooms/{room}/relations/{said}"),
        carol.get(f"/_matrix/client/v1/rooms/{room}/threads"),
    ]
    for place in places:
        assert "words" not in str(place), place
    shown = {e["event_id"]: e for e in carol.messages(room, limit=50)["chunk"]}
    assert shown[said]["content"] == shown[edit]["content"] == shown[thread]["content"] == {}
    assert "secret words" in str(bob.messages(room, limit=50))


def test_an_account_whose_day_has_come_may_only_log_out_until_it_is_renewed():
    s = Server(name="lease", config={"account_validity": {"enabled": True, "period": "6w"}}).start()
    try:
        c, other = Client(s.base).register("tenant"), Client(s.base).register("neighbour")
        admin = Client(s.base).register_with_secret(SECRET, "landlord", admin=True)
        assert 3_600_000_000 < int(s.sql("SELECT valid_until_ts - created_ts FROM account WHERE localpart = 'tenant'")) <= 3_628_800_000
        s.sql("UPDATE account SET valid_until_ts = 1 WHERE localpart IN ('tenant', 'neighbour')")
        s.sql("INSERT INTO short_token(kind, token_sha256, user_nid, expires_ts)"
              " SELECT 'renewal', sha256('mailed'), user_nid, 4102444800000 FROM account WHERE localpart = 'neighbour'")
        for who in (c, other):
            r = who.raw("GET", "/account/whoami")
            assert (r.status_code, r.json()["errcode"]) == (403, "ORG_MATRIX_EXPIRED_ACCOUNT")
        r = c.raw("POST", "/account_validity/send_mail")
        assert (r.status_code, r.json()["errcode"]) == (403, "M_FORBIDDEN")
        renew = "/_synapse/admin/v1/account_validity/validity"
        assert c.raw("POST", renew, {"user_id": c.user_id}).status_code == 403
        assert admin.post(renew, {"user_id": c.user_id, "expiration_ts": 4102444800000}) == {"expiration_ts": 4102444800000}
        assert admin.raw("POST", renew, {"user_id": "@nobody:lease"}).status_code == 404
        assert admin.raw("POST", renew, {}).status_code == 400
        assert c.get("/account/whoami")["user_id"] == c.user_id
        assert c.raw("GET", "/account_validity/renew", query={"token": "guess"}).status_code == 404
        r = c.raw("GET", "/account_validity/renew", query={"token": "mailed"})
        assert r.status_code == 200 and "valid until" in r.text
        assert other.get("/account/whoami")["user_id"] == other.user_id
        assert c.raw("GET", "/account_validity/renew", query={"token": "mailed"}).status_code == 404
    finally:
        s.close()
