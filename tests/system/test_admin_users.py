"""Users, for administrators."""

import contextlib
import secrets
import subprocess

import pytest

from mx import Client, Refused, quote
from server import SECRET, Server, program, wait_for

V1, V2, V3 = "/_synapse/admin/v1", "/_synapse/admin/v2", "/_synapse/admin/v3"


def user(who, *more, v=V2):
    return f"{v}/users/{quote(who if isinstance(who, str) else who.user_id)}" + "".join("/" + m for m in more)


@contextlib.contextmanager
def refusal(status, errcode=None):
    with pytest.raises(Refused) as e:
        yield e
    assert e.value.status == status and errcode in (None, e.value.errcode), e.value


def answer(admin, method, path, body=None, status=200, **kw):
    r = admin.raw(method, path, body, **kw)
    assert r.status_code == status, r.text
    return r.json()


@pytest.fixture
def word():
    return secrets.token_hex(6)


# -- lists -------------------------------------------------------------------------------------------------------------


def names(admin, v=V2, **query):
    return [u["name"] for u in admin.get(v + "/users", query)["users"]]


def test_a_list_shows_who_somebody_is(admin, new_user, word):
    u = new_user(word)
    u.put(f"/profile/{quote(u.user_id)}/displayname", {"displayname": "Name " + word})
    listed = admin.get(V2 + "/users", {"user_id": word.upper()})
    assert listed["total"] == 1 and "next_token" not in listed
    assert {k: v for k, v in listed["users"][0].items() if k not in ("creation_ts", "last_seen_ts")} == {
        "name": u.user_id, "user_type": None, "is_guest": False, "admin": False, "deactivated": False, "shadow_banned": False,
        "displayname": "Name " + word, "avatar_url": None, "erased": False, "locked": False,
    }  # fmt: skip
    assert listed["users"][0]["creation_ts"] > 1.6e12
    assert names(admin, name="NAME " + word) == names(admin, name=word) == [u.user_id]
    assert names(admin, name=word + ":te") == names(admin, user_id=word[:-1] + "_") == []


def test_a_list_is_filtered_ordered_and_in_pages(admin, new_user, word):
    a, b, c = (new_user(f"{x}{word}") for x in "abc")
    for who, wish in ((b, {"admin": True, "user_type": "bot"}), (c, {"locked": True}), (a, {"deactivated": True})):
        answer(admin, "PUT", user(who), wish)
    assert names(admin, name=word) == [b.user_id]
    assert names(admin, name=word, locked="true", deactivated="true") == [a.user_id, b.user_id, c.user_id]
    assert names(admin, name=word, locked="true", deactivated="true", dir="b") == [c.user_id, b.user_id, a.user_id]
    assert names(admin, name=word, locked="true", deactivated="true", order_by="locked", dir="b")[0] == c.user_id
    assert names(admin, name=word, locked="true", deactivated="true", order_by="creation_ts", dir="b") == [c.user_id, b.user_id, a.user_id]
    assert names(admin, V3, name=word, locked="true") == [a.user_id, b.user_id, c.user_id]
    assert names(admin, V3, name=word, locked="true", deactivated="true") == [a.user_id]
    assert names(admin, name=word, admins="false") == [] and names(admin, name=word, admins="true") == [b.user_id]
    assert names(admin, name=word, locked="true", not_user_type="bot") == [c.user_id]
    assert names(admin, name=word, locked="true", not_user_type="") == [b.user_id]
    first = admin.get(V3 + "/users", {"name": word, "locked": "true", "limit": 2})
    assert (len(first["users"]), first["total"], first["next_token"]) == (2, 3, "2")
    rest = admin.get(V3 + "/users", {"name": word, "locked": "true", "limit": 2, "from": first["next_token"]})
    assert [u["name"] for u in rest["users"]] == [c.user_id] and "next_token" not in rest


@pytest.mark.parametrize("order", ["name", "displayname", "is_guest", "admin", "deactivated", "user_type", "avatar_url", "shadow_banned", "creation_ts",
                                   "last_seen_ts", "locked"])  # fmt: skip
def test_each_order_is_known(admin, order):
    assert admin.get(V2 + "/users", {"order_by": order, "dir": "b", "limit": 1})["total"] >= 1


def test_bad_queries_of_the_list_are_refused(admin):
    for query in ({"from": -1}, {"limit": -1}, {"order_by": "x"}, {"dir": "x"}, {"guests": "x"}, {"limit": "x"}):
        with refusal(400, "M_INVALID_PARAM"):
            admin.get(V2 + "/users", query)


# -- one user ----------------------------------------------------------------------------------------------------------


def test_a_user_is_made_with_all_that_is_given(server, admin, word):
    who = f"@{word}:test"
    made = answer(admin, "PUT", user(who), {
        "password": "a good password 1", "displayname": "Made", "avatar_url": "mxc://test/x", "admin": False, "user_type": "support",
        "threepids": [{"medium": "email", "address": f"{word.upper()}@Example.org"}],
        "external_ids": [{"auth_provider": "oidc-x", "external_id": word}],
    }, 201)  # fmt: skip
    shown = {k: v for k, v in made.items() if k not in ("creation_ts", "threepids")}
    assert shown == {
        "name": who, "admin": False, "deactivated": False, "locked": False, "shadow_banned": False, "appservice_id": None,
        "consent_server_notice_sent": None, "consent_version": None, "consent_ts": None, "user_type": "support", "is_guest": False, "suspended": False,
        "displayname": "Made", "avatar_url": "mxc://test/x", "external_ids": [{"auth_provider": "oidc-x", "external_id": word}], "erased": False,
        "last_seen_ts": None,
    }  # fmt: skip
    assert [(t["medium"], t["address"]) for t in made["threepids"]] == [("email", f"{word}@example.org")]
    assert admin.get(user(who)) == made
    assert Client(server.base).login(word).user_id == who
    assert admin.get(f"{V1}/threepid/email/users/{word}%40example.org") == {"user_id": who}
    assert admin.get(f"{V1}/auth_providers/oidc-x/users/{word}") == {"user_id": who}
    with refusal(404, "M_NOT_FOUND"):
        admin.get(f"{V1}/auth_providers/oidc-y/users/{word}")


def test_a_user_is_changed_in_what_is_named_only(server, admin, alice, word):
    before = admin.get(user(alice))
    after = answer(admin, "PUT", user(alice), {"displayname": "New", "user_type": "bot"})
    assert after == {**before, "displayname": "New", "user_type": "bot", "last_seen_ts": after["last_seen_ts"]}
    assert alice.get(f"/profile/{quote(alice.user_id)}") == {"displayname": "New"}
    after = answer(admin, "PUT", user(alice), {"displayname": None, "user_type": None, "external_ids": [{"auth_provider": "p", "external_id": word}]})
    assert (after["displayname"], after["user_type"]) == (None, None)
    r = admin.raw("PUT", user(admin), {"external_ids": [{"auth_provider": "p", "external_id": word}]})
    assert (r.status_code, r.json()["error"]) == (409, "External id is already in use.")
    after = answer(admin, "PUT", user(alice), {"external_ids": [], "password": "another password 2", "logout_devices": False})
    assert after["external_ids"] == [] and alice.get("/account/whoami")
    Client(server.base).login(alice.user_id, "another password 2")
    answer(admin, "PUT", user(alice), {"password": "another password 3"})
    with refusal(401, "M_UNKNOWN_TOKEN"):
        alice.get("/account/whoami")


def test_nothing_is_done_when_a_part_is_wrong(admin, alice, word):
    before = admin.get(user(alice))
    for part in ({"admin": "x"}, {"password": 1}, {"password": "x" * 513}, {"deactivated": 1}, {"locked": 1}, {"user_type": "x"}, {"displayname": 1},
                 {"threepids": [{"medium": "email"}]}, {"threepids": [{"medium": "email", "address": 1}]}, {"external_ids": "x"}, {"avatar_url": []},
                 {"logout_devices": 1}, {"deactivated": True, "locked": True}):  # fmt: skip
        for who in (alice.user_id, f"@{word}:test"):
            r = admin.raw("PUT", user(who), {"displayname": "Changed", **part})
            assert r.status_code == 400, (part, r.text)
    after = admin.get(user(alice))
    assert {**after, "last_seen_ts": 0} == {**before, "last_seen_ts": 0}
    with refusal(404, "M_NOT_FOUND"):
        admin.get(user(f"@{word}:test"))
    for bad in ("@x:elsewhere", "nonsense"):
        with refusal(400):
            admin.get(user(bad))
        with refusal(400):
            admin.put(user(bad))
    with refusal(400, "M_INVALID_USERNAME"):
        admin.put(user("@Not Allowed:test"), {"password": "a good password 1"})


def test_names_are_free_or_not(admin, alice, word):
    assert admin.get(V1 + "/username_available", {"username": word}) == {"available": True}
    with refusal(400, "M_USER_IN_USE"):
        admin.get(V1 + "/username_available", {"username": alice.user_id[1:].partition(":")[0]})
    with refusal(400, "M_INVALID_USERNAME"):
        admin.get(V1 + "/username_available", {"username": "Not Allowed"})


# -- acting on accounts ------------------------------------------------------------------------------------------------


def test_an_admin_is_made_and_unmade_but_not_by_oneself(admin, alice):
    path = user(alice, "admin", v=V1)
    assert admin.get(path) == {"admin": False}
    with refusal(403, "M_FORBIDDEN"):
        alice.get(V1 + "/rooms")
    assert admin.put(path, {"admin": True}) == {}
    assert alice.get(V1 + "/rooms") and admin.get(path) == {"admin": True}  # the session knows at once
    with refusal(400) as e:
        alice.put(path, {"admin": False})
    assert e.value.body["error"] == "You may not demote yourself."
    with refusal(400):
        alice.put(user(alice), {"admin": False})
    admin.put(path, {"admin": False})
    with refusal(403, "M_FORBIDDEN"):
        alice.get(V1 + "/rooms")


def test_a_locked_user_can_do_nothing_until_unlocked(admin, alice):
    answer(admin, "PUT", user(alice), {"locked": True})
    with refusal(401, "M_USER_LOCKED"):
        alice.get("/account/whoami")
    answer(admin, "PUT", user(alice), {"locked": False})
    assert alice.get("/account/whoami")["user_id"] == alice.user_id


def test_suspending_and_locking_by_the_specification(admin, alice, new_user):
    other = new_user("other")
    for what, flag in (("suspend", "suspended"), ("lock", "locked")):
        path = f"/_matrix/client/v1/admin/{what}/{quote(alice.user_id)}"
        assert admin.get(path) == {flag: False}
        assert admin.put(path, {flag: True}) == {flag: True} == admin.get(path)
        assert admin.get(user(alice))[flag] is True
        assert admin.put(path, {flag: False}) == {flag: False}
        with refusal(403, "M_FORBIDDEN"):
            other.get(path)
        with refusal(403, "M_FORBIDDEN"):
            admin.put(f"/_matrix/client/v1/admin/{what}/{quote(admin.user_id)}", {flag: True})
        with refusal(400, "M_INVALID_PARAM"):
            admin.get(f"/_matrix/client/v1/admin/{what}/@x:elsewhere")
        with refusal(404, "M_NOT_FOUND"):
            admin.get(f"/_matrix/client/v1/admin/{what}/@nobody:test")
        with refusal(400):
            admin.put(path, {})
    assert admin.put(f"{V1}/suspend/{quote(alice.user_id)}", {"suspend": True}) == {f"user_{alice.user_id}_suspended": True}
    assert admin.get("/capabilities")["capabilities"]["m.account_moderation"] == {"suspend": True, "lock": True}
    assert "m.account_moderation" not in other.get("/capabilities")["capabilities"]


def test_a_password_is_reset_and_devices_end(server, admin, alice):
    path = f"{V1}/reset_password/{quote(alice.user_id)}"
    assert admin.post(path, {"new_password": "reset password 1", "logout_devices": False}) == {}
    assert alice.get("/account/whoami")
    admin.post(path, {"new_password": "reset password 2"})
    with refusal(401, "M_UNKNOWN_TOKEN"):
        alice.get("/account/whoami")
    Client(server.base).login(alice.user_id, "reset password 2")
    for bad in ({}, {"new_password": 1}, {"new_password": "x", "logout_devices": 1}):
        with refusal(400):
            admin.post(path, bad)
    with refusal(404, "M_NOT_FOUND"):
        admin.post(f"{V1}/reset_password/@nobody:test", {"new_password": "x"})


def test_an_account_is_deactivated_and_may_come_back(server, admin, alice, bob, word):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    bob.put(f"/profile/{quote(bob.user_id)}/displayname", {"displayname": "Bob " + word})
    answer(admin, "PUT", user(bob), {"threepids": [{"medium": "email", "address": word + "@example.org"}]})
    assert admin.post(f"{V1}/deactivate/{quote(bob.user_id)}", {"erase": True}) == {"id_server_unbind_result": "success"}
    with refusal(401, "M_UNKNOWN_TOKEN"):
        bob.get("/account/whoami")
    shown = admin.get(user(bob))
    assert (shown["deactivated"], shown["erased"], shown["displayname"], shown["threepids"]) == (True, True, None, [])
    wait_for(lambda: alice.state(room, "m.room.member", bob.user_id)["membership"] == "leave")
    answer(admin, "PUT", user(bob), {"password": "a good password 9"})
    with refusal(403):  # A03: a password does not bring an account back
        Client(server.base).login(bob.user_id, "a good password 9")
    shown = answer(admin, "PUT", user(bob), {"deactivated": False, "password": "a good password 9"})
    assert (shown["deactivated"], shown["erased"]) == (False, False)
    Client(server.base).login(bob.user_id, "a good password 9")
    with refusal(400, "M_BAD_JSON"):
        admin.post(f"{V1}/deactivate/{quote(bob.user_id)}", {"erase": "x"})
    with refusal(404):
        admin.post(f"{V1}/deactivate/@nobody:test")
    with refusal(400):
        admin.post(f"{V1}/deactivate/@x:elsewhere")


def test_an_admin_acts_as_a_user(server, admin, alice):
    path = user(alice, "login", v=V1)
    as_alice = Client(server.base, admin.post(path)["access_token"])
    assert as_alice.get("/account/whoami")["user_id"] == alice.user_id and "device_id" not in as_alice.get("/account/whoami")
    assert [d["device_id"] for d in alice.get("/devices")["devices"]] == [alice.device_id]
    expired = Client(server.base, admin.post(path, {"valid_until_ms": 1})["access_token"])
    with refusal(401, "M_UNKNOWN_TOKEN"):
        expired.get("/account/whoami")
    as_alice.post("/logout")
    with refusal(401, "M_UNKNOWN_TOKEN"):
        as_alice.get("/account/whoami")
    assert alice.get("/account/whoami")
    again = Client(server.base, admin.post(path)["access_token"])
    alice.post("/logout/all")
    assert again.get("/account/whoami")["user_id"] == alice.user_id  # it is not one of the user's
    for bad in ({"valid_until_ms": "x"}, {"valid_until_ms": True}):
        with refusal(400):
            admin.post(path, bad)
    with refusal(400):
        admin.post(user(admin, "login", v=V1))
    with refusal(404):
        admin.post(user("@nobody:test", "login", v=V1))


def test_a_shadow_banned_user_is_answered_and_not_heard(server, admin, alice, bob, new_user):
    carol = new_user("carol")
    room = alice.create_room(preset="public_chat", room_version="10")
    bob.join(room)
    before = bob.text(room, "heard")
    path = user(bob, "shadow_ban", v=V1)
    assert admin.post(path) == {} and admin.get(user(bob))["shadow_banned"] is True
    newest = alice.messages(room, limit=1)["chunk"][0]["event_id"]
    fake = bob.text(room, "not heard")
    assert fake.startswith("$") and len(fake) == 44 and fake != before
    body = {"msgtype": "m.text", "body": "again"}
    assert bob.send(room, content=body, txn="same") == bob.send(room, content=body, txn="same")
    bob.redact(room, before)
    bob.put(f"/rooms/{quote(room)}/state/m.room.member/{quote(carol.user_id)}", {"membership": "invite"})
    assert bob.invite(room, carol.user_id) == {}
    alone = bob.create_room(invite=[carol.user_id], preset="trusted_private_chat")
    bob.put(f"/profile/{quote(bob.user_id)}/displayname", {"displayname": "Not heard"})
    assert alice.messages(room, limit=1)["chunk"][0]["event_id"] == newest
    assert alice.event(room, before)["content"]["body"] == "heard"
    with refusal(404, "M_NOT_FOUND"):
        bob.event(room, fake)
    assert "rooms" not in carol.get("/sync", {"timeout": 0}) or not carol.get("/sync", {"timeout": 0})["rooms"].get("invite")
    with refusal(404):
        bob.state(alone, "m.room.member", carol.user_id)
    bob.set_state(alone, "m.room.name", {"name": "not heard"})
    with refusal(404):
        bob.state(alone, "m.room.name")
    assert bob.post(f"/rooms/{quote(alone)}/upgrade", {"new_version": "10"})["replacement_room"].startswith("!")
    bob.leave(room)
    assert alice.state(room, "m.room.member", bob.user_id)["membership"] == "leave"
    bob.join(room)
    assert admin.delete(path) == {} and admin.get(user(bob))["shadow_banned"] is False
    heard = bob.text(room, "heard again")
    assert alice.event(room, heard)["content"]["body"] == "heard again"
    with refusal(404):
        admin.post(user("@nobody:test", "shadow_ban", v=V1))


# A13 nobody acts as somebody else any longer than they may act at all
@pytest.mark.parametrize("end", ["logout", "demoted", "locked", "deactivated", "password"])
def test_the_end_of_an_administrator_ends_acting_as_others(server, admin, alice, new_user, end):
    second = new_user("second")
    admin.put(user(second, "admin", v=V1), {"admin": True})
    as_alice = Client(server.base, second.post(user(alice, "login", v=V1))["access_token"])
    assert as_alice.get("/account/whoami")["user_id"] == alice.user_id
    if end == "logout":
        second.post("/logout/all")
    elif end == "demoted":
        admin.put(user(second, "admin", v=V1), {"admin": False})
    else:
        wish = {"locked": {"locked": True}, "deactivated": {"deactivated": True}, "password": {"password": "another password 2"}}[end]
        answer(admin, "PUT", user(second), wish)
    with refusal(401, "M_UNKNOWN_TOKEN"):
        as_alice.get("/account/whoami")
    assert alice.get("/account/whoami")


def redacted(admin, who, seconds=20, **body):
    id = admin.post(f"{V1}/user/{quote(who.user_id)}/redact", {"rooms": [], **body})["redact_id"]
    wait_for(lambda: admin.get(f"{V1}/user/redact_status/{id}")["status"] not in ("scheduled", "active"), seconds)
    return admin.get(f"{V1}/user/redact_status/{id}")


def bodies(who, room):
    return [e["content"].get("body") for e in who.messages(room, dir="f", limit=100)["chunk"] if e["type"] == "m.room.message"]


def test_all_that_somebody_has_said_is_redacted(admin, alice, bob):
    rooms = [alice.create_room(preset="public_chat") for _ in range(2)]
    for room in rooms:
        bob.join(room)
        alice.text(room, "kept")
        for i in range(3):
            bob.text(room, f"said {i}")
    assert redacted(admin, bob, rooms=rooms[:1], limit=2, reason="spam") == {"status": "complete", "failed_redactions": {}}
    assert bodies(alice, rooms[0]) == ["kept", "said 0", None, None] and bodies(alice, rooms[1])[1:] == ["said 0", "said 1", "said 2"]
    event = next(e for e in alice.messages(rooms[0], dir="b", limit=9)["chunk"] if "redacted_because" in e.get("unsigned", {}))
    assert event["unsigned"]["redacted_because"]["sender"] == bob.user_id
    assert event["unsigned"]["redacted_because"]["content"]["reason"] == "spam"
    assert redacted(admin, bob, before_ts=1)["failed_redactions"] == {} and bodies(alice, rooms[1])[1] == "said 0"
    assert redacted(admin, bob)["failed_redactions"] == {}
    assert bodies(alice, rooms[0]) == bodies(alice, rooms[1]) == ["kept", None, None, None]
    assert alice.state(rooms[1], "m.room.member", bob.user_id) == {"membership": "join"}


def test_what_a_banned_user_has_said_is_redacted_by_the_administrator(admin, alice, bob):
    room, closed = admin.create_room(preset="public_chat"), alice.create_room(preset="public_chat")
    for r, owner in ((room, admin), (closed, alice)):
        bob.join(r)
        said = bob.text(r, "bad")
        owner.ban(r, bob.user_id)
    told = redacted(admin, bob)
    assert bodies(admin, room) == [None] and bodies(alice, closed) == ["bad"]
    assert said in told["failed_redactions"] and told["status"] == "complete"


def test_bad_wishes_for_redactions_are_refused(admin, alice):
    path = f"{V1}/user/{quote(alice.user_id)}/redact"
    for bad in ({}, {"rooms": "x"}, {"rooms": [1]}, {"rooms": [], "reason": 1}, {"rooms": [], "limit": -1}, {"rooms": [], "limit": "x"},
                {"rooms": [], "use_admin": 1}, {"rooms": [], "before_ts": "x"}):  # fmt: skip
        with refusal(400):
            admin.post(path, bad)
    with refusal(400):
        admin.post(f"{V1}/user/nonsense/redact", {"rooms": []})
    with refusal(404, "M_NOT_FOUND"):
        admin.get(f"{V1}/user/redact_status/none")


def test_limits_are_kept_for_a_user(admin, alice):
    path = user(alice, "override_ratelimit", v=V1)
    assert admin.get(path) == {}
    assert admin.post(path, {"messages_per_second": 5, "burst_count": 7}) == {"messages_per_second": 5, "burst_count": 7} == admin.get(path)
    assert admin.post(path) == {"messages_per_second": 0, "burst_count": 0} == admin.get(path)
    assert admin.delete(path) == {} == admin.get(path)
    for bad in ({"messages_per_second": -1}, {"burst_count": "x"}, {"burst_count": 2**31}):
        with refusal(400, "M_INVALID_PARAM"):
            admin.post(path, bad)


def test_experimental_features_are_kept_for_a_user(admin, alice):
    path = f"{V1}/experimental_features/{quote(alice.user_id)}"
    assert admin.get(path) == {"features": {"msc3881": False, "msc3575": False, "msc4222": False}}
    admin.put(path, {"features": {"msc3881": True, "msc3575": True}})
    admin.put(path, {"features": {"msc3881": False, "msc4222": True}})
    assert admin.get(path) == {"features": {"msc3881": False, "msc3575": True, "msc4222": True}}
    for bad in ({}, {"features": {}}, {"features": {"msc0": True}}, {"features": {"msc3881": 1}}):
        with refusal(400):
            admin.put(path, bad)


# -- what users have ---------------------------------------------------------------------------------------------------


def test_rooms_and_counts_of_a_user(admin, alice, bob):
    mine, left = alice.create_room(preset="public_chat"), bob.create_room(preset="public_chat")
    asked = bob.create_room(invite=[alice.user_id])
    alice.join(left)
    alice.leave(left)
    alice.invite(mine, bob.user_id)
    assert admin.get(user(alice, "joined_rooms", v=V1)) == {"joined_rooms": [mine], "total": 1}
    assert admin.get(user(alice, "memberships", v=V1)) == {"memberships": {mine: "join", left: "leave", asked: "invite"}}
    assert admin.get(user(alice, "sent_invite_count", v=V1), {"from_ts": 0}) == {"invite_count": 1}
    assert admin.get(user(alice, "cumulative_joined_room_count", v=V1), {"from_ts": 0}) == {"cumulative_joined_room_count": 2}
    assert admin.get(user(alice, "sent_invite_count", v=V1), {"from_ts": 2**52}) == {"invite_count": 0}
    with refusal(400, "M_MISSING_PARAM"):
        admin.get(user(alice, "sent_invite_count", v=V1))
    assert admin.get(user("@nobody:test", "joined_rooms", v=V1)) == {"joined_rooms": [], "total": 0}


def test_account_data_of_a_user(admin, alice):
    rooms = sorted(alice.create_room() for _ in range(2))
    me = f"/user/{quote(alice.user_id)}"
    alice.put(f"{me}/account_data/x.global", {"g": 1})
    for room in rooms:
        alice.put(f"{me}/rooms/{quote(room)}/account_data/x.one", {"r": room})
        alice.put(f"{me}/rooms/{quote(room)}/account_data/x.two", {})
    data = admin.get(user(alice, "accountdata", v=V1))["account_data"]
    assert data["global"]["x.global"] == {"g": 1}
    assert data["rooms"] == {room: {"x.one": {"r": room}, "x.two": {}} for room in rooms}
    with refusal(404):
        admin.get(user("@nobody:test", "accountdata", v=V1))


def test_users_are_searched_by_a_part_of_their_id(admin, new_user, word):
    a, b = new_user("a" + word), new_user("b" + word)
    answer(admin, "PUT", user(b), {"admin": True, "user_type": "bot"})
    path = f"{V1}/search_users/{quote(a.user_id)}"
    shown = {"password_hash": None, "is_guest": False}
    assert admin.get(path, {"term": word}) == [{"name": a.user_id, "admin": False, "user_type": None, **shown}, {"name": b.user_id, "admin": True, "user_type": "bot", **shown}]
    assert admin.get(path, {"term": word + "%"}) == []
    with refusal(400, "M_MISSING_PARAM"):
        admin.get(path)
    with refusal(400, "M_UNKNOWN"):
        admin.get(f"{V1}/search_users/@x:elsewhere", {"term": word})
    with refusal(403, "M_FORBIDDEN"):
        a.get(path, {"term": word})


def test_pushers_of_a_user(admin, alice):
    assert admin.get(user(alice, "pushers", v=V1)) == {"pushers": [], "total": 0}
    alice.post("/pushers/set", {"kind": "http", "app_id": "app", "pushkey": "key", "app_display_name": "App", "device_display_name": "Phone",
                                "lang": "en", "data": {"url": "https://push.example.org/_matrix/push/v1/notify"}})  # fmt: skip
    told = admin.get(user(alice, "pushers", v=V1))
    assert told["total"] == 1 and told["pushers"] == [{**alice.get("/pushers")["pushers"][0], "enabled": True, "device_id": alice.device_id}]
    with refusal(404):
        admin.get(user("@nobody:test", "pushers", v=V1))


def test_devices_of_a_user(admin, alice):
    path = user(alice, "devices")
    device = f"{path}/{alice.device_id}"
    listed = admin.get(path)
    assert listed["total"] == 1 and listed["devices"][0]["device_id"] == alice.device_id and listed["devices"][0]["user_id"] == alice.user_id
    assert answer(admin, "POST", path, {"device_id": "MADE"}, 201) == {}
    assert admin.put(device, {"display_name": "by admin"}) == {}
    assert admin.get(device)["display_name"] == "by admin" == alice.get("/devices/" + alice.device_id)["display_name"]
    assert set(admin.get(device)) == {"device_id", "user_id", "display_name", "last_seen_ip", "last_seen_ts", "last_seen_user_agent"}
    assert admin.delete(path + "/MADE") == {} == admin.delete(path + "/MADE")
    assert admin.post(user(alice, "delete_devices"), {"devices": [alice.device_id]}) == {}
    with refusal(401, "M_UNKNOWN_TOKEN"):
        alice.get("/account/whoami")
    assert admin.get(path) == {"devices": [], "total": 0}
    for method, at, body in (("GET", path + "/X", None), ("PUT", path + "/X", {}), ("GET", user("@nobody:test", "devices"), None)):
        answer(admin, method, at, body, 404)
    for bad in ({}, {"device_id": 1}, {"device_id": ""}):
        answer(admin, "POST", path, bad, 400)
    for bad in ({}, {"devices": "x"}, {"devices": [1]}):
        answer(admin, "POST", user(alice, "delete_devices"), bad, 400)


def test_who_one_is_oneself_may_be_asked_by_anybody(alice, bob):
    assert alice.get(f"/admin/whois/{quote(alice.user_id)}")["user_id"] == alice.user_id
    answer(alice, "GET", f"/admin/whois/{quote(bob.user_id)}", None, 403)


def test_whois_says_from_where(admin, alice):
    for path in (f"{V1}/whois/{quote(alice.user_id)}", f"/admin/whois/{quote(alice.user_id)}"):
        told = admin.get(path)
        assert told["user_id"] == alice.user_id and isinstance(told["devices"][""]["sessions"][0]["connections"], list)
    with refusal(400):
        admin.get(f"{V1}/whois/@x:elsewhere")


# -- registration tokens, the server -----------------------------------------------------------------------------------


def test_registration_tokens_are_made_changed_and_removed(admin, word):
    path = V1 + "/registration_tokens"
    made = admin.post(path + "/new", {"token": word, "uses_allowed": 3})
    assert made == {"token": word, "uses_allowed": 3, "pending": 0, "completed": 0, "expiry_time": None} == admin.get(f"{path}/{word}")
    assert made in admin.get(path)["registration_tokens"] and made in admin.get(path, {"valid": "true"})["registration_tokens"]
    assert admin.put(f"{path}/{word}", {"uses_allowed": 0}) == {**made, "uses_allowed": 0}
    assert {**made, "uses_allowed": 0} in admin.get(path, {"valid": "false"})["registration_tokens"]
    assert len(admin.post(path + "/new", {"length": 20})["token"]) == 20
    with refusal(400, "M_INVALID_PARAM"):
        admin.post(path + "/new", {"token": word})
    with refusal(400, "M_INVALID_PARAM"):
        admin.post(path + "/new", {"token": "not allowed"})
    assert admin.delete(f"{path}/{word}") == {}
    for method in ("GET", "PUT", "DELETE"):
        answer(admin, method, f"{path}/{word}", {} if method == "PUT" else None, 404)


def test_the_server_says_what_it_is(admin, anyone):
    assert anyone.get(V1 + "/server_version")["server_version"]
    assert admin.get(V1 + "/background_updates/status") == {"enabled": True, "current_updates": {}}
    assert admin.get(V1 + "/background_updates/enabled") == {"enabled": True} == admin.post(V1 + "/background_updates/enabled", {"enabled": True})
    for path, body in (("enabled", {"enabled": False}), ("enabled", {"enabled": 1}), ("start_job", {}), ("start_job", {"job_name": "regenerate_directory"})):
        with refusal(400):
            admin.post(f"{V1}/background_updates/{path}", body)


# -- who may, and what is written down ---------------------------------------------------------------------------------


def rows(server):
    out = subprocess.run([program(), "routes"], capture_output=True, text=True, check=True).stdout
    for line in out.splitlines():
        method, path, auth, *_ = line.split("\t")
        if auth == "admin":
            yield method, path.replace("{", "%7B").replace("}", "%7D")


# N01 every operation of administrators, asked by everybody else
def test_no_path_of_administrators_is_open_to_anybody_else(server, admin, anyone, alice, new_user):
    guest = Client(server.base)
    r = guest.raw("POST", "/register", {}, {"kind": "guest"})
    guest = guest._take(r.json()) if r.status_code == 200 else None
    walked = list(rows(server))
    assert len(walked) > 50
    for method, path in walked:
        body = {} if method in ("PUT", "POST") else None
        assert anyone.raw(method, path, body).status_code == 401, (method, path)
        assert (alice.raw(method, path, body).json()["errcode"], method, path) == ("M_FORBIDDEN", method, path)
        if guest:
            assert guest.raw(method, path, body).status_code == 403, (method, path)
    assert {p.split("/")[1] for _, p in walked} == {"_synapse", "_matrix"}


# N03 login as somebody, making an administrator, any other act: a row each, which says who did what to whom
def test_what_administrators_do_is_written_down(server, admin, alice):
    def noted():
        text = server.sql("SELECT a.action, a.target FROM admin_action a JOIN user_id u ON u.user_nid = a.by_nid"
                          f" WHERE u.mxid = '{admin.user_id}' AND a.target LIKE '{alice.user_id}%' ")  # fmt: skip
        return [tuple(line.split("|")) for line in text.splitlines()]

    admin.get(user(alice))
    admin.post(user(alice, "login", v=V1))
    admin.put(user(alice, "admin", v=V1), {"admin": True})
    with refusal(403):
        Client(server.base).register("x" + secrets.token_hex(4)).post(user(alice, "login", v=V1))
    admin.delete(user(alice, "devices") + "/X")
    assert sorted(noted()) == sorted([
        ("POST /users/{userId}/login", alice.user_id),
        ("PUT /users/{userId}/admin", alice.user_id),
        ("DELETE /users/{userId}/devices/{deviceId}", alice.user_id + " X"),
    ])  # fmt: skip


def test_types_of_users_are_those_of_the_configuration():
    s = Server(config={"user_types": {"default_user_type": "staff", "extra_user_types": ["staff", "robot"]}}).start()
    try:
        boss = Client(s.base).register_with_secret(SECRET, "boss", admin=True)
        person = Client(s.base).register("person")
        assert boss.get(user(person))["user_type"] == "staff"
        for kind in ("robot", "bot", "support", None):
            assert answer(boss, "PUT", user(person), {"user_type": kind})["user_type"] == kind
        assert boss.raw("PUT", user(person), {"user_type": "other"}).status_code == 400
        answer(boss, "PUT", user(person), {"user_type": "robot"})
        assert names(boss, not_user_type="robot") == [boss.user_id]
    finally:
        s.close()


def test_addresses_and_external_ids_have_500_bytes_at_most(admin, alice):
    for many, wish in ((500, 200), (501, 400), (5000, 400)):
        address = "a" * (many - len("@x.org")) + "@x.org"
        assert admin.raw("PUT", user(alice), {"threepids": [{"medium": "email", "address": address}]}).status_code == wish
        assert admin.raw("PUT", user(alice), {"external_ids": [{"auth_provider": "p", "external_id": "x" * many}]}).status_code == wish
