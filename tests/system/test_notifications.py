"""What one was notified of: the list, its pages, and what is not in it."""

import pytest

from mx import Client, quote, refusal

HIGHLIGHT = ["notify", {"set_tweak": "highlight"}]


def listed(client, **query):
    return client.get("/notifications", query)["notifications"]


def bodies(client, **query):
    return [n["event"]["content"].get("body") for n in listed(client, **query)]


def test_a_notification_says_what_where_and_whether_it_was_read(alice, bob, room):
    event = alice.text(room, "hello")
    [n] = listed(bob)
    assert set(n) == {"actions", "event", "profile_tag", "read", "room_id", "ts"}
    assert n["room_id"] == room and n["read"] is False and n["profile_tag"] is None
    assert n["actions"] == ["notify", {"set_tweak": "sound", "value": "default"}, {"set_tweak": "highlight", "value": False}]
    shown = n["event"]
    assert shown["event_id"] == event and shown["sender"] == alice.user_id and "room_id" not in shown
    assert shown["content"]["body"] == "hello" and abs(n["ts"] - shown["origin_server_ts"]) < 60_000
    bob.post(f"/rooms/{quote(room)}/receipt/m.read/{quote(event)}")
    assert listed(bob)[0]["read"] is True
    alice.text(room, "again")
    assert [n["read"] for n in listed(bob)] == [False, True]
    assert listed(alice) == []  # one's own


def test_the_list_has_what_was_counted_and_nothing_else(alice, bob, room):
    alice.text(room, "plain")
    alice.send(room, content={"msgtype": "m.notice", "body": "notice"})
    gone = alice.text(room, "redacted")
    alice.redact(room, gone)
    first = alice.text(room, "edited")
    alice.text(room, "* more", **{"m.new_content": {"msgtype": "m.text", "body": "more"}, "m.relates_to": {"rel_type": "m.replace", "event_id": first}})
    alice.text(room, "in a thread", **{"m.relates_to": {"rel_type": "m.thread", "event_id": first}})
    bob.text(room, "mine")
    alice.set_state(room, "m.room.topic", {"topic": "x"})
    assert bodies(bob) == ["in a thread", "edited", "plain"]


def test_own_rules_decide_what_is_listed(alice, bob, room):
    bob.put(f"/pushrules/global/sender/{alice.user_id}", {"actions": []})
    bob.put("/pushrules/global/content/cake", {"pattern": "cake", "actions": ["notify", {"set_tweak": "sound", "value": "moo"}, {"set_tweak": "highlight"}]})
    bob.sync()
    alice.text(room, "nothing")
    alice.text(room, "cake")
    [n] = listed(bob)
    assert n["event"]["content"]["body"] == "cake"
    assert n["actions"] == ["notify", {"set_tweak": "sound", "value": "moo"}, {"set_tweak": "highlight"}]
    bob.delete("/pushrules/global/content/cake")  # it was a highlight, and stays one
    assert listed(bob)[0]["actions"] == ["notify", {"set_tweak": "sound", "value": "default"}, {"set_tweak": "highlight"}]


def test_highlights_alone(alice, bob, room):
    alice.text(room, "plain")
    alice.text(room, "@room")
    alice.text(room, "you", **{"m.mentions": {"user_ids": [bob.user_id]}})
    alice.text(room, "plain too")
    assert bodies(bob, only="highlight") == ["you", "@room"]
    assert bodies(bob, only="highlight", limit=1) == ["you"]


def test_pages_follow_each_other_over_rooms(alice, bob):
    rooms = [alice.create_room(preset="public_chat") for _ in range(3)]
    for r in rooms:
        bob.join(r)
    for i in range(12):
        alice.text(rooms[i % 3], str(i))
    got, query, pages = [], {"limit": 5}, 0
    while True:
        page = bob.get("/notifications", query)
        got += [n["event"]["content"]["body"] for n in page["notifications"]]
        pages += 1
        if "next_token" not in page:
            break
        query["from"] = page["next_token"]
    assert got == [str(i) for i in reversed(range(12))] and pages <= 4


def test_what_is_far_back_is_found(alice, bob, room):
    quiet = alice.create_room(preset="public_chat")
    bob.join(quiet)
    alice.text(quiet, "long ago")
    bob.put(f"/pushrules/global/room/{quote(room)}", {"actions": []})
    bob.sync()
    for i in range(210):  # more than is looked at in one step
        alice.send(room, "org.x", {"n": i})
    assert bodies(bob) == ["long ago"]


def test_an_invite_is_a_notification_and_what_was_before_a_join_is_not(alice, bob):
    room = alice.create_room(preset="private_chat")
    alice.text(room, "before")
    alice.invite(room, bob.user_id)
    [n] = listed(bob)
    assert n["event"]["content"]["membership"] == "invite" and n["room_id"] == room
    assert n["actions"] == ["notify", {"set_tweak": "highlight", "value": False}, {"set_tweak": "sound", "value": "default"}]
    bob.join(room)
    alice.text(room, "after")
    assert [n["event"]["type"] for n in listed(bob)] == ["m.room.message", "m.room.member"]
    counts = bob.sync()["rooms"]["join"][room]["unread_notifications"]
    assert counts == {"notification_count": 1, "highlight_count": 0}
    bob.leave(room)
    assert listed(bob) == []


def position(server):
    return int(server.sql("SELECT coalesce(max(pos), 0) FROM timeline"))


def forgets(server, plain, high=None):
    """As if `plain` had been the newest position a day ago, `high` a month ago."""
    server.sql("DELETE FROM note_mark")
    for days, pos in ((1, plain), (30, high)):
        if pos is not None:
            server.sql(f"INSERT INTO note_mark SELECT (extract(epoch FROM now()) * 1000)::bigint - {days * 86_400_000 + 60_000}, {pos}")


@pytest.fixture
def forgetful(server):
    yield server
    server.sql("DELETE FROM note_mark")


def test_what_does_not_highlight_is_listed_for_a_day_and_highlights_for_a_month(alice, bob, room, forgetful):
    mentions = {"m.mentions": {"user_ids": [bob.user_id]}}
    alice.text(room, "long ago", **mentions)
    month = position(forgetful) + 1
    alice.text(room, "plain, old")
    alice.text(room, "you, old", **mentions)
    alice.text(room, "@room, old")
    gone = alice.text(room, "redacted", **mentions)
    day = position(forgetful) + 1
    alice.text(room, "plain")
    alice.text(room, "you", **mentions)
    forgets(forgetful, day, month)
    alice.redact(room, gone)
    assert bodies(bob) == ["you", "plain", "@room, old", "you, old"]
    assert bodies(bob, only="highlight") == ["you", "@room, old", "you, old"]
    pages, query = [], {"limit": 1}
    for _ in range(6):
        page = bob.get("/notifications", query)
        pages += [n["event"]["content"]["body"] for n in page["notifications"]]
        if "next_token" not in page:
            break
        query["from"] = page["next_token"]
    assert pages == ["you", "plain", "@room, old", "you, old"] and "next_token" not in page
    assert listed(alice) == []


def test_a_redaction_of_something_old_takes_back_its_highlights(alice, bob, room, forgetful):
    counts = lambda: bob.sync()["rooms"]["join"][room]["unread_notifications"]
    plain, mention = alice.text(room, "plain"), alice.text(room, "you", **{"m.mentions": {"user_ids": [bob.user_id]}})
    everybody, new = alice.text(room, "@room"), alice.text(room, "more")
    forgets(forgetful, position(forgetful))
    assert counts() == {"notification_count": 4, "highlight_count": 2}
    for event, left in ((mention, (4, 1)), (everybody, (3, 0)), (plain, (3, 0)), (new, (2, 0))):
        alice.redact(room, event)
        assert tuple(counts().values()) == left


# X08 bad and extreme queries
def test_bad_queries_are_refused(alice, bob, room):
    alice.text(room, "x")
    r = refusal(bob.get, "/notifications", {"from": "nonsense"})
    assert (r.status, r.body["error"]) == (400, 'Query parameter "from" contains unrecognised token')
    for limit in ("-1", "x"):
        r = refusal(bob.get, "/notifications", {"limit": limit})
        assert (r.status, r.errcode) == (400, "M_INVALID_PARAM")
    assert listed(bob, limit=0) == []
    for far in ("0", "-5"):
        assert listed(bob, **{"from": far}) == []
    for far in ("9223372036854775807", "1000000000000"):
        assert len(listed(bob, **{"from": far})) == 1
    assert len(listed(bob, limit=10**9)) == 1
    assert Client(bob.base).raw("GET", "/notifications").status_code == 401
