"""Fifty people in twenty rooms, and what they know for certain.

A person does one thing after another, at whichever worker is next. Whatever is acknowledged is remembered, and what must follow from it is checked at once, at
another worker; what needs the whole history is left for judge.py. Changes of one membership are made one at a time: then everybody knows what it is, and each
request in between has one right answer. When a request got no answer it may still have its effect later (a stopped worker wakes up with it): the membership is
then unknown and left alone for a while.
"""

import asyncio
import collections
import itertools
import time

from net import quote

QUIET = 25.0  # seconds after which a request without an answer has happened or never will
LATE = 8.0  # seconds from acknowledged to shown, with no fault near: somebody was not woken
CALM = 10.0  # seconds that a fault is near after its end

RESULT = {"join": "join", "leave": "leave", "kick": "leave", "unban": "leave", "ban": "ban", "invite": "invite"}


class Pair:
    """One user's membership in one room."""

    def __init__(self):
        self.lock = asyncio.Lock()
        self.status = "leave"  # None: being changed, or not known
        self.version = 0
        self.quiet_until = 0.0
        self.state_quiet_until = 0.0  # the same for the state event that is the user's own
        self.state_value = 0
        self.receipt = None

    def move(self, status):
        self.status = status
        self.version += 1

    def free(self):
        return not self.lock.locked() and time.monotonic() >= self.quiet_until

    def doubt(self):
        self.move(None)
        self.quiet_until = time.monotonic() + QUIET


class Room:
    def __init__(self, id, owner, mods, public):
        self.id, self.owner, self.mods, self.public = id, owner, mods, public
        self.quoted = quote(id)
        self.gate = asyncio.Lock()
        self.gate_open = True  # None: not known
        self.gate_version = 0
        self.gate_quiet_until = 0.0


class World:
    def __init__(self, net, rnd):
        self.net, self.rnd = net, rnd
        self.users = []
        self.rooms = {}
        self.pairs = collections.defaultdict(Pair)  # (room id, user number)
        self.stop = False
        self.done = collections.Counter()  # what was done
        self.wrong = []  # (kind, text)
        self.acked = []  # (room id, event id)
        self.acked_at = {}
        self.order = collections.defaultdict(list)  # (room id, user id) → [(begun, acknowledged, event id)]
        self.topics = []  # (room id, event id of mine, topic that was read elsewhere afterwards)
        self.pages = []  # (room id, event ids in order, worker)
        self.missed = []  # (room id, event id, event ids of a page that it is not in, text)
        self.to_device_sent = []  # (sender, receiver, number)
        self.latencies = []
        self.late = 0
        self.fault_active = 0
        self.fault_end = 0.0
        self.to_device = True

    def complain(self, kind, text):
        self.wrong.append((kind, text))
        if len(self.wrong) <= 20:
            print(f"WRONG {kind}: {text}", flush=True)

    def acknowledge(self, room, user, answer):
        event = answer.body["event_id"]
        self.acked.append((room.id, event))
        self.acked_at[event] = answer.ended
        self.order[(room.id, user.id)].append((answer.begun, answer.ended, event))

    def delivered(self, event, user, worker, now):
        at = self.acked_at.get(event)
        self.latencies.append(max(0.0, now - at) if at else 0.0)
        if at and now - at > LATE and not self.fault_active and at > self.fault_end + CALM:
            self.late += 1
            self.complain("late", f"{event} was shown to {user.id} by worker {worker} {now - at:.1f} s after it was acknowledged, with no fault near")

    def pair(self, room, user):
        return self.pairs[(room.id, user.n)]


class User:
    def __init__(self, world, n, answer):
        self.world, self.net, self.rnd, self.n = world, world.net, world.rnd, n
        self.id, self.token, self.device = answer["user_id"], answer["access_token"], answer["device_id"]
        self.quoted = quote(self.id)
        self.stream = None
        self.count = itertools.count(1)
        self.to_device_count = itertools.count(1)
        self.problem = None

    def sure(self, method, path, body=None, query=None, **kw):
        return self.net.sure(method, path, self.token, body, query, **kw)

    # ── the life ──

    async def live(self, rate):
        things = [
            (self.say, 40), (self.note, 4), (self.own_state, 7), (self.topic, 3), (self.join, 8), (self.leave, 3), (self.read, 10),
            (self.write_devices, 12), (self.receipt, 8), (self.govern, 6), (self.race, 1), (self.turn_gate, 1), (self.pass_gate, 4), (self.create, 0.5),
        ]  # fmt: skip
        names, weights = [t for t, _ in things], [w for _, w in things]
        try:
            while not self.world.stop:
                await asyncio.sleep(self.rnd.expovariate(rate))
                thing = self.rnd.choices(names, weights)[0]
                if await thing() is not False:
                    self.world.done[thing.__name__] += 1
        except Exception as e:  # an answer that no check foresaw
            self.world.complain("unexpected", f"{self.id}: {e!r}")
            raise

    def some_room(self, *statuses):
        """A room where this user's membership is known to be one of these; None if there is none."""
        rooms = [r for r in self.world.rooms.values() if self.world.pair(r, self).status in statuses]
        return self.rnd.choice(rooms) if rooms else None

    # ── messages ──

    async def put_event(self, room, type, content, ok_if=lambda: True, known=True, **kw):
        """Sends; checks that it is accepted exactly if it must be."""
        pair = self.world.pair(room, self)
        version, status = pair.version, pair.status
        txn = f"t{self.n}.{next(self.count)}"
        answer = await self.sure("PUT", f"/rooms/{room.quoted}/send/{type}/{txn}", content, **kw)
        if answer.ok:
            self.world.acknowledge(room, self, answer)
        elif answer.status != 403:
            self.world.complain("unexpected", f"{self.id} sends to {room.id}: {answer.error}")
        if known and pair.version == version and status is not None:
            must = status == "join"
            if answer.ok != must:
                self.wrong_send(room, status, answer)
        return answer

    def wrong_send(self, room, status, answer):
        if answer.ok:
            kind = "banned user's message accepted" if status == "ban" else "message of somebody who is not joined accepted"
            self.world.complain(kind, f"{self.id} ({status}) in {room.id}: {answer.body} by worker {answer.worker}")
        else:
            self.world.complain("refused", f"{self.id} ({status}) may send to {room.id}, and worker {answer.worker} says {answer.error}")

    async def say(self):
        room = self.some_room("join") if self.rnd.random() < 0.9 else self.rnd.choice(list(self.world.rooms.values()))
        if not room:
            return False
        pair = self.world.pair(room, self)
        version = pair.version
        body = f"{self.n}-{next(self.count)} " + "x" * self.rnd.randrange(60)
        answer = await self.put_event(room, "m.room.message", {"msgtype": "m.text", "body": body})
        if answer.ok and self.rnd.random() < 0.3:
            await self.read_own(room, pair, version, answer)

    async def read_own(self, room, pair, version, sent):
        """What was acknowledged is there for its sender, at another worker too."""
        event = sent.body["event_id"]
        text = f"{self.id} sent {event} to {room.id} by worker {sent.worker}; "
        if self.rnd.random() < 0.5:
            got = await self.sure("GET", f"/rooms/{room.quoted}/event/{quote(event)}", avoid=sent.worker)
            if pair.version == version and not got.ok:
                self.world.complain("own event not readable", text + f"worker {got.worker}: {got.error}")
        else:
            got = await self.sure("GET", f"/rooms/{room.quoted}/messages", query={"dir": "b", "limit": "60"}, avoid=sent.worker)
            ids = [e["event_id"] for e in got.body.get("chunk", [])][::-1]
            if pair.version == version and event not in ids:
                text += f"worker {got.worker}: {got.error if not got.ok else 'not in the page'} {got.ended - sent.ended:.1f} s later"
                self.world.missed.append((room.id, event, ids, text))
        self.world.done["own event read elsewhere"] += 1

    async def note(self):
        """An event that notifies nobody; then it is redacted, which every worker must know."""
        room = self.some_room("join")
        if not room:
            return False
        pair = self.world.pair(room, self)
        version = pair.version
        sent = await self.put_event(room, "hs.note", {"body": f"n{self.n}-{next(self.count)}"})
        if not sent.ok:
            return
        event = sent.body["event_id"]
        path = f"/rooms/{room.quoted}/redact/{quote(event)}/r{self.n}.{next(self.count)}"
        gone = await self.sure("PUT", path, {}, avoid=sent.worker)
        if gone.ok:
            self.world.acknowledge(room, self, gone)
            got = await self.sure("GET", f"/rooms/{room.quoted}/event/{quote(event)}", avoid=gone.worker)
            if got.ok and got.body["content"]:
                self.world.complain("redacted content shown", f"{event} in {room.id}, redacted by worker {gone.worker}, shown by worker {got.worker}")
            self.world.done["redaction read elsewhere"] += 1
        elif pair.version == version and pair.status == "join":
            self.world.complain("refused", f"{self.id} redacts {event} in {room.id} by worker {gone.worker}: {gone.error}")

    # ── state ──

    async def own_state(self):
        room = self.some_room("join")
        pair = room and self.world.pair(room, self)
        if not room or time.monotonic() < pair.state_quiet_until:
            return False
        version = pair.version
        pair.state_value += 1
        content = {"v": pair.state_value}
        path = f"/rooms/{room.quoted}/state/hs.own/k{self.n}"
        answer = await self.sure("PUT", path, content)
        if answer.unsure:
            pair.state_quiet_until = time.monotonic() + QUIET
        if answer.ok:
            self.world.acknowledge(room, self, answer)
        elif pair.version == version:
            self.world.complain("refused", f"{self.id} sets state of {room.id} by worker {answer.worker}: {answer.error}")
        if not answer.ok or answer.unsure:
            return
        got = await self.sure("GET", path, avoid=answer.worker)
        if pair.version == version and (not got.ok or got.body != content):
            text = f"{self.id} set {content} in {room.id} by worker {answer.worker}; worker {got.worker} says {got.body}"
            again = await self.sure("GET", path, only=got.worker)
            self.world.complain("own state not readable", f"{text}, then {again.body}")
        self.world.done["own state read elsewhere"] += 1

    async def topic(self):
        rooms = [r for r in self.world.rooms.values() if (self is r.owner or self in r.mods) and self.world.pair(r, self).status == "join"]
        if not rooms:
            return False
        room = self.rnd.choice(rooms)
        answer = await self.sure("PUT", f"/rooms/{room.quoted}/state/m.room.topic/", {"topic": f"{self.n}-{next(self.count)}"})
        if not answer.ok:
            return
        self.world.acknowledge(room, self, answer)
        got = await self.sure("GET", f"/rooms/{room.quoted}/state/m.room.topic/", avoid=answer.worker)
        if got.ok:
            self.world.topics.append((room.id, answer.body["event_id"], got.body["topic"], f"set by worker {answer.worker}, read from {got.worker}"))

    async def turn_gate(self):
        """The owner lets everybody send hs.gate, or nobody."""
        rooms = [r for r in self.world.rooms.values() if r.owner is self and not r.gate.locked() and time.monotonic() >= r.gate_quiet_until]
        if not rooms:
            return False
        room = self.rnd.choice(rooms)
        async with room.gate:
            path = f"/rooms/{room.quoted}/state/m.room.power_levels/"
            levels = (await self.sure("GET", path)).body
            to = not room.gate_open if room.gate_open is not None else bool(self.rnd.getrandbits(1))
            levels["events"]["hs.gate"] = 0 if to else 90
            levels["hs.turn"] = next(self.count)  # setting what is set already would give an event of before
            room.gate_open = None
            room.gate_version += 1
            answer = await self.sure("PUT", path, levels)
            if not answer.ok:
                self.world.complain("refused", f"power levels of {room.id} by its owner at worker {answer.worker}: {answer.error}")
            elif answer.unsure:
                room.gate_quiet_until = time.monotonic() + QUIET
            else:
                self.world.acknowledge(room, self, answer)
                room.gate_open = to
                room.gate_version += 1
                await self.try_gate(room, avoid=answer.worker)

    async def try_gate(self, room, **kw):
        members = [u for u in self.world.users if u is not room.owner and self.world.pair(room, u).status == "join"]
        if members:
            await self.rnd.choice(members).pass_gate(room, **kw)

    async def pass_gate(self, room=None, **kw):
        room = room or self.some_room("join")
        if not room or self is room.owner:
            return False
        pair, gate = self.world.pair(room, self), room.gate_open
        version, gate_version = pair.version, room.gate_version
        member = pair.status == "join"
        answer = await self.put_event(room, "hs.gate", {"body": f"g{self.n}-{next(self.count)}"}, known=False, **kw)
        if pair.version == version and room.gate_version == gate_version and gate is not None and member and answer.ok != gate:
            self.world.complain("power level not obeyed", f"{room.id} is {'open' if gate else 'closed'}; worker {answer.worker} gave {self.id} {answer.error}")

    # ── membership ──

    async def membership_now(self, room, user, **kw):
        got = await room.owner.sure("GET", f"/rooms/{room.quoted}/state/m.room.member/{user.quoted}", **kw)
        return got.body["membership"] if got.ok else "leave"

    async def change(self, room, user, action, by=None, **kw):
        """With the pair's lock held. Gives the answer, or None when nothing can be said about it."""
        by = by or user
        pair, by_pair = self.world.pair(room, user), self.world.pair(room, by)
        if pair.status is None:
            pair.move(await self.membership_now(room, user))
        before, by_version, by_joined = pair.status, by_pair.version, by_pair.status == "join"
        pair.move(None)
        body = {} if action in ("join", "leave") else {"user_id": user.id}
        answer = await by.sure("POST", f"/rooms/{room.quoted}/{action}", body, **kw)
        if answer.unsure:
            pair.doubt()
            return None
        pair.move(RESULT[action] if answer.ok else before)
        must = self.must(room, action, before)
        if by is not user and not (by_joined and by_pair.version == by_version):
            return answer
        if must is not None and answer.ok != must:
            text = f"{by.id} does {action} to {user.id} ({before}) in {room.id}: worker {answer.worker} says {answer.error}"
            self.world.complain("membership refused" if must else "membership accepted", text)
        return answer

    @staticmethod
    def must(room, action, before):
        if action == "join":
            return before in ("join", "invite") or (before == "leave" and room.public)
        if action == "invite":
            return before in ("leave", "invite")
        return {"leave": before in ("join", "invite"), "kick": before in ("join", "invite"), "ban": True, "unban": before == "ban"}[action]

    async def elsewhere_known(self, room, user, answer):
        """After an acknowledged change: does another worker go by it?"""
        status = self.world.pair(room, user).status
        got = await self.membership_now(room, user, avoid=answer.worker)
        if got != status:
            again = await self.membership_now(room, user)
            text = f"{user.id} in {room.id} is {status} by worker {answer.worker}, elsewhere {got}, then {again}"
            self.world.complain("membership not readable", text)
        if status == "join":
            rooms = await user.sure("GET", "/joined_rooms", avoid=answer.worker)
            if room.id not in rooms.body["joined_rooms"]:
                self.world.complain("joined room not listed", f"{room.id} for {user.id}: joined by worker {answer.worker}, asked worker {rooms.worker}")
        self.world.done["membership read elsewhere"] += 1
        # the lock is held and the membership known: put_event checks the answer
        if self.rnd.random() < 0.6:
            await user.put_event(room, "m.room.message", {"msgtype": "m.text", "body": f"{user.n}-{next(user.count)} after"}, avoid=answer.worker)

    async def join(self):
        status = self.rnd.choices(["leave", "invite", "ban"], [8, 6, 1])[0]
        room = self.some_room(status)
        if not room or not self.world.pair(room, self).free():
            return False
        mine = sum(self.world.pair(r, self).status == "join" for r in self.world.rooms.values())
        if mine > 7:
            return False
        async with self.world.pair(room, self).lock:
            answer = await self.change(room, self, "join")
            if answer:
                await self.elsewhere_known(room, self, answer)

    async def leave(self):
        room = self.some_room("join", "invite")
        if not room or room.owner is self or not self.world.pair(room, self).free():
            return False
        async with self.world.pair(room, self).lock:
            answer = await self.change(room, self, "leave")
            if answer:
                await self.elsewhere_known(room, self, answer)

    def governed(self):
        rooms = [r for r in self.world.rooms.values() if (self is r.owner or self in r.mods) and self.world.pair(r, self).status == "join"]
        return self.rnd.choice(rooms) if rooms else None

    async def govern(self):
        room = self.governed()
        user = self.rnd.choice(self.world.users)
        if not room or user is self or user is room.owner or user in room.mods or not self.world.pair(room, user).free():
            return False
        pair = self.world.pair(room, user)
        async with pair.lock:
            if pair.status is None:
                pair.move(await self.membership_now(room, user))
            actions = {"join": ["ban", "ban", "kick"], "invite": ["ban"], "leave": ["invite"] * 5 + ["ban"], "ban": ["unban"] * 4 + ["invite"]}
            action = self.rnd.choice(actions[pair.status])
            answer = await self.change(room, user, action, by=self)
            if not answer:
                return
            await self.elsewhere_known(room, user, answer)
            if pair.status == "invite" and self.rnd.random() < 0.5:
                answer = await self.change(room, user, "join", avoid=answer.worker)
                if answer:
                    await self.elsewhere_known(room, user, answer)
            elif pair.status == "ban" and self.rnd.random() < 0.5:
                await self.change(room, user, "join", avoid=answer.worker)

    async def race(self):
        """Two who change one membership at the same time: whatever comes of it, all workers say the same afterwards."""
        room = self.governed()
        user = self.rnd.choice(self.world.users)
        if not room or room.owner is not self or user is self or not self.world.pair(room, user).free():
            return False
        pair = self.world.pair(room, user)
        async with pair.lock:
            pair.move(None)
            mine = self.rnd.choice(["ban", "kick", "unban", "invite"])
            theirs = self.rnd.choice(["join", "leave"])
            a, b = await asyncio.gather(
                self.sure("POST", f"/rooms/{room.quoted}/{mine}", {"user_id": user.id}), user.sure("POST", f"/rooms/{room.quoted}/{theirs}", {})
            )
            if a.unsure or b.unsure:
                pair.doubt()
                return
            said = []
            for w in range(len(self.net.bases)):
                got = await self.sure("GET", f"/rooms/{room.quoted}/state/m.room.member/{user.quoted}", avoid=None if w else a.worker)
                said.append((got.worker, got.body.get("membership", "leave")))
            if len({s for _, s in said}) > 1:
                self.world.complain("workers disagree", f"{user.id} in {room.id} after {mine} and {theirs}: {said}")
            pair.move(said[-1][1])

    # ── the rest ──

    async def read(self):
        room = self.some_room("join")
        if not room:
            return False
        what = self.rnd.choice(["messages", "members", "rooms"])
        if what == "messages":
            got = await self.sure("GET", f"/rooms/{room.quoted}/messages", query={"dir": "b", "limit": "20"})
            if got.ok:
                self.world.pages.append((room.id, [e["event_id"] for e in got.body["chunk"]][::-1], got.worker))
        elif what == "members":
            known = {u.id: (self.world.pair(room, u), self.world.pair(room, u).version, self.world.pair(room, u).status) for u in self.world.users}
            got = await self.sure("GET", f"/rooms/{room.quoted}/joined_members")
            if got.ok:
                self.compare_joined(known, set(got.body["joined"]), f"joined_members of {room.id} by worker {got.worker}")
        else:
            known = {r: (self.world.pair(r_, self), self.world.pair(r_, self).version, self.world.pair(r_, self).status) for r, r_ in self.world.rooms.items()}
            got = await self.sure("GET", "/joined_rooms")
            self.compare_joined(known, set(got.body["joined_rooms"]), f"joined_rooms of {self.id} by worker {got.worker}")

    def compare_joined(self, known, said, what):
        for key, (pair, version, status) in known.items():
            if status is None or pair.version != version:
                continue
            if (status == "join") != (key in said):
                self.world.complain("stale list", f"{what}: {key} is {status} and is {'there' if key in said else 'not there'}")
        self.world.done["list compared"] += 1

    async def write_devices(self):
        if not self.world.to_device:
            return False
        # One message after another, so that their order is known.
        to = self.rnd.sample(self.world.users, self.rnd.choice([1, 1, 3]))
        n = next(self.to_device_count)
        messages = {u.id: {u.device if self.rnd.random() < 0.7 else "*": {"n": n}} for u in to}
        answer = await self.sure("PUT", f"/sendToDevice/hs.note/d{self.n}.{n}", {"messages": messages})
        if not answer.ok:
            self.world.complain("refused", f"to-device of {self.id} by worker {answer.worker}: {answer.error}")
            return
        self.world.to_device_sent += [(self.id, u.id, n) for u in to]

    async def receipt(self):
        room = self.some_room("join")
        event = room and self.stream.rooms[room.id].last_event
        if not event:
            return False
        pair = self.world.pair(room, self)
        answer = await self.sure("POST", f"/rooms/{room.quoted}/receipt/m.read/{quote(event)}", {})
        if answer.ok:
            pair.receipt = event

    async def create(self):
        """A room made by one worker is there at another."""
        made = await self.sure("POST", "/createRoom", {"preset": "private_chat", "name": "for a moment"})
        if not made.ok:
            self.world.complain("refused", f"createRoom of {self.id} by worker {made.worker}: {made.error}")
            return
        room = quote(made.body["room_id"])
        sent = await self.sure("PUT", f"/rooms/{room}/send/m.room.message/c{self.n}.{next(self.count)}", {"msgtype": "m.text", "body": "x"}, avoid=made.worker)
        name = await self.sure("GET", f"/rooms/{room}/state/m.room.name/", avoid=made.worker)
        if not sent.ok or not name.ok:
            text = f"{made.body['room_id']} made by worker {made.worker}; worker {sent.worker}: {sent.error}; worker {name.worker}: {name.error}"
            self.world.complain("new room not there", text)
        await self.sure("POST", f"/rooms/{room}/leave", {}, avoid=sent.worker)
