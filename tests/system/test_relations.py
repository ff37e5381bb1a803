"""Edits, reactions, threads, references."""

import pytest

from mx import quote, refusal


def relate(kind, event, **more):
    return {"m.relates_to": {"rel_type": kind, "event_id": event, **more}}


def edit(client, room, event, body):
    content = {"msgtype": "m.text", "body": f"* {body}", "m.new_content": {"msgtype": "m.text", "body": body}}
    return client.send(room, content={**content, **relate("m.replace", event)})


def relations(client, room, event, *path, **query):
    tail = "".join("/" + quote(p) for p in path)
    return client.get(f"/_matrix/client/v1/rooms/{quote(room)}/relations/{quote(event)}{tail}", query)


def test_the_newest_edit_of_the_author_is_bundled(alice, bob, room):
    e = alice.text(room, "one")
    edit(alice, room, e, "two")
    last = edit(alice, room, e, "three")
    edit(bob, room, e, "not mine to edit")
    event = bob.event(room, e)
    assert event["content"]["body"] == "one"
    assert event["unsigned"]["m.relations"]["m.replace"]["event_id"] == last


def test_threads_count_and_show_their_newest(alice, bob, room):
    root = alice.text(room, "root")
    bob.send(room, content={"msgtype": "m.text", "body": "1", **relate("m.thread", root)})
    last = bob.send(room, content={"msgtype": "m.text", "body": "2", **relate("m.thread", root)})
    thread = alice.event(room, root)["unsigned"]["m.relations"]["m.thread"]
    assert thread["count"] == 2 and thread["latest_event"]["event_id"] == last
    assert thread["current_user_participated"] is True or alice.user_id
    seen_by_bob = bob.event(room, root)["unsigned"]["m.relations"]["m.thread"]
    assert seen_by_bob["current_user_participated"] is True
    listed = alice.get(f"/_matrix/client/v1/rooms/{quote(room)}/threads")["chunk"]
    assert [e["event_id"] for e in listed] == [root]


def test_bundles_are_in_sync_messages_and_context_too(alice, bob, room):
    root = alice.text(room, "root")
    bob.send(room, content={"msgtype": "m.text", "body": "1", **relate("m.thread", root)})
    views = [x for x in alice.messages(room, limit=20)["chunk"] if x["event_id"] == root]
    views += [alice.get(f"/rooms/{quote(room)}/context/{quote(root)}")["event"]]
    limited = alice.sync(filter='{"room":{"timeline":{"limit":2}}}')["rooms"]["join"][room]["timeline"]
    views += [x for x in limited["events"] if x["event_id"] == root]
    assert len(views) == 3
    for v in views:
        assert v["unsigned"]["m.relations"]["m.thread"]["count"] == 1


def test_what_relates_to_an_event_is_shown_though_nothing_did_when_it_was_read_before(alice, bob, room):
    ids = [alice.text(room, f"m{i}") for i in range(3)]
    assert not any("m.relations" in e["unsigned"] for e in alice.messages(room, limit=20)["chunk"])
    edited = edit(alice, room, ids[0], "two")
    bob.send(room, content={"msgtype": "m.text", "body": "1", **relate("m.thread", ids[1])})
    referring = bob.send(room, "org.example.ref", relate("m.reference", ids[2]))
    seen = {e["event_id"]: e["unsigned"]["m.relations"] for e in alice.messages(room, limit=20)["chunk"] if e["event_id"] in ids}
    assert seen[ids[0]]["m.replace"]["event_id"] == edited
    assert seen[ids[1]]["m.thread"]["count"] == 1
    assert seen[ids[2]]["m.reference"]["chunk"] == [{"event_id": referring}]


def test_relations_are_listed_by_kind_and_type(alice, bob, room):
    e = alice.text(room, "target")
    ref = bob.send(room, "org.example.ref", relate("m.reference", e))
    reaction = bob.send(room, "m.reaction", relate("m.annotation", e, key="👍"))
    assert [x["event_id"] for x in relations(alice, room, e)["chunk"]] == [reaction, ref]
    assert [x["event_id"] for x in relations(alice, room, e, dir="f")["chunk"]] == [ref, reaction]
    assert [x["event_id"] for x in relations(alice, room, e, "m.annotation")["chunk"]] == [reaction]
    assert [x["event_id"] for x in relations(alice, room, e, "m.reference", "org.example.ref")["chunk"]] == [ref]
    assert relations(alice, room, e, "m.reference", "org.example.other")["chunk"] == []


def test_relations_have_pages(alice, room):
    e = alice.text(room, "target")
    sent = [alice.send(room, "org.example.ref", {"i": i, **relate("m.reference", e)}) for i in range(7)]
    seen, token = [], None
    for _ in range(10):
        page = relations(alice, room, e, limit=3, **({"from": token} if token else {}))
        seen += [x["event_id"] for x in page["chunk"]]
        token = page.get("next_batch")
        if not token:
            break
    assert seen == sent[::-1]


def test_the_same_reaction_twice_is_refused(alice, bob, room):
    e = alice.text(room, "target")
    bob.send(room, "m.reaction", relate("m.annotation", e, key="👍"))
    r = refusal(bob.send, room, "m.reaction", relate("m.annotation", e, key="👍"))
    assert (r.status, r.errcode) == (400, "M_DUPLICATE_ANNOTATION")
    bob.send(room, "m.reaction", relate("m.annotation", e, key="🎉"))
    alice.send(room, "m.reaction", relate("m.annotation", e, key="👍"))


def test_a_redacted_reply_leaves_the_thread(alice, bob, room):
    root = alice.text(room, "root")
    reply = bob.send(room, content={"msgtype": "m.text", "body": "1", **relate("m.thread", root)})
    bob.redact(room, reply)
    assert "m.thread" not in alice.event(room, root).get("unsigned", {}).get("m.relations", {})


def test_a_redacted_edit_is_no_edit(alice, room):
    e = alice.text(room, "one")
    x = edit(alice, room, e, "two")
    alice.redact(room, x)
    assert "m.replace" not in alice.event(room, e).get("unsigned", {}).get("m.relations", {})


def test_a_token_of_sync_is_a_place_among_relations(alice, room):
    root = alice.text(room, "root")
    thread = {"m.relates_to": {"rel_type": "m.thread", "event_id": root}}
    old = [alice.text(room, f"old {i}", **thread) for i in range(3)]
    token = alice.sync()["next_batch"]
    new = [alice.text(room, f"new {i}", **thread) for i in range(4)]
    path = f"/_matrix/client/v1/rooms/{quote(room)}/relations/{quote(root)}"

    def pages(**query):
        seen = []
        while True:
            answer = alice.get(path, {"limit": 3, **query})
            seen += [e["event_id"] for e in answer["chunk"]]
            if "next_batch" not in answer:
                return seen
            query["from"] = answer["next_batch"]

    assert pages(dir="f", **{"from": token}) == new
    assert pages(dir="b", **{"from": token}) == old[::-1]
    assert pages(dir="b", to=token) == new[::-1]
    assert pages(dir="f", to=token) == old
    assert pages(dir="b") == (old + new)[::-1]


# X08 a recursion goes three levels down, a page holds what it was asked for and a thousand at most
def test_recursion_and_pages_have_ends(alice, bob, room):
    chain = [alice.text(room, "level 0")]
    for i in range(1, 6):
        chain.append(bob.send(room, "org.example.ref", relate("m.reference", chain[-1])))
    side = alice.send(room, "m.reaction", relate("m.annotation", chain[2], key="k"))
    shallow, deep = relations(alice, room, chain[0], limit=50), relations(alice, room, chain[0], recurse="true", limit=50)
    assert [e["event_id"] for e in shallow["chunk"]] == [chain[1]] and "recursion_depth" not in shallow
    assert {e["event_id"] for e in deep["chunk"]} == {*chain[1:4], side} and deep["recursion_depth"] == 3
    assert [e["event_id"] for e in relations(alice, room, chain[0], "m.annotation", recurse="true")["chunk"]] == [side]
    seen, token = [], None
    while len(seen) < 10:
        page = relations(alice, room, chain[0], recurse="true", limit=1, dir="f", **({"from": token} if token else {}))
        assert len(page["chunk"]) <= 1
        seen += [e["event_id"] for e in page["chunk"]]
        token = page.get("next_batch")
        if not token:
            break
    assert seen == [*chain[1:4], side]
    assert relations(alice, room, chain[0], limit=10**12)["chunk"]
    for bad in ({"limit": -1}, {"limit": "x"}, {"recurse": "x"}, {"dir": "x"}, {"from": "x"}):
        assert refusal(relations, alice, room, chain[0], **bad).status == 400


def test_threads_come_in_pages_and_by_who_took_part(alice, bob, room):
    roots = [alice.text(room, f"root {i}") for i in range(4)] + [bob.text(room, "bob's")]
    for root in roots:
        alice.send(room, content={"msgtype": "m.text", "body": "r", **relate("m.thread", root)})
    bob.send(room, content={"msgtype": "m.text", "body": "r", **relate("m.thread", roots[1])})

    def walk(client, **query):
        seen, token = [], None
        for _ in range(10):
            page = client.get(f"/_matrix/client/v1/rooms/{quote(room)}/threads", {"limit": 2, **query, **({"from": token} if token else {})})
            assert len(page["chunk"]) <= 2
            seen += [e["event_id"] for e in page["chunk"]]
            token = page.get("next_batch")
            if not token:
                return seen

    newest_first = [roots[1], roots[4], roots[3], roots[2], roots[0]]
    assert walk(alice) == newest_first == walk(bob, include="all")
    assert walk(bob, include="participated") == [roots[1], roots[4]]
    assert walk(alice, include="participated") == newest_first
    assert refusal(walk, alice, include="x").status == 400


def test_what_the_ignored_say_is_not_in_summaries(alice, bob, room, new_user):
    carol = new_user("carol")
    carol.join(room)
    root = alice.text(room, "root")
    kept = bob.send(room, content={"msgtype": "m.text", "body": "1", **relate("m.thread", root)})
    carol.send(room, content={"msgtype": "m.text", "body": "2", **relate("m.thread", root)})
    carol.send(room, "org.example.ref", relate("m.reference", root))
    seen = bob.event(room, root)["unsigned"]["m.relations"]
    assert seen["m.thread"]["count"] == 2 and len(seen["m.reference"]["chunk"]) == 1
    alice.put(f"/user/{quote(alice.user_id)}/account_data/m.ignored_user_list", {"ignored_users": {carol.user_id: {}}})
    seen = alice.event(room, root)["unsigned"]["m.relations"]
    assert (seen["m.thread"]["count"], seen["m.thread"]["latest_event"]["event_id"]) == (1, kept)
    assert "m.reference" not in seen


def test_edits_of_a_redacted_event_are_not_listed(alice, room):
    root = alice.text(room, "secret")
    edit = alice.text(room, "* secret too", **{"m.new_content": {"msgtype": "m.text", "body": "secret too"}, "m.relates_to": {"rel_type": "m.replace", "event_id": root}})
    reply = alice.text(room, "reply", **{"m.relates_to": {"rel_type": "m.thread", "event_id": root}})
    path = f"/_matrix/client/v1/rooms/{quote(room)}/relations/{quote(root)}"

    def listed(suffix=""):
        return [e["event_id"] for e in alice.get(path + suffix)["chunk"]]

    assert listed() == [reply, edit] and listed("/m.replace") == [edit]
    alice.redact(room, root)
    assert listed() == [reply] and listed("/m.replace") == []
    assert "m.replace" not in alice.event(room, root).get("unsigned", {}).get("m.relations", {})


def test_a_token_of_sync_cuts_relations_by_position_not_by_depth(server, alice, room):
    """Other servers' events come with depths of their own: here one that is deeper came before one that is not."""
    root = alice.text(room, "root")
    thread = {"m.relates_to": {"rel_type": "m.thread", "event_id": root}}
    old = [alice.text(room, f"old {i}", **thread) for i in range(2)]
    token = alice.sync()["next_batch"]
    new = [alice.text(room, f"new {i}", **thread) for i in range(3)]
    server.sql("UPDATE timeline t SET depth = 1 FROM event e WHERE e.room_nid = t.room_nid AND e.event_nid = t.event_nid"
               f" AND e.event_id IN ('{new[0]}', '{new[1]}')")
    path = f"/_matrix/client/v1/rooms/{quote(room)}/relations/{quote(root)}"

    def pages(**query):
        seen = []
        while True:
            answer = alice.get(path, {"limit": 1, **query})
            seen += [e["event_id"] for e in answer["chunk"]]
            if "next_batch" not in answer:
                return seen
            query["from"] = answer["next_batch"]

    assert pages(dir="f", **{"from": token}) == new
    assert pages(dir="b", to=token) == new[::-1]
    assert pages(dir="b", **{"from": token}) == old[::-1]
    assert pages(dir="f", to=token) == old
