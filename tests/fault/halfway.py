#!/usr/bin/env python3
"""Kills in the middle of what takes several steps: a room's upgrade, the first notice to a user.

    tests/fault/halfway.py [--rounds 10] [--seed N]

Each round asks for one, kills the server with SIGKILL at a random moment of the time that it takes, and starts it again. An upgrade is there whole or
not at all. What was asked for is then asked again, as a client does that got no answer: one room replaces the old one, one room of notices has one message.
"""

import argparse
import collections
import pathlib
import random
import sys
import threading
import time

import requests

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
from mx import Client, Refused, quote  # noqa: E402
from server import SECRET, Server, wait_for  # noqa: E402

NOTICES = {"system_mxid_localpart": "notices", "room_name": "News"}


class Asking(threading.Thread):
    """A request, whose answer may never come."""

    def __init__(self, ask):
        super().__init__(daemon=True)
        self.ask, self.begun, self.answer = ask, threading.Event(), None

    def run(self):
        self.begun.set()
        try:
            self.answer = self.ask()
        except (requests.RequestException, Refused):
            pass


class Upgrade:
    """A room with an alias, in the directory, with somebody who is banned."""

    name = "upgrade"

    def __init__(self, server, admin, n):
        self.who = Client(server.base).register(f"upgrader{n}")
        self.alias = f"#old{n}:{server.name}"
        self.old = self.who.create_room(preset="public_chat", visibility="public", room_alias_name=f"old{n}", name=f"Room {n}")
        self.who.ban(self.old, admin.user_id)
        self.banned = admin.user_id
        self.rooms = {self.old}

    def ask(self):
        return self.who.post(f"/rooms/{quote(self.old)}/upgrade", {"new_version": "11"})["replacement_room"]

    def parts(self):
        """What an upgrade does, each with whether it is done."""
        new = [r for r in self.who.get("/joined_rooms")["joined_rooms"] if r not in self.rooms]
        state = {(e["type"], e["state_key"]): e["content"] for e in self.who.get(f"/rooms/{quote(self.old)}/state")}
        at = self.who.get(f"/directory/room/{quote(self.alias)}")["room_id"]
        done = {
            "tombstone": ("m.room.tombstone", "") in state,
            "one new room": len(new) == 1,
            "old room closed": state["m.room.power_levels", ""]["events_default"] == 50,
            "alias moved": at != self.old,
            "out of the directory": self.who.get(f"/directory/list/room/{quote(self.old)}")["visibility"] == "private",
        }
        if len(new) == 1:
            there = {(e["type"], e["state_key"]): e["content"] for e in self.who.get(f"/rooms/{quote(new[0])}/state")}
            done["both name each other"] = (state.get(("m.room.tombstone", ""), {}).get("replacement_room") == new[0]
                                            and there["m.room.create", ""]["predecessor"]["room_id"] == self.old)
            done["alias at the new one"] = at == new[0]
            done["ban copied"] = there.get(("m.room.member", self.banned), {}).get("membership") == "ban"
            done["in the directory"] = self.who.get(f"/directory/list/room/{quote(new[0])}")["visibility"] == "public"
        return done

    def after_crash(self):
        parts = self.parts()
        if any(parts.values()) and not all(parts.values()):
            return [f"halfway: {[k for k, v in parts.items() if not v]} are missing"]
        return []

    def after_retry(self, answer):
        wrong = [f"after the retry: not {k}" for k, v in self.parts().items() if not v]
        if answer not in self.who.get("/joined_rooms")["joined_rooms"]:
            wrong.append("the retry gave another room")
        return wrong


class Notice:
    """The first notice to a user."""

    name = "notice"

    def __init__(self, server, admin, n):
        self.server, self.admin, self.n = server, admin, n
        self.who = Client(server.base).register(f"reader{n}")
        self.joins = server.config["server_notices"]["auto_join"]
        self.before = self.made()

    def made(self):
        rooms = self.admin.get("/_synapse/admin/v1/rooms", {"limit": 10000})["rooms"]
        return len([r for r in rooms if r["creator"] == f"@notices:{self.server.name}"])

    def ask(self):
        body = {"user_id": self.who.user_id, "content": {"msgtype": "m.text", "body": f"notice {self.n}"}}
        return self.admin.put(f"/_synapse/admin/v1/send_server_notice/n{self.n}", body)["event_id"]

    def after_crash(self):
        return ["several rooms were made"] if self.made() > self.before + 1 else []

    def after_retry(self, answer):
        rooms = self.who.get("/sync", {"timeout": 0}).get("rooms", {})
        mine = list(rooms.get("join" if self.joins else "invite", {}))
        if len(mine) != 1:
            return [f"the user has {rooms.keys()}, not one room"]
        wrong = []
        if not self.joins:
            self.who.join(mine[0])
        tags = self.who.get(f"/user/{quote(self.who.user_id)}/rooms/{quote(mine[0])}/tags")["tags"]
        said = [e for e in self.who.messages(mine[0], "b", limit=100)["chunk"] if e["type"] == "m.room.message"]
        if "m.server_notice" not in tags:
            wrong.append("the room has no tag")
        if [e["event_id"] for e in said] != [answer]:
            wrong.append(f"{len(said)} notices instead of one")
        if self.made() != self.before + 1:
            wrong.append(f"{self.made() - self.before} rooms were made")
        return wrong


def measure(kind, server, admin, n):
    """How long it takes when nobody disturbs it."""
    thing = kind(server, admin, n)
    begin = time.monotonic()
    answer = thing.ask()
    took = time.monotonic() - begin
    return took, thing.after_retry(answer)


def one_round(kind, server, admin, n, took, rnd, counts):
    server.config["server_notices"]["auto_join"] = rnd.random() < 0.5
    server.stop()
    server.start()
    thing = kind(server, admin, n)
    asking = Asking(thing.ask)
    asking.start()
    asking.begun.wait()
    time.sleep(rnd.uniform(0, took))  # the random moment
    server.kill()
    asking.join(30)
    counts["answered" if asking.answer else "cut off"] += 1
    server.start()
    wrong = thing.after_crash()
    answer = wait_for(thing.ask)
    if asking.answer and answer != asking.answer:
        wrong.append("the retry gave another answer than the first one")
    return wrong + thing.after_retry(answer)


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--rounds", type=int, default=10)
    args.add_argument("--seed", type=int, default=int(time.time()))
    opts = args.parse_args()
    print(f"seed {opts.seed}", flush=True)
    rnd, failed = random.Random(opts.seed), False
    server = Server(name="halfway", config={"server_notices": {**NOTICES, "auto_join": False}}).start()
    try:
        admin = Client(server.base).register_with_secret(SECRET, "admin", admin=True)
        for kind in (Upgrade, Notice):
            counts = collections.Counter()
            took, wrong = measure(kind, server, admin, 0)
            for n in range(1, opts.rounds + 1):
                for what in one_round(kind, server, admin, n, took, rnd, counts):
                    wrong.append(f"round {n}: {what}")
            print(f"{kind.name}: {took * 1000:.0f} ms, {dict(counts)}, wrong: {wrong or 'nothing'}", flush=True)
            failed = failed or bool(wrong) or not counts["cut off"]
    finally:
        server.close()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
