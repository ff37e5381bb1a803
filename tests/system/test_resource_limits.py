"""Whom the server serves: hs_disabled, and the cap on people who are active in a month."""

import contextlib

import pytest

from mx import Client, Refused, quote
from server import SECRET, Server

PASSWORD = "a good password 1"


@contextlib.contextmanager
def refusal(limit_type, contact="mailto:admin@example.org"):
    with pytest.raises(Refused) as e:
        yield e
    body = e.value.body
    assert (e.value.status, e.value.errcode) == (403, "M_RESOURCE_LIMIT_EXCEEDED"), e.value
    assert (body["limit_type"], body["admin_contact"]) == (limit_type, contact)


def again(server, **config):
    """The server with another configuration."""
    server.stop()
    server.config.update(config)
    server.start()


@pytest.fixture
def server_of_its_own():
    s = Server(config={"admin_contact": "mailto:admin@example.org", "allow_guest_access": True})
    s.start()
    yield s
    s.close()


def syncs(client):
    return "next_batch" in client.get("/sync", {"timeout": 0})


def set_user(admin, client, **wish):
    r = admin.raw("PUT", f"/_synapse/admin/v2/users/{quote(client.user_id)}", wish)
    assert r.status_code == 200, r.text


def test_a_disabled_server_serves_support_alone(server_of_its_own):
    s = server_of_its_own
    admin = Client(s.base).register_with_secret(SECRET, "admin", admin=True)
    alice, helper = (Client(s.base).register(n) for n in ("alice", "helper"))
    set_user(admin, helper, user_type="support")
    room = alice.create_room(preset="public_chat")
    again(s, hs_disabled=True, hs_disabled_message="Closed for good")
    for ask in (lambda: syncs(alice), lambda: alice.text(room, "x"), lambda: alice.set_state(room, "m.room.topic", {"topic": "x"}),
                lambda: alice.create_room(), lambda: alice.leave(room), lambda: Client(s.base).login("alice", PASSWORD),
                lambda: Client(s.base).register("bob"), lambda: Client(s.base).post("/register?kind=guest", {}, token=False)):  # fmt: skip
        with refusal("hs_disabled") as e:
            ask()
        assert e.value.body["error"] == "Closed for good"
    assert alice.get("/joined_rooms")["joined_rooms"] == [room]  # what one only reads is not in question
    assert syncs(helper) and helper.join(room) and helper.text(room, "still here")
    assert admin.get("/_synapse/admin/v2/users")["total"] == 3


def test_no_more_than_so_many_people_are_served_in_a_month(server_of_its_own):
    s = server_of_its_own
    admin = Client(s.base).register_with_secret(SECRET, "admin", admin=True)
    alice, bob, helper = (Client(s.base).register(n) for n in ("alice", "bob", "helper"))
    set_user(admin, helper, user_type="support")
    guest = Client(s.base)
    guest.token = guest.post("/register?kind=guest", {}, token=False)["access_token"]
    again(s, limit_usage_by_mau=True, max_mau_value=1)
    assert syncs(helper) and syncs(guest)  # are not counted
    assert syncs(alice) and syncs(alice) and Client(s.base).login("alice", PASSWORD)
    for ask in (lambda: syncs(bob), lambda: syncs(guest), lambda: bob.create_room(), lambda: Client(s.base).login("bob", PASSWORD),
                lambda: Client(s.base).register("carol")):  # fmt: skip
        with refusal("monthly_active_user") as e:
            ask()
        assert e.value.body["error"] == "Monthly Active User Limit Exceeded"
    assert syncs(helper)
    s.sql("UPDATE account SET active_ts = active_ts - 31 * 86400000::bigint WHERE localpart = 'alice'")
    assert syncs(bob)
    with refusal("monthly_active_user"):
        syncs(alice)


def test_reserved_addresses_and_new_people_are_served_all_the_same(server_of_its_own):
    s = server_of_its_own
    admin = Client(s.base).register_with_secret(SECRET, "admin", admin=True)
    alice, bob = (Client(s.base).register(n) for n in ("alice", "bob"))
    set_user(admin, bob, threepids=[{"medium": "email", "address": "bob@example.org"}])
    again(s, limit_usage_by_mau=True, max_mau_value=0, mau_limit_reserved_threepids=[{"medium": "email", "address": "Bob@example.org"}], admin_contact="")
    assert syncs(bob)
    with refusal("monthly_active_user", None):
        syncs(alice)
    again(s, mau_trial_days=2)
    assert syncs(alice)
    s.sql("UPDATE account SET created_ts = created_ts - 3 * 86400000::bigint")
    with refusal("monthly_active_user", None):
        syncs(alice)


def test_those_who_are_served_are_told_that_others_are_not(server_of_its_own):
    s = server_of_its_own
    alice = Client(s.base).register("alice")
    limits = {"limit_usage_by_mau": True, "max_mau_value": 1, "server_notices": {"system_mxid_localpart": "notices", "auto_join": True}}
    hour_later = "UPDATE account SET active_ts = active_ts - 2 * 3600000::bigint"
    again(s, **limits)
    assert syncs(alice)
    [room] = alice.get("/joined_rooms")["joined_rooms"]
    [pinned] = alice.state(room, "m.room.pinned_events")["pinned"]
    assert alice.event(room, pinned)["content"] == {
        "body": "Monthly Active User Limit Exceeded", "msgtype": "m.server_notice", "server_notice_type": "m.server_notice.usage_limit_reached",
        "admin_contact": "mailto:admin@example.org", "limit_type": "monthly_active_user",
    }  # fmt: skip
    s.sql(hour_later)
    assert syncs(alice)  # is told once
    assert alice.state(room, "m.room.pinned_events")["pinned"] == [pinned]
    s.sql(hour_later)
    again(s, **{**limits, "max_mau_value": 2})
    assert syncs(alice)
    assert alice.state(room, "m.room.pinned_events")["pinned"] == []
    assert alice.get("/joined_rooms")["joined_rooms"] == [room]
