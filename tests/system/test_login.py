"""Login, logout, devices, passwords."""

import pytest

from mx import Client, refusal

PASSWORD = "a good password 1"


def test_flows_offer_passwords(anyone):
    flows = anyone.get("/login")["flows"]
    assert {"type": "m.login.password"} in flows


def test_login_by_localpart_and_by_full_id(server, alice):
    by_name = Client(server.base).login(alice.user_id.split(":")[0][1:])
    by_id = Client(server.base).login(alice.user_id)
    assert by_name.user_id == by_id.user_id == alice.user_id
    assert len({alice.device_id, by_name.device_id, by_id.device_id}) == 3


def test_login_with_the_old_user_member(server, alice):
    answer = Client(server.base).post("/login", {"type": "m.login.password", "user": alice.user_id, "password": PASSWORD})
    assert answer["user_id"] == alice.user_id


def test_login_keeps_a_given_device_and_ends_its_older_token(server, alice):
    first = Client(server.base).login(alice.user_id, device_id="ADEVICE", initial_device_display_name="one")
    second = Client(server.base).login(alice.user_id, device_id="ADEVICE")
    assert second.device_id == "ADEVICE" and second.token != first.token
    r = refusal(first.get, "/account/whoami")
    assert (r.status, r.errcode) == (401, "M_UNKNOWN_TOKEN")
    assert second.get("/devices/ADEVICE")["display_name"] == "one"


@pytest.mark.parametrize("password", ["wrong", ""])
def test_a_wrong_password_is_forbidden(anyone, alice, password):
    r = refusal(anyone.login, alice.user_id, password)
    assert (r.status, r.errcode) == (403, "M_FORBIDDEN")


def test_an_unknown_user_is_forbidden_in_the_same_words(anyone, alice):
    known = refusal(anyone.login, alice.user_id, "wrong")
    unknown = refusal(anyone.login, "nobody-at-all", "wrong")
    assert (unknown.status, unknown.body) == (known.status, known.body)


def test_an_unknown_type_is_refused(anyone):
    r = refusal(anyone.post, "/login", {"type": "m.login.handshake"})
    assert r.status == 400


def test_no_token_and_a_bad_token_are_told_apart(anyone, server):
    r = refusal(anyone.get, "/account/whoami")
    assert (r.status, r.errcode) == (401, "M_MISSING_TOKEN")
    r = refusal(Client(server.base, "nonsense").get, "/account/whoami")
    assert (r.status, r.errcode) == (401, "M_UNKNOWN_TOKEN")
    assert r.body.get("soft_logout", False) is False


def test_the_token_may_stand_in_the_query(anyone, alice):
    assert anyone.get("/account/whoami", {"access_token": alice.token})["user_id"] == alice.user_id


def test_logout_ends_this_device_only(server, alice):
    other = Client(server.base).login(alice.user_id)
    assert other.post("/logout") == {}
    assert refusal(other.get, "/account/whoami").errcode == "M_UNKNOWN_TOKEN"
    assert [d["device_id"] for d in alice.get("/devices")["devices"]] == [alice.device_id]


def test_logout_all_ends_every_device(server, alice):
    other = Client(server.base).login(alice.user_id)
    alice.post("/logout/all")
    for c in (alice, other):
        assert refusal(c.get, "/account/whoami").errcode == "M_UNKNOWN_TOKEN"


def test_devices_are_listed_renamed_and_private(server, alice, bob):
    other = Client(server.base).login(alice.user_id, device_id="PHONE", initial_device_display_name="phone")
    listed = {d["device_id"]: d.get("display_name") for d in alice.get("/devices")["devices"]}
    assert listed["PHONE"] == "phone" and alice.device_id in listed
    alice.put("/devices/PHONE", {"display_name": "new phone"})
    one = other.get("/devices/PHONE")
    assert one["display_name"] == "new phone" and one["user_id"] == alice.user_id
    r = refusal(bob.get, "/devices/PHONE")
    assert (r.status, r.errcode) == (404, "M_NOT_FOUND")
    r = refusal(bob.put, "/devices/PHONE", {"display_name": "mine"})
    assert (r.status, r.errcode) == (404, "M_NOT_FOUND")


def uia(client, method, path, body, password=PASSWORD):
    first = client.raw(method, path, body)
    assert first.status_code == 401, first.text
    offer = first.json()
    assert {"stages": ["m.login.password"]} in offer["flows"]
    auth = {
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": client.user_id},
        "password": password,
        "session": offer["session"],
    }
    return client.raw(method, path, {**body, "auth": auth})


def test_deleting_a_device_needs_the_password(server, alice):
    other = Client(server.base).login(alice.user_id, device_id="LOST")
    assert uia(alice, "DELETE", "/devices/LOST", {}, "wrong").status_code == 401
    assert other.get("/account/whoami")
    assert uia(alice, "DELETE", "/devices/LOST", {}).status_code == 200
    assert refusal(alice.get, "/devices/LOST").status == 404
    assert refusal(other.get, "/account/whoami").errcode == "M_UNKNOWN_TOKEN"


def test_several_devices_go_at_once(server, alice):
    for d in ("A", "B"):
        Client(server.base).login(alice.user_id, device_id=d)
    assert uia(alice, "POST", "/delete_devices", {"devices": ["A", "B"]}).status_code == 200
    assert [d["device_id"] for d in alice.get("/devices")["devices"]] == [alice.device_id]


def test_a_changed_password_works_and_the_old_one_does_not(server, alice, anyone):
    other = Client(server.base).login(alice.user_id)
    assert uia(alice, "POST", "/account/password", {"new_password": "another password 2"}).status_code == 200
    assert alice.get("/account/whoami")
    assert refusal(other.get, "/account/whoami").errcode == "M_UNKNOWN_TOKEN"
    assert refusal(anyone.login, alice.user_id).errcode == "M_FORBIDDEN"
    assert Client(server.base).login(alice.user_id, "another password 2").user_id == alice.user_id
