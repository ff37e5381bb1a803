"""Typing, receipts, read markers, unread counts."""

import pytest

from mx import quote, refusal


def section(answer, room, name):
    return answer.get("rooms", {}).get("join", {}).get(room, {}).get(name, {}).get("events", [])


def counts(answer, room):
    return answer["rooms"]["join"][room]["unread_notifications"]


def unread(client, room):
    c = counts(client.sync(), room)
    return c["notification_count"], c["highlight_count"]


def test_typing_is_seen_and_ends(alice, bob, room):
    bob.next_sync()
    alice.typing(room)

    def typing(users):
        return lambda a: any(e["type"] == "m.typing" and e["content"]["user_ids"] == users for e in section(a, room, "ephemeral"))

    bob.sync_until(typing([alice.user_id]))
    alice.typing(room, False)
    bob.sync_until(typing([]))


def test_typing_times_out_by_itself(alice, bob, room):
    bob.next_sync()
    alice.typing(room, timeout=300)
    bob.sync_until(lambda a: any(e["type"] == "m.typing" and e["content"]["user_ids"] for e in section(a, room, "ephemeral")))
    bob.sync_until(lambda a: any(e["type"] == "m.typing" and not e["content"]["user_ids"] for e in section(a, room, "ephemeral")))


def test_nobody_types_for_another_or_from_outside(alice, bob, room, new_user):
    path = f"/rooms/{quote(room)}/typing/"
    assert refusal(bob.put, path + alice.user_id, {"typing": True, "timeout": 1000}).status in (400, 403)
    carol = new_user("carol")
    assert refusal(carol.put, path + carol.user_id, {"typing": True, "timeout": 1000}).status == 403


def test_a_receipt_is_seen_by_others(alice, bob, room):
    e = alice.text(room, "read me")
    alice.next_sync()
    bob.receipt(room, e)

    def seen(a):
        return [x["content"][e]["m.read"] for x in section(a, room, "ephemeral") if x["type"] == "m.receipt" and e in x["content"]]

    receipt = alice.sync_until(seen)[0][bob.user_id]
    assert isinstance(receipt["ts"], int)


def test_a_private_receipt_is_seen_by_its_owner_only(alice, bob, room):
    e = alice.text(room, "read me")
    alice.next_sync()
    bob.next_sync()
    bob.receipt(room, e, "m.read.private")

    def mine(a):
        return [x for x in section(a, room, "ephemeral") if x["type"] == "m.receipt" and "m.read.private" in x["content"].get(e, {})]

    bob.sync_until(mine)
    marker = bob.text(room, "marker")
    seen = []
    alice.sync_until(lambda a: seen.extend(mine(a)) or any(x["event_id"] == marker for x in section(a, room, "timeline")))
    assert seen == []


def test_read_markers_set_the_fully_read_line(alice, bob, room):
    e = alice.text(room, "x")
    bob.next_sync()
    bob.post(f"/rooms/{quote(room)}/read_markers", {"m.fully_read": e, "m.read": e})
    bob.sync_until(lambda a: [x for x in section(a, room, "account_data") if x["type"] == "m.fully_read" and x["content"]["event_id"] == e])
    assert bob.get(f"/user/{bob.user_id}/rooms/{quote(room)}/account_data/m.fully_read") == {"event_id": e}


@pytest.mark.parametrize("kind", ["m.no", "org.example.read"])
def test_unknown_receipts_are_refused(alice, room, kind):
    e = alice.text(room, "x")
    assert refusal(alice.receipt, room, e, kind).status == 400


def test_messages_count_until_read(alice, bob, room):
    last = [alice.text(room, str(i)) for i in range(3)][-1]
    assert unread(bob, room) == (3, 0)
    assert unread(alice, room) == (0, 0)
    bob.receipt(room, last)
    assert unread(bob, room) == (0, 0)


def test_ones_own_message_neither_counts_nor_reads_the_room(alice, bob, room):
    alice.text(room, "x")
    assert unread(bob, room) == (1, 0)
    bob.text(room, "seen")
    assert unread(bob, room) == (1, 0)


def test_a_receipt_in_the_middle_leaves_the_rest(alice, bob, room):
    sent = [alice.text(room, str(i)) for i in range(5)]
    bob.receipt(room, sent[2])
    assert unread(bob, room) == (2, 0)
    bob.receipt(room, sent[1])
    assert unread(bob, room) == (2, 0)


def test_mentions_highlight(alice, bob, room):
    alice.text(room, "look", **{"m.mentions": {"user_ids": [bob.user_id]}})
    alice.text(room, "all", **{"m.mentions": {"room": True}})
    alice.text(room, "plain", **{"m.mentions": {}})
    assert unread(bob, room) == (3, 2)


def test_the_name_in_the_text_highlights_when_mentions_are_not_stated(alice, bob, room):
    local = bob.user_id[1:].split(":")[0]
    alice.text(room, f"hey {local}, are you there")
    assert unread(bob, room) == (1, 1)


def test_notices_and_edits_and_reactions_do_not_count(alice, bob, room):
    e = alice.text(room, "one")
    alice.send(room, content={"msgtype": "m.notice", "body": "a notice"})
    alice.send(room, "m.reaction", {"m.relates_to": {"rel_type": "m.annotation", "event_id": e, "key": "x"}})
    alice.send(room, content={"msgtype": "m.text", "body": "* two", "m.new_content": {"msgtype": "m.text", "body": "two"},
                              "m.relates_to": {"rel_type": "m.replace", "event_id": e}})
    assert unread(bob, room) == (1, 0)


def test_a_live_sync_carries_the_new_count(alice, bob, room):
    bob.next_sync()
    e = alice.text(room, "x")
    answer = bob.sync_until(lambda a: room in a.get("rooms", {}).get("join", {}) and a)
    assert counts(answer, room) == {"notification_count": 1, "highlight_count": 0}
    bob.receipt(room, e)
    answer = bob.sync_until(lambda a: room in a.get("rooms", {}).get("join", {}) and a)
    assert counts(answer, room) == {"notification_count": 0, "highlight_count": 0}
