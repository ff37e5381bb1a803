"""Push rules: changing them, what they make of unread counts, their limits."""

import json
import threading

import pytest

from mx import NO_PRESENCE, Client, quote, refusal
from server import Server

HIGHLIGHT = ["notify", {"set_tweak": "highlight"}]
BASE = "/pushrules/global"


def counts(client, room):
    c = client.sync()["rooms"]["join"][room]["unread_notifications"]
    return c["notification_count"], c["highlight_count"]


def put(client, kind, rule, body=None, **query):
    body = body or {"actions": ["notify"]}
    return client.put(f"{BASE}/{kind}/{quote(rule)}", body, query=query)


def ids(client, kind):
    return [r["rule_id"] for r in client.get(f"{BASE}/{kind}/")]


def own(client, kind):
    return [r["rule_id"] for r in client.get(f"{BASE}/{kind}/") if not r["default"]]


def changed_rules(client):
    """The push rules that the next incremental sync tells; None: none."""
    for e in client.next_sync().get("account_data", {}).get("events", []):
        if e["type"] == "m.push_rules":
            return e["content"]["global"]
    return None


# -- changing them -----------------------------------------------------------------------------------------------------


def test_a_rule_is_made_replaced_switched_and_removed(bob):
    put(bob, "content", "cake", {"pattern": "cake*lie", "actions": HIGHLIGHT})
    rule = {"rule_id": "cake", "default": False, "enabled": True, "pattern": "cake*lie", "actions": HIGHLIGHT}
    assert bob.get(f"{BASE}/content/cake") == rule
    assert bob.get(f"{BASE}/content/cake/actions") == {"actions": HIGHLIGHT}
    assert bob.put(f"{BASE}/content/cake/enabled", {"enabled": False}) == {}
    put(bob, "content", "cake", {"pattern": "pie", "actions": ["dont_notify"]})
    assert bob.get(f"{BASE}/content/cake") == {**rule, "pattern": "pie", "actions": ["dont_notify"], "enabled": False}
    assert bob.put(f"{BASE}/content/cake/actions", {"actions": ["notify"]}) == {}
    assert bob.get(f"{BASE}/content/cake/actions") == {"actions": ["notify"]}
    assert bob.delete(f"{BASE}/content/cake") == {}
    assert refusal(bob.get, f"{BASE}/content/cake").status == 404
    r = refusal(bob.delete, f"{BASE}/content/cake")
    assert (r.status, r.errcode) == (404, "M_NOT_FOUND")


def test_rules_of_all_kinds_keep_what_they_say(bob):
    conditions = [{"kind": "event_match", "key": "type", "pattern": "m.x"}, {"kind": "org.unknown", "x": {"y": 1}}]
    for kind in ("override", "underride"):
        put(bob, kind, "r", {"conditions": conditions, "actions": []})
        assert bob.get(f"{BASE}/{kind}/r")["conditions"] == conditions
    put(bob, "room", "!room:x")
    put(bob, "sender", "@user:x")
    assert set(bob.get(f"{BASE}/room/{quote('!room:x')}")) == {"rule_id", "default", "enabled", "actions"}
    assert own(bob, "sender") == ["@user:x"]


def test_a_new_rule_comes_first_or_where_it_is_put(bob):
    def override(rule, **query):
        put(bob, "override", rule, {"conditions": [], "actions": []}, **query)
        return own(bob, "override")

    override("a")
    assert override("b") == ["b", "a"]
    assert override("c", after="b") == ["b", "c", "a"]
    assert override("d", before="a") == ["b", "c", "d", "a"]
    assert override("a", before="c") == ["b", "a", "c", "d"]  # a rule that is there moves
    assert override("d") == ["d", "b", "a", "c"]
    assert ids(bob, "override")[0] == ".m.rule.master"  # which stays in front of all
    assert ids(bob, "override")[5] == ".m.rule.suppress_notices"
    for where in ("before", "after"):
        r = refusal(put, bob, "override", "e", {"conditions": [], "actions": []}, **{where: "nothing"})
        assert (r.status, r.errcode) == (400, "M_UNKNOWN")
        assert r.body["error"] == "before/after rule not found: global/override/nothing"
        assert refusal(put, bob, "room", "!r:x", **{where: "a"}).status == 400  # of another kind


def test_default_rules_can_be_switched_and_changed_but_not_removed(bob):
    message = f"{BASE}/underride/.m.rule.message"
    before = bob.get(message)
    assert bob.put(message + "/enabled", {"enabled": False}) == {}
    assert bob.get(message + "/enabled") == {"enabled": False}
    assert bob.put(message + "/enabled", True) == {}  # some clients send it bare
    assert refusal(bob.delete, message).status == 404
    assert bob.put(message + "/actions", {"actions": []}) == {}
    assert bob.get(message) == {**before, "actions": []}
    assert bob.delete(message) == {}  # its own actions again
    assert bob.get(message) == before
    assert refusal(put, bob, "underride", ".m.rule.message", {"conditions": [], "actions": []}).status == 400


# C17 bad rules get an error and leave nothing
@pytest.mark.parametrize("kind,rule,body,status,text", [
    ("override", ".mine", {"conditions": [], "actions": []}, 400, "cannot add new rule_ids that start with '.'"),
    ("nokind", "r", {"actions": []}, 400, "Unknown template: nokind"),
    ("postcontent", "r", {"conditions": [], "actions": []}, 400, "user-defined rules using `postcontent` are not accepted"),
    ("content", "a/b", {"pattern": "x", "actions": []}, 400, "rule_id may not contain slashes"),
    ("content", "a\\b", {"pattern": "x", "actions": []}, 400, "rule_id may not contain slashes"),
    ("content", "r", {"actions": []}, 400, "Content rule missing 'pattern'"),
    ("content", "r", {"pattern": 5, "actions": []}, 400, "Content rule missing 'pattern'"),
    ("content", "r", {"pattern": "x"}, 400, "No actions found"),
    ("content", "r", {"pattern": "x", "actions": "notify"}, 400, "No actions found"),
    ("content", "r", {"pattern": "x", "actions": ["shout"]}, 400, 'Unrecognised action "shout"'),
    ("override", "r", {"actions": []}, 400, "Missing 'conditions'"),
    ("override", "r", {"conditions": {}, "actions": []}, 400, "Missing 'conditions'"),
    ("override", "r", {"conditions": [5], "actions": []}, 400, "Condition without 'kind'"),
    ("override", "r", {"conditions": [{"key": "type"}], "actions": []}, 400, "Condition without 'kind'"),
    ("override", "r", [], 400, "Missing 'conditions'"),
    ("room", "!" + "r" * 300, {"actions": []}, 413, None),
    ("content", "r", {"pattern": "x" * 1100, "actions": []}, 413, None),
])
def test_bad_rules_are_refused(bob, kind, rule, body, status, text):
    before = bob.get("/pushrules/")
    r = refusal(put, bob, kind, rule, body)
    assert r.status == status and (text is None or r.body["error"] == text)
    assert bob.get("/pushrules/") == before


def test_bad_changes_of_rules_are_refused(bob):
    put(bob, "room", "!r:x")
    for path, body, status in [
        ("room/!r:x/enabled", {"enabled": "yes"}, 400),
        ("room/!r:x/enabled", {}, 400),
        ("room/!none:x/enabled", {"enabled": True}, 404),
        ("room/!r:x/actions", {"actions": "notify"}, 400),
        ("room/!r:x/actions", [], 400),
        ("room/!r:x/actions", {"actions": ["shout"]}, 400),
        ("room/!none:x/actions", {"actions": []}, 404),
        ("override/.none/actions", {"actions": []}, 404),
        ("override/.none/enabled", {"enabled": True}, 404),
        ("nokind/x/enabled", {"enabled": True}, 400),
    ]:
        assert refusal(bob.put, f"{BASE}/{path}", body).status == status, path
    r = refusal(bob.put, f"{BASE}/room/!r:x/colour", {})
    assert (r.status, r.errcode) == (400, "M_UNRECOGNIZED")
    assert bob.raw("PUT", f"{BASE}/room/!r:x", data=b"{").json()["errcode"] == "M_NOT_JSON"


def test_a_change_is_told_to_the_other_devices(bob, server):
    bob.next_sync()
    assert changed_rules(bob) is None
    other = Client(server.base).login(bob.user_id)
    put(other, "content", "cake", {"pattern": "cake", "actions": ["notify"]})
    assert [r["rule_id"] for r in changed_rules(bob)["content"]] == ["cake", ".m.rule.contains_user_name"]
    assert changed_rules(bob) is None
    other.put(f"{BASE}/content/cake/enabled", {"enabled": False})
    assert changed_rules(bob)["content"][0]["enabled"] is False
    assert bob.get(f"/user/{bob.user_id}/account_data/m.push_rules")["global"]["content"][0]["rule_id"] == "cake"


def test_a_waiting_sync_ends_with_a_change(bob):
    bob.next_sync()
    got = []
    waiter = threading.Thread(target=lambda: got.append(bob.next_sync(timeout=20000, filter=NO_PRESENCE)))
    waiter.start()
    other = Client(bob.base, bob.token)
    put(other, "room", "!r:x")
    waiter.join(15)
    assert got and got[0]["account_data"]["events"][0]["type"] == "m.push_rules"


def test_changes_made_at_the_same_time_are_all_kept(bob):
    def work(n):
        mine = Client(bob.base, bob.token)
        for i in range(5):
            put(mine, "room", f"!r{n}-{i}:x")

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(own(bob, "room")) == sorted(f"!r{n}-{i}:x" for n in range(4) for i in range(5))


# -- what they do ------------------------------------------------------------------------------------------------------


def test_a_muted_room_counts_nothing_but_for_others(alice, bob, new_user, room):
    carol = new_user("carol")
    alice.invite(room, carol.user_id)
    carol.join(room)
    alice.text(room, "one")
    put(bob, "room", room, {"actions": []})
    bob.sync()
    alice.text(room, "two")
    alice.text(room, f"three, {bob.user_id.split(':')[0][1:]}")  # a content rule is asked before the room's
    assert counts(bob, room) == (2, 1)  # what was counted before stays
    assert counts(carol, room) == (3, 0)
    bob.delete(f"{BASE}/room/{quote(room)}")
    bob.sync()
    alice.text(room, "four")
    assert counts(bob, room) == (3, 1)


def test_a_room_muted_by_an_override_counts_nothing_at_all(alice, bob, room):
    put(bob, "override", room, {"conditions": [{"kind": "event_match", "key": "room_id", "pattern": room}], "actions": ["dont_notify"]})
    bob.sync()
    alice.text(room, bob.user_id, **{"m.mentions": {"user_ids": [bob.user_id]}})
    assert counts(bob, room) == (0, 0)


def test_a_keyword_highlights_for_who_asked(alice, bob, new_user, room):
    carol = new_user("carol")
    alice.invite(room, carol.user_id)
    carol.join(room)
    put(bob, "content", "cake", {"pattern": "ca?e", "actions": HIGHLIGHT})
    bob.sync()
    alice.text(room, "the CAKE is a lie")
    alice.text(room, "the cakes are lies")
    assert counts(bob, room) == (2, 1)
    assert counts(carol, room) == (2, 0)
    bob.send(room, content={"msgtype": "m.text", "body": "cake"})
    assert counts(bob, room) == (2, 1)  # one's own


def test_a_sender_is_told_apart(alice, bob, new_user, room):
    carol = new_user("carol")
    alice.invite(room, carol.user_id)
    carol.join(room)
    put(bob, "sender", carol.user_id, {"actions": HIGHLIGHT})
    bob.sync()
    alice.text(room, "x")
    carol.text(room, "y")
    assert counts(bob, room) == (2, 1)


@pytest.mark.parametrize("condition,content,holds", [
    ({"kind": "event_match", "key": "content.n.m", "pattern": "v*"}, {"n": {"m": "value"}}, True),
    ({"kind": "event_property_is", "key": "content.flag", "value": True}, {"flag": True}, True),
    ({"kind": "event_property_is", "key": "content.flag", "value": True}, {"flag": "true"}, False),
    ({"kind": "event_property_contains", "key": "content.list", "value": 5}, {"list": ["x", 5]}, True),
    ({"kind": "event_property_contains", "key": "content.list", "value": "5"}, {"list": ["x", 5]}, False),
    ({"kind": "contains_display_name"}, {"body": "hi Robert"}, True),
    ({"kind": "contains_display_name"}, {"body": "hi Robert", "m.mentions": {}}, True),
    ({"kind": "contains_display_name"}, {"body": "hi Roberta"}, False),
    ({"kind": "room_member_count", "is": "2"}, {}, True),
    ({"kind": "room_member_count", "is": ">2"}, {}, False),
    ({"kind": "sender_notification_permission", "key": "room"}, {}, True),
    ({"kind": "org.example.unknown"}, {}, False),
])
def test_every_condition_decides(alice, bob, room, condition, content, holds):
    bob.put(f"/profile/{bob.user_id}/displayname", {"displayname": "Robert"})
    put(bob, "override", "r", {"conditions": [{"kind": "event_match", "key": "type", "pattern": "org.x"}, condition], "actions": HIGHLIGHT})
    bob.sync()
    alice.send(room, "org.x", content)
    assert counts(bob, room) == ((1, 1) if holds else (0, 0))


def test_everything_off_counts_nothing(alice, bob, room):
    bob.put(f"{BASE}/override/.m.rule.master/enabled", {"enabled": True})
    bob.sync()
    alice.text(room, bob.user_id)
    assert counts(bob, room) == (0, 0)
    bob.put(f"{BASE}/override/.m.rule.master/enabled", {"enabled": False})
    bob.sync()
    alice.text(room, "x")
    assert counts(bob, room) == (1, 0)


def test_a_default_rule_with_other_actions_counts_by_them(alice, bob, room):
    bob.put(f"{BASE}/underride/.m.rule.room_one_to_one/actions", {"actions": []})
    bob.sync()
    alice.text(room, "x")
    assert counts(bob, room) == (0, 0)
    bob.put(f"{BASE}/override/.m.rule.reaction/actions", {"actions": HIGHLIGHT})
    bob.sync()
    event = alice.send(room, "org.x", {})
    alice.send(room, "m.reaction", {"m.relates_to": {"rel_type": "m.annotation", "event_id": event, "key": "y"}})
    assert counts(bob, room) == (1, 1)


def test_threads_count_by_own_rules_too(alice, bob, room):
    flt = json.dumps({"room": {"timeline": {"unread_thread_notifications": True}}})
    root = alice.text(room, "root")
    put(bob, "content", "cake", {"pattern": "cake", "actions": HIGHLIGHT})
    put(bob, "sender", alice.user_id, {"actions": []})
    bob.sync()
    thread = {"m.relates_to": {"rel_type": "m.thread", "event_id": root}}
    alice.text(room, "nothing", **thread)
    alice.text(room, "cake", **thread)
    got = bob.sync(filter=flt)["rooms"]["join"][room]
    assert got["unread_notifications"] == {"notification_count": 1, "highlight_count": 0}
    assert got["unread_thread_notifications"] == {root: {"notification_count": 1, "highlight_count": 1}}


def test_what_own_rules_counted_is_read_and_redacted(alice, bob, room):
    put(bob, "content", "cake", {"pattern": "cake", "actions": HIGHLIGHT})
    bob.sync()
    first = alice.text(room, "cake")
    second = alice.text(room, "more cake")
    assert counts(bob, room) == (2, 2)
    alice.redact(room, second)
    assert counts(bob, room) == (1, 1)
    bob.post(f"/rooms/{quote(room)}/receipt/m.read/{quote(first)}")
    assert counts(bob, room) == (0, 0)


def test_a_user_who_joins_later_brings_rules_along(alice, bob, new_user, room):
    carol = new_user("carol")
    put(carol, "content", "cake", {"pattern": "cake", "actions": HIGHLIGHT})
    alice.text(room, "before")
    alice.invite(room, carol.user_id)
    carol.join(room)
    alice.text(room, "cake")
    assert counts(carol, room) == (1, 1)
    assert counts(bob, room)[1] == 0


def test_rules_hold_after_a_restart():
    server = Server().start()
    try:
        alice, bob = (Client(server.base).register(n) for n in ("alice", "bob"))
        room = alice.create_room(preset="public_chat")
        bob.join(room)
        put(bob, "content", "cake", {"pattern": "cake", "actions": HIGHLIGHT})
        server.stop()
        server.start()
        alice.text(room, "cake")
        assert counts(bob, room) == (1, 1)
        [rule] = [r for r in bob.get(f"{BASE}/content/") if not r["default"]]
        assert rule["rule_id"] == "cake"
    finally:
        server.close()


# N09 globs that are made to be expensive
def test_a_hostile_pattern_is_matched_in_linear_time(alice, bob, room):
    put(bob, "content", "slow", {"pattern": "a*" * 400 + "b", "actions": HIGHLIGHT})
    put(bob, "override", "slow", {"conditions": [{"kind": "event_match", "key": "content.x", "pattern": "*a?" * 200 + "c"}], "actions": HIGHLIGHT})
    bob.sync()
    alice.send(room, content={"msgtype": "m.text", "body": "a" * 30000, "x": "a" * 30000})
    assert counts(bob, room) == (1, 0)
