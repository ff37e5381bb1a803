"""What a client has been shown by /sync: each stream goes on from its last token, on whichever worker is next."""

import asyncio
import collections
import time

from net import TROUBLE, Failed

LONG_POLL = 25.0  # seconds


class Stretch:
    """Events of a room that were shown without a gap between them: one stay of the user, or a part of it."""

    __slots__ = ("ids", "why", "batches")

    def __init__(self, why):
        self.ids = []
        self.why = why  # start, joined, gap
        self.batches = []  # [number of events, from rooms.leave?, worker]

    def add(self, events, left, worker):
        self.ids += [e["event_id"] for e in events]
        self.batches.append((len(events), left, worker))


class Shown:
    """One room in one stream."""

    def __init__(self):
        self.joined = False
        self.stretches = []
        self.state = {}  # (type, key) → event id, while joined
        self.last_event = None

    def keep_state(self, events):
        for e in events:
            if "state_key" in e:
                self.state[(e["type"], e["state_key"])] = e["event_id"]


class Stream:
    def __init__(self, world, user, limit=50):
        self.world, self.user, self.limit = world, user, limit
        self.since = None
        self.rooms = collections.defaultdict(Shown)
        self.to_device = []  # (sender, number)
        self.answers = 0
        self.done = False
        self.whole = None  # room → events as shown, for streams that are asked to keep them

    async def ask(self, timeout, worker=None):
        net = self.world.net
        query = {"filter": self.filter, "timeout": str(int(timeout * 1000))}
        if self.since:
            query["since"] = self.since
        if worker is None:
            worker = net.next_worker()
        status, answer = await net.once(worker, "GET", "/sync", self.user.token, None, query, timeout + 30)
        if status == 429 or status >= 500:
            raise Failed(status, answer)
        if status != 200:
            raise RuntimeError(f"/sync of {self.user.id}: {status} {answer}")
        return worker, answer

    async def begin(self):
        room = {"timeline": {"limit": self.limit}, "ephemeral": {"types": []}, "account_data": {"types": []}}
        body = {"room": room, "presence": {"types": []}, "account_data": {"types": []}}
        answer = await self.world.net.sure("POST", f"/user/{self.user.quoted}/filter", self.user.token, body)
        self.filter = answer.body["filter_id"]
        worker, answer = await self.ask(0)
        self.take(answer, worker, time.monotonic())

    async def run(self):
        while not self.done:
            try:
                worker, answer = await self.ask(LONG_POLL)
            except TROUBLE as e:
                self.world.net.note(e)
                await asyncio.sleep(self.world.rnd.uniform(0.05, 0.3))
                continue
            self.take(answer, worker, time.monotonic())

    def take(self, answer, worker, now):
        self.answers += 1
        self.since = answer["next_batch"]
        for e in answer.get("to_device", {}).get("events", []):
            self.to_device.append((e["sender"], e["content"].get("n")))
        rooms = answer.get("rooms", {})
        for room, part in rooms.get("join", {}).items():
            if room in self.world.rooms:
                self.take_room(room, part, False, worker, now)
        for room, part in rooms.get("leave", {}).items():
            if room in self.world.rooms:
                self.take_room(room, part, True, worker, now)

    def take_room(self, room, part, left, worker, now):
        shown = self.rooms[room]
        timeline = part.get("timeline", {})
        events = timeline.get("events", [])
        whole_state = not shown.joined
        if not shown.joined:
            shown.stretches.append(Stretch("joined" if shown.stretches or self.answers > 1 else "start"))
            shown.state = {}
        elif timeline.get("limited"):
            shown.stretches.append(Stretch("gap"))
        shown.stretches[-1].add(events, left, worker)
        shown.keep_state(part.get("state", {}).get("events", []))
        shown.keep_state(events)
        shown.joined = not left
        if events:
            shown.last_event = events[-1]["event_id"]
        if self.whole is not None:
            self.whole.setdefault(room, []).extend(events)
        if not whole_state and not left and not timeline.get("limited"):
            for e in events:
                if e["type"] == "m.room.message":
                    self.world.delivered(e["event_id"], self.user, worker, now)
