#!/usr/bin/env python3
"""An old snapshot held open (as a pg_dump does) must not slow sending down.

    tests/fault/old_snapshot.py [--seconds 300] [--senders 8]

Sends at full rate in alternating slices without and with a REPEATABLE READ transaction open, the second kind adding up to --seconds under one and
the same snapshot. Prints rate and p99 of both. Slices of "without" come before and after, so that a machine that gets slower is seen.
"""

import argparse
import pathlib
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
from mx import Client  # noqa: E402
from server import Server  # noqa: E402


def send_for(clients, rooms, seconds, tag):
    took, lock = [], threading.Lock()
    end = time.monotonic() + seconds

    def run(n, c):
        mine, i = [], 0
        while time.monotonic() < end:
            i += 1
            begin = time.monotonic()
            c.send(rooms[(n + i) % len(rooms)], txn=f"{tag}-{n}-{i}")
            mine.append(time.monotonic() - begin)
        with lock:
            took.extend(mine)

    threads = [threading.Thread(target=run, args=(n, c)) for n, c in enumerate(clients)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    took.sort()
    return len(took) / seconds, took[int(len(took) * 0.99)] * 1000


class Snapshot:
    """A session that reads once and then sits on its snapshot."""

    def __init__(self, server):
        sockets = [p for p in pathlib.Path(server.dir).rglob(".s.PGSQL.*") if not p.name.endswith(".lock")]
        host, port = str(sockets[0].parent), sockets[0].name.rsplit(".", 1)[1]
        owner = sockets[0].owner()
        command = ["psql", "-h", host, "-p", port, "-qAt", "-U", "hs", "-d", "hs"]
        import os

        if os.getuid() == 0 and owner != "root":
            command = ["runuser", "-u", owner, "--", *command]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/tmp")
        self.process.stdin.write("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM timeline;\n")
        self.process.stdin.flush()
        self.rows = int(self.process.stdout.readline())

    def close(self):
        self.process.stdin.write("SELECT count(*) FROM timeline; COMMIT;\n")
        self.process.stdin.flush()
        rows = int(self.process.stdout.readline())
        self.process.stdin.close()
        self.process.wait(10)
        return rows


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--seconds", type=float, default=300)
    args.add_argument("--senders", type=int, default=8)
    opts = args.parse_args()
    server = Server(name="snapshot").start()
    try:
        clients = [Client(server.base).register(f"s{i}") for i in range(opts.senders)]
        rooms = [clients[0].create_room(preset="public_chat") for _ in range(4)]
        for c in clients[1:]:
            for r in rooms:
                c.join(r)
        slice_ = max(5.0, min(60.0, opts.seconds / 5))
        send_for(clients, rooms, 3, "warm")
        before = send_for(clients, rooms, slice_, "before")
        snapshot = Snapshot(server)
        held, left = [], opts.seconds
        while left > 0:
            held.append(send_for(clients, rooms, min(slice_, left), f"held{len(held)}"))
            left -= slice_
        assert snapshot.close() == snapshot.rows, "the snapshot was not held"
        after = send_for(clients, rooms, slice_, "after")
        without = [sum(x) / 2 for x in zip(before, after)]
        print(f"{'':22}{'messages/s':>12}{'p99 ms':>10}")
        print(f"{'without, before':22}{before[0]:>12.0f}{before[1]:>10.2f}")
        for i, h in enumerate(held):
            print(f"{f'held, slice {i + 1}':22}{h[0]:>12.0f}{h[1]:>10.2f}")
        print(f"{'without, after':22}{after[0]:>12.0f}{after[1]:>10.2f}")
        last = held[-1]
        print(f"last slice under the snapshot: rate {last[0] / without[0]:.2f} of without, p99 {last[1] / without[1]:.2f} of without")
        sys.exit(0 if last[0] > 0.8 * without[0] else 1)
    finally:
        server.close()


if __name__ == "__main__":
    main()
