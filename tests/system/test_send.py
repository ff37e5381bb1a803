"""Sending, transaction ids, redaction, and what is refused."""

import threading

import pytest

from mx import Client, quote, refusal


def test_a_message_arrives_whole(alice, bob, room):
    bob.next_sync()
    content = {"msgtype": "m.text", "body": "§ ünï \U0001f600 \" \\ \n \u0007", "n": -9007199254740991, "o": {"": [True, None]}}
    e = alice.send(room, content=content)
    seen = bob.sync_until_event(room, e)
    assert seen["content"] == content
    assert seen["sender"] == alice.user_id and seen["type"] == "m.room.message"
    assert isinstance(seen["origin_server_ts"], int) and isinstance(seen["unsigned"]["age"], int)
    assert not {"auth_events", "prev_events", "hashes", "signatures", "depth"} & set(seen)


def test_the_same_transaction_id_is_the_same_event(alice, bob, room):
    first = alice.send(room, content={"msgtype": "m.text", "body": "a"}, txn="same")
    assert alice.send(room, content={"msgtype": "m.text", "body": "b"}, txn="same") == first
    assert alice.event(room, first)["content"]["body"] == "a"
    assert bob.send(room, content={"msgtype": "m.text", "body": "c"}, txn="same") != first


def test_transaction_ids_belong_to_a_device_and_a_room(server, alice, room):
    phone = Client(server.base).login(alice.user_id)
    other_room = alice.create_room()
    a = alice.send(room, txn="mine")
    assert phone.send(room, txn="mine") != a
    assert alice.send(other_room, txn="mine") != a


def test_concurrent_repeats_of_one_transaction_are_one_event(server, alice, room):
    ids = []

    def send():
        ids.append(Client(server.base, alice.token).send(room, txn="race"))

    threads = [threading.Thread(target=send) for _ in range(8)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert len(ids) == 8 and len(set(ids)) == 1


def test_only_the_sending_device_sees_its_transaction_id(server, alice, bob, room):
    phone = Client(server.base).login(alice.user_id)
    for c in (alice, phone, bob):
        c.next_sync()
    e = alice.send(room, txn="local-echo")
    assert alice.sync_until_event(room, e)["unsigned"]["transaction_id"] == "local-echo"
    assert "transaction_id" not in phone.sync_until_event(room, e)["unsigned"]
    assert "transaction_id" not in bob.sync_until_event(room, e)["unsigned"]
    assert alice.event(room, e)["unsigned"]["transaction_id"] == "local-echo"


def test_many_senders_leave_one_order_for_all(server, room, alice, bob):
    for c in (alice, bob):
        c.next_sync()
    sent, lock = set(), threading.Lock()

    def send(token, n):
        c = Client(server.base, token)
        for i in range(15):
            e = c.send(room, txn=f"many-{n}-{i}")
            with lock:
                sent.add(e)

    threads = [threading.Thread(target=send, args=((alice, bob)[n % 2].token, n)) for n in range(6)]
    [t.start() for t in threads]
    [t.join() for t in threads]

    def history(c):
        seen = []
        for _ in range(100):
            seen += [e["event_id"] for e in c.next_sync(filter='{"room":{"timeline":{"limit":100}}}')
                     .get("rooms", {}).get("join", {}).get(room, {}).get("timeline", {}).get("events", [])]
            if sent <= set(seen):
                return seen

    a, b = history(alice), history(bob)
    assert a == b and len(a) == len(set(a)) == 90


@pytest.mark.parametrize("number", [b"1.5", b"1e3", b"9007199254740992", b"-9007199254740992"])
def test_numbers_that_events_cannot_carry_are_bad_json(alice, room, number):
    data = b'{"msgtype":"m.text","body":"x","n":' + number + b"}"
    r = alice.raw("PUT", f"/rooms/{quote(room)}/send/m.room.message/float", data=data, headers={"Content-Type": "application/json"})
    assert (r.status_code, r.json()["errcode"]) == (400, "M_BAD_JSON")


def test_an_event_that_is_too_large_is_refused(alice, room):
    r = refusal(alice.send, room, content={"msgtype": "m.text", "body": "x" * 65500})
    assert (r.status, r.errcode) == (413, "M_TOO_LARGE")
    alice.send(room, content={"msgtype": "m.text", "body": "x" * 60000})


def test_too_long_a_type_is_refused(alice, room):
    r = refusal(alice.send, room, type="t" * 256)
    assert r.status in (400, 413)


def test_an_unknown_room_is_forbidden(alice):
    r = refusal(alice.text, "!nowhere:test", "x")
    assert r.status in (403, 404)


# -- redaction -----------------------------------------------------------------------------------------------------------


def test_a_redacted_message_is_empty_everywhere(alice, bob, room):
    e = bob.text(room, "secret")
    bob.next_sync()
    r = bob.redact(room, e, reason="oops")
    seen = bob.sync_until_event(room, r)
    assert seen["type"] == "m.room.redaction" and seen["content"]["redacts"] == e and seen["redacts"] == e
    for view in (alice.event(room, e), [x for x in alice.messages(room, limit=50)["chunk"] if x["event_id"] == e][0],
                 alice.get(f"/rooms/{quote(room)}/context/{quote(e)}")["event"]):
        assert view["content"] == {}
        assert view["unsigned"]["redacted_because"]["event_id"] == r
        assert view["unsigned"]["redacted_because"]["content"]["reason"] == "oops"


def test_who_may_redact(alice, bob, room, new_user):
    carol = new_user("carol")
    carol.join(room)
    e = bob.text(room, "bob's")
    r = refusal(carol.redact, room, e)
    assert (r.status, r.errcode) == (403, "M_FORBIDDEN")
    alice.redact(room, e)
    assert alice.event(room, e)["content"] == {}


def test_redacting_twice_with_one_transaction_is_one_redaction(alice, room):
    e = alice.text(room, "x")
    assert alice.redact(room, e, txn="once") == alice.redact(room, e, txn="once")


def test_redacted_state_keeps_what_the_version_keeps(alice, bob, room):
    event = alice.get(f"/rooms/{quote(room)}/state/m.room.member/{bob.user_id}", {"format": "event"})
    alice.redact(room, event["event_id"])
    after = alice.state(room, "m.room.member", bob.user_id)
    assert after == {"membership": "join"}
    e = alice.set_state(room, "m.room.topic", {"topic": "x"})
    alice.redact(room, e)
    assert alice.state(room, "m.room.topic") == {}
