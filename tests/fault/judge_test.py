#!/usr/bin/env python3
"""The judge of the fault programs finds what it is there to find."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import judge  # noqa: E402


def member(id, user, to, by=None):
    return {"event_id": id, "type": "m.room.member", "state_key": user, "sender": by or user, "content": {"membership": to}}


def text(id, user, body=None):
    return {"event_id": id, "type": "m.room.message", "sender": user, "content": {"body": body or f"text of {id}"}}


HISTORY = [
    {"event_id": "c", "type": "m.room.create", "state_key": "", "sender": "o", "content": {}},
    member("jo", "o", "join"),
    {"event_id": "pl", "type": "m.room.power_levels", "state_key": "", "sender": "o", "content": {"events": {"hs.gate": 90}}},
    member("ja", "a", "join"),
    text("m1", "a"),
    text("m2", "o"),
    member("ba", "a", "ban", "o"),
    text("m3", "o"),
    member("ua", "a", "leave", "o"),
    member("ja2", "a", "join"),
    text("m4", "o"),
    text("m5", "a"),
]
ORDER = [e["event_id"] for e in HISTORY]
PLACE = {e: i for i, e in enumerate(ORDER)}


class Stretch:
    def __init__(self, ids, why="start"):
        self.ids, self.why, self.batches = ids, why, [(len(ids), False, 0)]


class Shown:
    def __init__(self, *stretches, joined=True, state=None):
        self.stretches, self.joined, self.state = stretches, joined, state or {}


def kinds(complaints):
    return [k for k, _ in complaints]


def shown(user, *parts):
    stretches = [Stretch(ids, "start" if not i else "gap") for i, ids in enumerate(parts)]
    return kinds(judge.stretches("r", user, Shown(*stretches), ORDER, PLACE, judge.joined_at(HISTORY)))


class JudgeTest(unittest.TestCase):
    def test_a_right_history_passes(self):
        self.assertEqual(kinds(judge.not_once("r", HISTORY)), [])
        self.assertEqual(kinds(judge.not_allowed("r", HISTORY)), [])

    def test_what_is_there_twice_is_found(self):
        self.assertEqual(kinds(judge.not_once("r", [text("x", "a", "same"), text("y", "a", "same")])), ["doubled"])
        self.assertEqual(kinds(judge.not_once("r", [text("x", "a", "1"), text("x", "a", "1")])), ["doubled", "doubled"])

    def test_what_is_lost_is_found(self):
        self.assertEqual(kinds(judge.lost({"r": PLACE}, [("r", "m1"), ("r", "gone")])), ["lost"])

    def test_a_senders_order_is_kept(self):
        self.assertEqual(kinds(judge.out_of_order(PLACE, [(1, 2, "m1"), (3, 4, "m5")], "a")), [])
        self.assertEqual(kinds(judge.out_of_order(PLACE, [(1, 2, "m5"), (3, 4, "m1")], "a")), ["sender's order"])
        self.assertEqual(kinds(judge.out_of_order(PLACE, [(1, 4, "m5"), (3, 4, "m1")], "a")), [])  # both at once
        self.assertEqual(kinds(judge.out_of_order(PLACE, [(1, 2, "m5"), (1.5, 9, "m2"), (3, 4, "m1")], "a")), ["sender's order"])

    def test_an_event_that_a_page_should_have_is_found(self):
        self.assertEqual(kinds(judge.not_in_page("r", "m1", ["m2", "m4"], PLACE, "")), [])
        self.assertEqual(kinds(judge.not_in_page("r", "m3", ["m2", "m4"], PLACE, "")), ["own event not readable"])

    def test_a_message_after_the_ban_is_found(self):
        late = HISTORY[:8] + [text("m9", "a")] + HISTORY[8:]
        self.assertEqual(kinds(judge.not_allowed("r", late)), ["banned user's message accepted"])

    def test_a_join_after_the_ban_is_found(self):
        late = HISTORY[:8] + [member("j9", "a", "join")]
        self.assertEqual(kinds(judge.not_allowed("r", late)), ["not allowed"])

    def test_a_closed_gate_is_closed(self):
        gate = {"event_id": "g", "type": "hs.gate", "sender": "a", "content": {}}
        self.assertEqual(kinds(judge.not_allowed("r", HISTORY + [gate])), ["power level not obeyed"])

    def test_a_whole_stream_passes(self):
        self.assertEqual(shown("o", ORDER), [])
        self.assertEqual(shown("o", ORDER[:5], ORDER[7:]), [])  # a gap, said to be one

    def test_what_a_stream_left_out_is_found(self):
        self.assertEqual(shown("o", [e for e in ORDER if e != "m2"]), ["never shown"])
        self.assertEqual(shown("a", [e for e in ORDER if e != "m3"]), [])  # a was banned meanwhile
        self.assertEqual(kinds(judge.unfinished("r", "o", Shown(Stretch(ORDER[:-1])), "m5")), ["never shown"])

    def test_what_a_stream_shows_twice_or_elsewhere_is_found(self):
        self.assertEqual(shown("o", ORDER[:6] + ["m2"] + ORDER[6:]), ["shown twice"])
        self.assertEqual(shown("o", ORDER[:5] + ["m3"] + ORDER[5:7] + ORDER[8:]), ["orders differ"])
        self.assertEqual(shown("o", ORDER[:5], ORDER[4:]), ["shown twice"])
        self.assertEqual(shown("o", ORDER + ["z"]), ["shown, not in the history"])

    def test_orders_that_differ_are_found(self):
        self.assertEqual(kinds(judge.one_order("r", "o", ORDER, ORDER)), [])
        self.assertEqual(kinds(judge.one_order("r", "o", ORDER[::-1], ORDER)), ["orders differ"])
        self.assertEqual(kinds(judge.walk("r", ORDER, None, ORDER)), [])
        self.assertEqual(kinds(judge.walk("r", ORDER, None, ORDER[::-1])), ["orders differ"])
        self.assertEqual(kinds(judge.walk("r", ORDER, None, ORDER[1:])), ["history and stream differ"])
        depth = {e: i for i, e in enumerate(ORDER)} | {"m5": PLACE["m2"]}  # a fork: shown last, older in the graph
        self.assertEqual(kinds(judge.walk("r", ORDER, depth, ORDER[:6] + ["m5"] + ORDER[6:-1])), [])
        self.assertEqual(kinds(judge.page("r", ["m1", "m3"], PLACE, 0)), [])
        self.assertEqual(kinds(judge.page("r", ["m3", "m1"], PLACE, 0)), ["orders differ"])

    def test_state_that_a_client_has_wrong_is_found(self):
        state = judge.last_state(HISTORY)
        self.assertEqual(kinds(judge.state_as_shown("r", "o", Shown(state=dict(state)), state)), [])
        old = dict(state) | {("m.room.member", "a"): "ja"}
        self.assertEqual(kinds(judge.state_as_shown("r", "o", Shown(state=old), state)), ["state as shown differs"])

    def test_to_device_messages_come_once_in_order(self):
        sent = [("a", "b", 1), ("a", "b", 2), ("a", "b", 3)]

        def verdict(*got):
            return kinds(judge.to_device(sent, {"b": [("a", n) for n in got]}, ["b"]))

        self.assertEqual(verdict(1, 2, 3), [])
        self.assertEqual(verdict(1, 2, 3, 4), [])  # sent without an answer
        self.assertEqual(verdict(1, 3), ["to-device lost"])
        self.assertEqual(verdict(1, 2, 2, 3), ["to-device twice"])
        self.assertEqual(verdict(1, 3, 2), ["to-device out of order"])

    def test_unread_messages_are_those_of_others_since_the_join_or_the_receipt(self):
        self.assertEqual(judge.unread(HISTORY, PLACE, "o", None), 2)
        self.assertEqual(judge.unread(HISTORY, PLACE, "o", "m1"), 1)
        self.assertEqual(judge.unread(HISTORY, PLACE, "a", "m1"), 1)
        self.assertEqual(judge.unread(HISTORY, PLACE, "a", "m4"), 0)


if __name__ == "__main__":
    unittest.main()
