"""What whole histories must fulfil, however the processes were treated. Pure functions of what was recorded; each gives its complaints as (kind, text)."""

import collections


def not_once(room, events):
    """Each event, and each body, is in the history once: nothing was written twice."""
    ids = collections.Counter(e["event_id"] for e in events)
    bodies = collections.Counter(e["content"]["body"] for e in events if e["content"].get("body"))
    for counted in (ids, bodies):
        for thing, n in counted.items():
            if n > 1:
                yield "doubled", f"{thing} is {n} times in {room}"


def lost(place, acknowledged):
    """acknowledged: [(room, event id)]; place: room → {event id: index}."""
    for room, event in acknowledged:
        if event not in place[room]:
            yield "lost", f"{event} of {room} was acknowledged"


def out_of_order(place, sent, whose):
    """Somebody's later event comes before an earlier one. sent: [(when it was begun, when it was acknowledged, event id)]."""
    sent = [s for s in sent if s[2] in place]
    acked = sorted(sent, key=lambda s: s[1])
    k, last = 0, None  # the latest in the order of those acknowledged before this one was begun
    for begun, _, event in sorted(sent):
        while k < len(acked) and acked[k][1] < begun:
            if last is None or place[acked[k][2]] > place[last]:
                last = acked[k][2]
            k += 1
        if last and place[event] < place[last]:
            yield "sender's order", f"{whose}: {event} comes before {last}, which was acknowledged before it was sent"


def one_order(room, whose, ids, order):
    """A stream without gaps shows exactly the order that another one shows."""
    if len(ids) != len(set(ids)):
        yield "shown twice", f"{room} to {whose}: {[i for i, n in collections.Counter(ids).items() if n > 1][:5]}"
    elif ids != order:
        k = next((k for k, (a, b) in enumerate(zip(ids, order)) if a != b), min(len(ids), len(order)))
        yield "orders differ", f"{room} to {whose}, from #{k} of {len(order)}"


def joined_at(events):
    """For each event of the history the set of those who were joined when it came (before it), shared between events without change."""
    joined, out = frozenset(), []
    for e in events:
        out.append(joined)
        if e["type"] == "m.room.member":
            who = frozenset([e["state_key"]])
            joined = joined | who if e["content"].get("membership") == "join" else joined - who
    return out


def not_allowed(room, events):
    """Replays the history in its one order: whoever sends is joined, whoever is banned stays out, and a closed gate is closed."""
    member, gate = {}, 0
    for i, e in enumerate(events):
        sender, content = e["sender"], e["content"]
        if e["type"] == "m.room.create":
            continue
        if e["type"] == "m.room.member":
            target, to, was = e["state_key"], content.get("membership"), member.get(e["state_key"], "leave")
            fine = {
                "join": target == sender and was != "ban",
                "leave": (target == sender and was != "ban") or member.get(sender) == "join",
                "invite": member.get(sender) == "join" and was not in ("join", "ban"),
                "ban": member.get(sender) == "join",
            }.get(to, False)
            if not fine:
                yield "not allowed", f"{room} #{i}: {sender} makes {target} ({was}) {to}, event {e['event_id']}"
            member[target] = to
            continue
        if member.get(sender) != "join":
            kind = "banned user's message accepted" if member.get(sender) == "ban" else "not allowed"
            yield kind, f"{room} #{i}: {e['type']} {e['event_id']} of {sender}, who is {member.get(sender)}"
        if e["type"] == "m.room.power_levels":
            gate = content.get("events", {}).get("hs.gate", content.get("events_default", 0))
        if e["type"] == "hs.gate" and gate > 0:
            yield "power level not obeyed", f"{room} #{i}: hs.gate {e['event_id']} of {sender} needs {gate}"


def last_state(events):
    return {(e["type"], e["state_key"]): e["event_id"] for e in events if "state_key" in e}


def stretches(room, user, shown, order, place, joined):
    """Each stretch of a stream is the room's order without anything left out, twice or elsewhere."""
    end = -1  # where the stretch before ended
    for stretch in shown.stretches:
        at = []
        for i in stretch.ids:
            if i not in place:
                yield "shown, not in the history", f"{i} of {room} to {user}"
            else:
                at.append(place[i])
        if len(set(at)) < len(at):
            yield "shown twice", f"{room} to {user}: {[order[i] for i, n in collections.Counter(at).items() if n > 1][:5]} {stretch.batches}"
            continue
        if at != sorted(at):
            k = next(k for k in range(len(at) - 1) if at[k] > at[k + 1])
            yield "orders differ", f"{room} to {user}: {order[at[k]]} (#{at[k]}) was shown before {order[at[k + 1]]} (#{at[k + 1]}), {where(stretch, k)}"
            continue
        for k in range(len(at) - 1):
            # Who left and came back within one answer is not shown what was meanwhile.
            missing = [m for m in range(at[k] + 1, at[k + 1]) if user in joined[m]]
            if missing:
                text = f"{room} to {user}: {len(missing)} between #{at[k]} and #{at[k + 1]}, first {order[missing[0]]}, {where(stretch, k)}"
                yield "never shown", text
        if at and stretch.why == "gap":
            away = any(user not in joined[m] for m in range(end + 1, at[-1] + 1))
            if at[0] <= end and not away:
                yield "shown twice", f"{room} to {user}: #{at[0]} after #{end}, over a gap"
        if at:
            end = at[-1]


def where(stretch, k):
    """Which answer of a stretch its k-th event came with, and from whom."""
    for i, (n, left, worker) in enumerate(stretch.batches):
        if k < n:
            return f"answer {i} of {len(stretch.batches)} by worker {worker}{' (left)' if left else ''}, at its {k + 1}th of {n}"
        k -= n
    return "?"


def unfinished(room, user, shown, last):
    if shown.joined and (not shown.stretches or not shown.stretches[-1].ids or shown.stretches[-1].ids[-1] != last):
        yield "never shown", f"the end of {room} to {user}"


def state_as_shown(room, user, shown, state):
    """The state that a client has put together is the state there is."""
    for key in shown.state.keys() | state.keys():
        if shown.state.get(key) != state.get(key):
            yield "state as shown differs", f"{room} to {user}: {key} is {state.get(key)}, shown {shown.state.get(key)}"
            return


def page(room, ids, rank, worker):
    """A page of /messages is a part of the order that a whole walk has."""
    at = [rank.get(i, -1) for i in ids]
    if -1 in at:
        yield "shown, not in the history", f"{ids[at.index(-1)]} in a page of {room} by worker {worker}"
    elif any(a >= b for a, b in zip(at, at[1:])):
        yield "orders differ", f"a page of {room} by worker {worker}"


def not_in_page(room, event, ids, rank, what):
    """A page of the newest events without one that was acknowledged before: there were more after it than the page holds, or it was not there."""
    if event in rank and ids and rank[event] > rank.get(ids[0], -1):
        yield "own event not readable", what


def walk(room, order, depth, walked):
    """/messages goes by depth, then by the order in which all streams have it. Gives the complaints."""
    if set(order) != set(walked):
        more, less = set(walked) - set(order), set(order) - set(walked)
        yield "history and stream differ", f"{room}: {len(more)} only in /messages {list(more)[:3]}, {len(less)} only in /sync {list(less)[:3]}"
        return
    place = {e: i for i, e in enumerate(order)}
    by_depth = sorted(order, key=lambda e: (depth[e], place[e])) if depth else order
    for i, (a, b) in enumerate(zip(by_depth, walked)):
        if a != b:
            yield "orders differ", f"/messages of {room} at #{i}: {b}, not {a}"
            return


def to_device(sent, got, receivers):
    """sent: [(sender, receiver, n)] acknowledged, n rising for each sender; got: receiver → [(sender, n)]."""
    for receiver in receivers:
        seen = collections.defaultdict(list)
        for sender, n in got[receiver]:
            seen[sender].append(n)
        must = collections.defaultdict(set)
        for sender, to, n in sent:
            if to == receiver:
                must[sender].add(n)
        for sender in seen.keys() | must.keys():
            ns = seen[sender]
            if len(ns) != len(set(ns)):
                twice = [n for n, k in collections.Counter(ns).items() if k > 1]
                yield "to-device twice", f"{sender} to {receiver}: {twice[:5]}"
            elif ns != sorted(ns):
                yield "to-device out of order", f"{sender} to {receiver}: {[n for n, m in zip(ns, ns[1:]) if n > m][:5]}"
            missing = must[sender] - set(ns)
            if missing:
                yield "to-device lost", f"{sender} to {receiver}: {sorted(missing)[:5]}"


def unread(events, place, user, receipt):
    """How many messages are unread: those of others since the last join and since what the receipt names."""
    since = place.get(receipt, -1)
    joined = False
    for i, e in enumerate(events):
        if e["type"] == "m.room.member" and e["state_key"] == user:
            now = e["content"].get("membership") == "join"
            if now and not joined:
                since = max(since, i)
            joined = now
    return sum(1 for e in events[since + 1 :] if e["type"] == "m.room.message" and e["sender"] != user)
