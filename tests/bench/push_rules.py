#!/usr/bin/env python3
"""What push rules of one's own cost a message: a room of local members, who first have the default rules, then the same rule of their own each,
then each a different one. Prints the median time of a message and its ratio to the first.

    push_rules.py [members] [messages]      HS_BUILD_DIR=build/release"""
import pathlib
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "system"))
from mx import Client  # noqa: E402
from server import OneProcess  # noqa: E402

WIDTH = 4


def messages(client, room, n):
    times = []
    for i in range(n):
        begin = time.perf_counter()
        client.text(room, f"message {i}, of some words that nobody has a rule about")
        times.append(time.perf_counter() - begin)
    return 1000 * statistics.median(times)


def main():
    members = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    n = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    server = OneProcess(config={"bcrypt_rounds": 4}).start()
    try:
        alice = Client(server.base).register("alice")
        room = alice.create_room(preset="public_chat")
        with ThreadPoolExecutor(WIDTH) as pool:
            users = list(pool.map(lambda i: Client(server.base).register(f"u{i}"), range(members)))
            list(pool.map(lambda u: u.join(room), users))
            messages(alice, room, 20)
            base = messages(alice, room, n)
            print(f"{members} members with the default rules: {base:.2f} ms a message")
            body = {"conditions": [{"kind": "event_match", "key": "type", "pattern": "org.x"}], "actions": ["notify"]}
            for what, rule in (("the same rule of their own", lambda i: ("override", "r", body)),
                               ("a different keyword each", lambda i: ("content", f"word{i}", {"pattern": f"word{i}", "actions": ["notify"]})),
                               ("the room muted, each", lambda i: ("room", room, {"actions": []}))):
                def put(i):
                    kind, name, content = rule(i)
                    users[i].put(f"/pushrules/global/{kind}/{name}", content)

                list(pool.map(put, range(members)))
                messages(alice, room, 20)
                now = messages(alice, room, n)
                print(f"{what}: {now:.2f} ms a message, {now / base:.2f} times")
    finally:
        server.close()


if __name__ == "__main__":
    main()
