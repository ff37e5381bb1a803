"""What an account goes through beside login: guests, limits, rooms given at birth, re-authentication, its end."""

import pytest

from mx import Client, Refused, refusal
from server import Server, wait_for

PASSWORD = "a good password 1"


def auth(user, password=PASSWORD, **extra):
    return {"auth": {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": user}, "password": password, **extra}}


@pytest.fixture(scope="module")
def strict():
    """A server with guests, tight limits, a password policy, closed names and a lobby."""
    s = Server(
        name="strict",
        config={
            "allow_guest_access": True,
            "auto_join_rooms": ["#lobby:strict"],
            "enable_set_displayname": False,
            "public_baseurl": "https://matrix.strict/",
            "extra_well_known_client_content": {"org.example": {"a": 1}},
            "serve_server_wellknown": True,
            "password_config": {"policy": {"enabled": True, "minimum_length": 8, "require_digit": True}},
            "ui_auth": {"session_timeout": "1m"},
            "session_lifetime": "24h",
            "rc_login": {
                "address": {"per_second": 1000, "burst_count": 1000},
                "account": {"per_second": 1000, "burst_count": 1000},
                "failed_attempts": {"per_second": 0.01, "burst_count": 2},
            },
            "rc_message": {"per_second": 0.05, "burst_count": 3},
        },
    )
    s.start()
    yield s
    s.close()


@pytest.fixture
def member(strict, request):
    return Client(strict.base).register(f"m{abs(hash(request.node.name)) % 10**9}x")


def test_a_guest_comes_in_and_may_do_little(strict):
    c = Client(strict.base)
    c._take(c.post("/register?kind=guest", {}, token=False))
    assert c.get("/account/whoami")["is_guest"] is True
    r = refusal(c.post, "/createRoom", {})
    assert (r.status, r.errcode) == (403, "M_GUEST_ACCESS_FORBIDDEN")
    c.put(f"/profile/{c.user_id}/displayname", {"displayname": "Visitor"})
    r = refusal(c.put, f"/profile/{c.user_id}/avatar_url", {"avatar_url": "mxc://a/b"})
    assert r.errcode == "M_GUEST_ACCESS_FORBIDDEN"


def test_a_guest_becomes_a_user_under_the_same_name(strict):
    guest = Client(strict.base)
    guest._take(guest.post("/register?kind=guest", {}, token=False))
    name, dummy = guest.user_id[1:].split(":")[0], {"type": "m.login.dummy"}
    body = {"username": name, "password": PASSWORD, "guest_access_token": guest.token}
    r = guest.raw("POST", "/register", {**body, "username": "x" + name}, token=False)
    assert (r.status_code, r.json()["errcode"]) == (403, "M_FORBIDDEN")
    session = guest.raw("POST", "/register", body, token=False).json()["session"]
    assert guest.token not in strict.sql("SELECT * FROM uia_session")
    user = guest.post("/register", {"auth": {**dummy, "session": session}}, token=False)
    assert user["user_id"] == guest.user_id
    assert guest.get("/account/whoami")["is_guest"] is False
    assert Client(strict.base).login(guest.user_id).get("/account/whoami")["is_guest"] is False
    r = guest.raw("POST", "/register", {**body, "auth": dummy}, token=False)
    assert (r.status_code, r.json()["errcode"]) == (403, "M_FORBIDDEN")


def test_guests_are_refused_unless_allowed(anyone):
    r = refusal(anyone.post, "/register?kind=guest", {})
    assert (r.status, r.body["error"]) == (403, "Guest access is disabled")
    assert refusal(anyone.post, "/register?kind=nobody", {}).errcode == "M_UNRECOGNIZED"


def test_new_accounts_find_themselves_in_the_lobby(strict):
    first = Client(strict.base).register("early")
    second = Client(strict.base).register("late")
    lobby = first.get("/directory/room/%23lobby:strict")["room_id"]
    assert first.get("/joined_rooms")["joined_rooms"] == [lobby]
    assert second.get("/joined_rooms")["joined_rooms"] == [lobby]


def test_a_weak_password_is_named(strict):
    c = Client(strict.base)
    with pytest.raises(Refused) as r:
        c.register("weak1", "short")
    assert (r.value.status, r.value.errcode) == (400, "M_PASSWORD_TOO_SHORT")
    with pytest.raises(Refused) as r:
        c.register("weak2", "long enough")
    assert r.value.errcode == "M_PASSWORD_NO_DIGIT"


def test_too_many_failures_are_limited_per_account(strict, member):
    c = Client(strict.base)
    for _ in range(2):
        with pytest.raises(Refused) as r:
            c.login(member.user_id, "wrong")
        assert r.value.status == 403
    with pytest.raises(Refused) as r:
        c.login(member.user_id)
    assert (r.value.status, r.value.errcode) == (429, "M_LIMIT_EXCEEDED")
    assert 0 < r.value.body["retry_after_ms"] <= 100_000
    assert int(r.value.response.headers["Retry-After"]) == -(-r.value.body["retry_after_ms"] // 1000)


def test_messages_are_limited_per_user(strict, member):
    lobby = member.get("/joined_rooms")["joined_rooms"][0]
    refused = None
    for i in range(5):
        try:
            member.put(f"/rooms/{lobby}/send/m.room.message/t{i}", {"msgtype": "m.text", "body": "x"})
        except Refused as e:
            refused = e
            break
    assert refused and refused.status == 429 and refused.body["retry_after_ms"] > 0


def test_a_name_cannot_be_changed_where_names_are_closed(strict, member):
    r = refusal(member.put, f"/profile/{member.user_id}/displayname", {"displayname": "Other"})
    assert (r.status, r.errcode) == (403, "M_FORBIDDEN")
    caps = member.get("/capabilities")["capabilities"]
    assert caps["m.set_displayname"] == {"enabled": False} and caps["m.set_avatar_url"] == {"enabled": True}


def test_the_well_known_files_say_where_the_server_is(strict, member):
    c = Client(strict.base)
    there = {"m.homeserver": {"base_url": "https://matrix.strict/"}, "org.example": {"a": 1}}
    assert c.get("/.well-known/matrix/client") == there
    assert c.get("/.well-known/matrix/server") == {"m.server": "strict:443"}
    body = {"type": "m.login.password", "user": member.user_id, "password": PASSWORD}
    assert c.post("/login", body)["well_known"] == there


def test_without_an_address_there_is_no_well_known_file(anyone):
    assert refusal(anyone.get, "/.well-known/matrix/client").status == 404


def test_tokens_live_as_long_as_sessions_do(strict, member):
    body = {"type": "m.login.password", "user": member.user_id, "password": PASSWORD}
    assert 86_000_000 < Client(strict.base).post("/login", body)["expires_in_ms"] <= 86_400_000


def test_the_password_is_not_asked_for_twice_within_the_timeout(strict, member):
    for i in range(2):
        Client(strict.base).login(member.user_id, device_id=f"D{i}")
    assert refusal(member.delete, "/devices/D0", {}).status == 401
    member.delete("/devices/D0", auth(member.user_id))
    member.delete("/devices/D1", {})
    assert [d["device_id"] for d in member.get("/devices")["devices"]] == [member.device_id]


def test_a_session_is_good_for_its_own_operation_only(server, alice, bob):
    other = Client(server.base).login(alice.user_id)
    session = refusal(alice.delete, f"/devices/{other.device_id}", {}).body["session"]
    r = refusal(alice.post, "/account/password", {"new_password": "x", **auth(alice.user_id, session=session)})
    assert r.status == 403
    r = refusal(bob.delete, f"/devices/{other.device_id}", auth(bob.user_id, session=session))
    assert r.status == 403
    r = refusal(alice.delete, f"/devices/{other.device_id}", auth(bob.user_id, session=session))
    assert r.status == 403
    alice.delete(f"/devices/{other.device_id}", auth(alice.user_id, session=session))
    r = refusal(alice.delete, f"/devices/{other.device_id}", auth(alice.user_id, session=session))
    assert (r.status, r.body["error"]) == (400, f"Unknown session ID: {session}")


def test_a_wrong_password_in_between_says_so_and_the_session_goes_on(alice):
    session = refusal(alice.post, "/account/deactivate", {}).body["session"]
    r = refusal(alice.post, "/account/deactivate", auth(alice.user_id, "wrong", session=session))
    assert (r.status, r.errcode, r.body["session"]) == (401, "M_FORBIDDEN", session)
    assert r.body["flows"] == [{"stages": ["m.login.password"]}] and r.body["completed"] == []


def test_a_changed_password_ends_the_other_sessions_unless_told_not_to(server, alice):
    other = Client(server.base).login(alice.user_id)
    alice.post("/account/password", {"new_password": "second password", "logout_devices": False, **auth(alice.user_id)})
    other.get("/account/whoami")
    alice.post("/account/password", {"new_password": "third password", **auth(alice.user_id, "second password")})
    assert refusal(other.get, "/account/whoami").errcode == "M_UNKNOWN_TOKEN"
    alice.get("/account/whoami")


def test_a_deactivated_account_is_out_of_everything(server, alice, bob, room, anyone):
    alice.put(f"/user/{alice.user_id}/account_data/x.y", {"a": 1})
    assert alice.post("/account/deactivate", {"erase": True, **auth(alice.user_id)}) == {"id_server_unbind_result": "success"}
    assert refusal(alice.get, "/account/whoami").errcode == "M_UNKNOWN_TOKEN"
    with pytest.raises(Refused) as r:
        Client(server.base).login(alice.user_id)
    assert r.value.status == 403
    wait_for(lambda: alice.user_id not in bob.get(f"/rooms/{room}/joined_members")["joined"])
    assert refusal(anyone.get, f"/profile/{alice.user_id}").status == 404
    local = alice.user_id[1:].split(":")[0]
    assert refusal(anyone.get, f"/register/available?username={local}").errcode == "M_USER_IN_USE"


def test_what_clients_ask_at_their_start_is_answered(alice):
    assert alice.get("/voip/turnServer") == {}
    assert alice.get("/thirdparty/protocols") == {}
    assert alice.get("/pushers") == {"pushers": []}
    assert alice.get("/account/3pid") == {"threepids": []}


def test_ignored_people_are_not_heard(alice, bob, room):
    alice.next_sync()
    alice.put(f"/user/{alice.user_id}/account_data/m.ignored_user_list", {"ignored_users": {bob.user_id: {}}})
    bob.put(f"/rooms/{room}/send/m.room.message/ign1", {"msgtype": "m.text", "body": "unheard"})
    alice.put(f"/rooms/{room}/send/m.room.message/ign2", {"msgtype": "m.text", "body": "mine"})
    seen = []

    def mine(answer):
        events = answer.get("rooms", {}).get("join", {}).get(room, {}).get("timeline", {}).get("events", [])
        seen.extend(e["content"].get("body") for e in events)
        return "mine" in seen

    alice.sync_until(mine)
    assert "unheard" not in seen
