"""Messages from device to device: what Complement's TestToDeviceMessages checks, and that each is shown exactly once."""

import itertools
import threading

import pytest

from mx import NO_PRESENCE, Client, quote, refusal
from server import Server

_txns = itertools.count(1)


def send_to(client, messages, type="my.test.type", txn=None, **kw):
    txn = txn or f"d{next(_txns)}"
    return client.put(f"/sendToDevice/{quote(type)}/{quote(txn)}", {"messages": messages}, **kw)


def events(answer):
    return answer.get("to_device", {}).get("events", [])


def numbers(answer):
    return [e["content"]["n"] for e in events(answer)]


@pytest.fixture
def own_server():
    s = Server().start()
    yield s
    s.close()


@pytest.fixture
def strict():
    s = Server(config={"rc_key_requests": {"per_second": 0.001, "burst_count": 2}}).start()
    yield s
    s.close()


def test_two_users_receive_a_message_each(new_user):
    alice, bob, charlie = new_user(), new_user(), new_user()
    bob.next_sync()
    charlie.next_sync()
    content = {"my_key": "my_value", "deep": {"list": [1, None, "\u0000ü"]}}
    assert send_to(alice, {u.user_id: {u.device_id: content} for u in (bob, charlie)}) == {}
    for u in (bob, charlie):
        assert u.sync_until(events) == [{"type": "my.test.type", "sender": alice.user_id, "content": content}]


def test_a_message_is_shown_until_the_token_moves(alice, bob):
    since = bob.sync()["next_batch"]
    send_to(alice, {bob.user_id: {bob.device_id: {"n": 1}}})
    first = bob.sync(since)
    assert numbers(first) == [1]
    assert numbers(bob.sync(since)) == [1]
    assert numbers(bob.sync()) == [1], "without a token from the start"
    assert numbers(bob.sync(first["next_batch"])) == []
    assert numbers(bob.sync(since)) == [], "gone once it was acknowledged"
    assert numbers(bob.sync()) == []


def test_a_filter_does_not_hide_messages(alice, bob):
    send_to(alice, {bob.user_id: {bob.device_id: {"n": 1}}})
    nothing = '{"room":{"rooms":[]},"presence":{"types":[]},"account_data":{"types":[]}}'
    assert numbers(bob.sync(filter=nothing)) == [1]


def test_a_star_reaches_every_device(server, alice, bob):
    phone = Client(server.base).login(bob.user_id)
    send_to(alice, {bob.user_id: {"*": {"n": 1}}})
    assert numbers(bob.sync()) == [1]
    assert numbers(phone.sync()) == [1]
    assert numbers(alice.sync()) == []


def test_a_waiting_sync_hears_at_once_and_only_on_its_device(server, alice, bob):
    phone = Client(server.base).login(bob.user_id)
    heard = {}

    def wait(name, client, timeout):
        client.next_sync()
        started.wait()
        heard[name] = client.next_sync(timeout, filter=NO_PRESENCE)

    started = threading.Barrier(3)
    threads = [threading.Thread(target=wait, args=a) for a in (("bob", bob, 20000), ("phone", phone, 1500))]
    for t in threads:
        t.start()
    started.wait()
    send_to(alice, {bob.user_id: {bob.device_id: {"n": 7}}})
    for t in threads:
        t.join()
    assert numbers(heard["bob"]) == [7]
    assert numbers(heard["phone"]) == []


def test_a_repeated_transaction_delivers_once(alice, bob):
    for n in range(3):
        assert send_to(alice, {bob.user_id: {bob.device_id: {"n": n}}}, txn="same") == {}
    threads = [threading.Thread(target=send_to, args=(alice, {bob.user_id: {bob.device_id: {"n": 9}}}),
                                kwargs={"txn": "at once"}) for _ in range(5)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert numbers(bob.sync()) == [0, 9]


def test_messages_for_nobody_are_accepted_and_dropped(alice, bob):
    assert send_to(alice, {bob.user_id: {"NODEVICE": {}}, "@nobody:test": {"*": {}}, "@far:elsewhere.example": {"D": {}},
                           "nonsense": {"*": {}}}) == {}
    assert events(bob.sync()) == []


def test_what_is_refused(alice, bob, anyone):
    assert refusal(send_to, anyone, {}).errcode == "M_MISSING_TOKEN"
    r = refusal(alice.put, "/sendToDevice/m.x/1", {})
    assert (r.status, r.errcode) == (400, "M_MISSING_PARAM")
    for bad in ([], {bob.user_id: []}, {bob.user_id: {bob.device_id: "text"}}):
        r = refusal(send_to, alice, bad)
        assert (r.status, r.errcode) == (400, "M_BAD_JSON"), bad
    r = refusal(send_to, alice, {bob.user_id: {bob.device_id: {"x": "x" * 65536}}})
    assert (r.status, r.errcode) == (413, "M_TOO_LARGE")
    assert events(bob.sync()) == []


def test_a_device_takes_its_messages_along_and_the_next_of_its_name_begins_anew(server, alice, bob):
    phone = Client(server.base).login(bob.user_id, device_id="PHONE")
    send_to(alice, {bob.user_id: {"PHONE": {"n": 1}}})
    phone.post("/logout")
    phone = Client(server.base).login(bob.user_id, device_id="PHONE")
    assert events(phone.sync()) == []
    send_to(alice, {bob.user_id: {"PHONE": {"n": 2}}})
    again = Client(server.base).login(bob.user_id, device_id="PHONE")
    assert numbers(again.sync()) == [2], "logging in again keeps the device"


def test_key_requests_are_limited_in_silence(strict):
    alice, bob = (Client(strict.base).register(n) for n in ("alice", "bob"))
    for n in range(4):
        send_to(alice, {bob.user_id: {bob.device_id: {"n": n}}}, type="m.room_key_request")
    assert numbers(bob.sync()) == [0, 1]


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_250_messages_come_in_order_and_once_over_an_end_of_the_server(own_server, end):
    alice, bob = (Client(own_server.base).register(n) for n in ("alice", "bob"))
    bob.next_sync()
    for n in range(250):
        send_to(alice, {bob.user_id: {bob.device_id: {"n": n}}}, txn=f"n{n}")
    seen, pages = [], []
    for page in range(3):
        again = numbers(bob.sync(bob.since))
        getattr(own_server, end)()
        own_server.start()
        got = numbers(bob.next_sync())
        assert got == again, "the same token, the same messages"
        seen += got
        pages.append(len(got))
        # what was acknowledged before is not sent again by a repeated request either
        send_to(alice, {bob.user_id: {bob.device_id: {"n": 0}}}, txn="n0")
    assert seen == list(range(250))
    assert pages == [100, 100, 50]
    assert numbers(bob.next_sync()) == []


def test_syncs_of_one_device_at_once_lose_nothing(alice, bob):
    """Two clients of one device, each following its own tokens: together and each alone they see a message until one of them has
    acknowledged it."""
    first, second = bob.sync()["next_batch"], bob.sync()["next_batch"]
    send_to(alice, {bob.user_id: {bob.device_id: {"n": 1}}})
    answers = [None, None]

    def follow(i, since):
        answers[i] = bob.sync(since)

    threads = [threading.Thread(target=follow, args=a) for a in ((0, first), (1, second))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert [numbers(a) for a in answers] == [[1], [1]]
    send_to(alice, {bob.user_id: {bob.device_id: {"n": 2}}})
    assert numbers(bob.sync(answers[0]["next_batch"])) == [2]
    assert numbers(bob.sync(answers[1]["next_batch"])) == [2]
