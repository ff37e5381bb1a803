#!/usr/bin/env python3
"""Crashes under load: what was acknowledged is there once, and every sync stream shows each event once, in order.

    tests/fault/crash.py [--rounds 30] [--senders 20] [--seed N]

Each round lets senders and readers work, then at a random moment kills the server with SIGKILL or stops PostgreSQL at once (SIGQUIT, "immediate"), and
starts it again. Senders repeat a request whose answer they did not get, with the same transaction id. At the end the room's history, read from outside, is
compared with what the senders were told and with what the readers saw.
"""

import argparse
import collections
import os
import pathlib
import random
import signal
import sys
import threading
import time

import requests

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
import judge  # noqa: E402
from mx import Client, Refused, quote  # noqa: E402
from server import Server, wait_for  # noqa: E402

TROUBLE = (requests.RequestException, Refused)


def passing(e):
    """Is this refusal one that a client waits out?"""
    return not isinstance(e, Refused) or e.status in (429, 500, 502, 503, 504)


class Sender(threading.Thread):
    def __init__(self, base, token, rooms, n, stop):
        super().__init__(daemon=True)
        self.client = Client(base, token)
        self.rooms, self.n, self.stop_flag = rooms, n, stop
        self.acknowledged = []  # (room, event id, (begun, acknowledged))
        self.repeats = 0
        self.problem = None

    def run(self):
        i = 0
        while not self.stop_flag.is_set():
            i += 1
            room, body = self.rooms[i % len(self.rooms)], f"{self.n}-{i}"
            begun = time.monotonic()
            while True:
                try:
                    event = self.client.send(room, content={"msgtype": "m.text", "body": body}, txn=f"c{self.n}-{i}")
                    self.acknowledged.append((room, event, (begun, time.monotonic())))
                    break
                except TROUBLE as e:
                    if not passing(e):
                        self.problem = e
                        return
                    self.repeats += 1
                    time.sleep(0.05)  # a client's back-off


class Reader(threading.Thread):
    def __init__(self, base, token, rooms, stop):
        super().__init__(daemon=True)
        self.client = Client(base, token)
        self.rooms, self.stop_flag = rooms, stop
        self.seen = collections.defaultdict(list)
        self.finished = threading.Event()
        self.gaps = 0
        self.problem = None

    def run(self):
        while not self.finished.is_set():
            try:
                answer = self.client.next_sync(timeout=1000, filter='{"room":{"timeline":{"limit":5000}}}')
            except TROUBLE as e:
                if not passing(e):
                    self.problem = e
                    return
                time.sleep(0.05)
                continue
            for room, part in answer.get("rooms", {}).get("join", {}).items():
                t = part.get("timeline", {})
                self.gaps += bool(t.get("limited"))
                self.seen[room] += [e["event_id"] for e in t.get("events", []) if e["type"] == "m.room.message"]


def history(client, room):
    events, token = [], None
    while True:
        page = client.messages(room, "b", limit=500, **({"from": token} if token else {}))
        events += [e for e in page["chunk"] if e["type"] == "m.room.message"]
        token = page.get("end")
        if not token:
            return events[::-1]


def crash(server, rnd, counts):
    if rnd.random() < 0.5:
        counts["kill -9 of the server"] += 1
        server.kill()
    else:
        counts["immediate stop of PostgreSQL"] += 1
        pid = server.postgres_pid()
        if pid:
            os.kill(pid, signal.SIGQUIT)
        time.sleep(rnd.random() * 0.5)
        if server.process.poll() is None:
            server.kill()
    server.start()


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--rounds", type=int, default=30)
    args.add_argument("--senders", type=int, default=20)
    args.add_argument("--seed", type=int, default=int(time.time()))
    opts = args.parse_args()
    print(f"seed {opts.seed}", flush=True)
    rnd = random.Random(opts.seed)
    counts = collections.Counter()
    server = Server(name="crash", config={"filter_timeline_limit": 5000}).start()
    try:
        people = [Client(server.base).register(f"p{i}") for i in range(4)]
        rooms = []
        for p in people[:3]:
            room = p.create_room(preset="public_chat")
            rooms.append(room)
            for q in people:
                if q is not p:
                    q.join(room)
        stop = threading.Event()
        readers = [Reader(server.base, p.token, rooms, stop) for p in people]
        for r in readers:
            r.client.next_sync(filter='{"room":{"timeline":{"limit":5000}}}')
        senders = [Sender(server.base, people[i % 4].token, rooms, i, stop) for i in range(opts.senders)]
        for t in readers + senders:
            t.start()
        for _ in range(opts.rounds):
            time.sleep(rnd.uniform(0.3, 2.0))  # the random moment
            crash(server, rnd, counts)
        time.sleep(1)
        stop.set()
        for s in senders:
            s.join(60)
        whole = {room: history(people[0], room) for room in rooms}
        marker = {room: people[0].text(room, "the end") for room in rooms}
        wait_for(lambda: all(marker[room] in r.seen[room] for r in readers for room in rooms) or any(r.problem for r in readers), 60, 0.2)
        for r in readers:
            r.finished.set()
        for r in readers:
            r.join(30)

        wrong = [("unexpected", str(t.problem)) for t in readers + senders if t.problem]
        there = {room: {e["event_id"]: i for i, e in enumerate(whole[room])} for room in rooms}
        wrong += judge.lost(there, [(room, event) for s in senders for room, event, _ in s.acknowledged])
        # History is in the order of the graph, streams in the order of arrival; a crash may fork the graph, so the two need not agree. What must:
        # all streams show one order, and in it nobody's later message comes before an earlier one.
        for room in rooms:
            order = readers[0].seen[room]
            place = {e: i for i, e in enumerate(order)}
            wrong += judge.not_once(room, whole[room])
            for i, r in enumerate(readers):
                wrong += judge.one_order(room, f"reader {i}", r.seen[room], order)
                if not r.gaps and there[room].keys() - set(r.seen[room]):
                    wrong.append(("never shown", f"{len(there[room].keys() - set(r.seen[room]))} of {room} to reader {i}"))
            for s in senders:
                wrong += judge.out_of_order(place, [(*when, e) for r, e, when in s.acknowledged if r == room], f"sender {s.n} in {room}")
        acknowledged = sum(len(s.acknowledged) for s in senders)
        print(f"crashes: {dict(counts)}")
        print(f"acknowledged {acknowledged}, in history {sum(map(len, whole.values()))}, repeated requests {sum(s.repeats for s in senders)}")
        print(f"sync streams {len(readers)}, gaps {sum(r.gaps for r in readers)}")
        for kind, text in wrong[:20]:
            print(f"WRONG {kind}: {text}")
        print(f"wrong: {dict(collections.Counter(k for k, _ in wrong)) or 'nothing'}")
        sys.exit(1 if wrong or not acknowledged else 0)
    finally:
        server.close()


if __name__ == "__main__":
    main()
