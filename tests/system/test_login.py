"""Login, logout, devices, passwords."""

import collections
import json
import select
import socket

import pytest

from mx import Client, refusal
from prom import Scrape
from server import CLUSTER, Server

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


# A14 the same words, and as much work: one look into the database, one hash
def test_an_unknown_user_is_forbidden_in_the_same_words(server, anyone, alice):
    base = server.base_of("client")

    def work(user):
        before = Scrape(base)
        r = refusal(Client(base).login, user, "wrong")
        after = Scrape(base)
        grown = lambda name, **labels: after.value(name, **labels) - before.value(name, **labels)
        hashes = grown("hs_offload_wait_seconds_count")
        looks = grown("synapse_storage_transaction_time_count_total", desc="account_find")
        return r.status, r.body, hashes, looks

    known, unknown = work(alice.user_id), work("@nobody-at-all:test")
    assert known == unknown and known[2:] == (1, 1)


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


# A15 nobody may keep a thread busy with a book
def test_a_password_of_512_bytes_and_a_byte_more(server, anyone):
    longest = Client(server.base).register("longest-password", password="x" * 512)
    anyone.login(longest.user_id, "x" * 512)
    assert refusal(anyone.login, longest.user_id, "x" * 513).status == 403
    r = refusal(Client(server.base).register, "longer-password", password="x" * 513)
    assert (r.status, r.errcode) == (400, "M_UNKNOWN")
    auth = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": longest.user_id}, "password": "x" * 512}
    assert refusal(longest.post, "/account/password", {"new_password": "x" * 513, "auth": auth}).status == 400
    anyone.login(longest.user_id, "x" * 512)


# A15 a crowd that logs in keeps nobody from reading: what waits for a thread holds nothing else
@pytest.mark.skipif(CLUSTER, reason="the crowd is to meet at one process")
def test_a_crowd_at_the_door_does_not_hold_a_sync():
    s = Server(config={"bcrypt_rounds": 12}).start()
    try:
        alice = Client(s.base).register("alice")
        body = json.dumps({"type": "m.login.password", "identifier": {"type": "m.id.user", "user": "alice"}, "password": PASSWORD})
        request = f"POST /_matrix/client/v3/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}"
        crowd = [socket.create_connection(("127.0.0.1", s.port), timeout=60) for _ in range(400)]
        for c in crowd:
            c.sendall(request.encode())
        alice.sync()
        answered = select.select(crowd, [], [], 0)[0]
        assert len(answered) < 300  # others still wait for their hash
        statuses = collections.Counter(c.makefile("rb").readline().split()[1] for c in crowd)
        assert set(statuses) == {b"200", b"429"} and statuses[b"200"] >= 256
        for c in crowd:
            c.close()
    finally:
        s.close()
