"""What processes have used of the CPU, and a PostgreSQL of which it is known."""

import contextlib
import os
import shutil
import subprocess

from pg import Cluster

TICK = os.sysconf("SC_CLK_TCK")


def stat(pid):
    """The fields of /proc/PID/stat from the third on."""
    with open(f"/proc/{pid}/stat") as f:
        return f.read().rsplit(")", 1)[1].split()


def cpu_seconds(pids):
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            s = stat(pid)
            total += int(s[11]) + int(s[12])
    return total / TICK


def precise_cpu(pid):
    """Seconds of CPU of all threads, by the scheduler's nanosecond counters."""
    total = 0
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{task}/schedstat") as f:
                total += int(f.read().split()[0])
    return total / 1e9


def children(pid):
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                if int(stat(entry)[1]) == pid:
                    found.append(int(entry))
    return found


class Postgres(Cluster):
    """One that is measured or killed."""

    def __init__(self, **settings):
        super().__init__(**{"max_wal_size": "4GB", "jit": "off", "random_page_cost": "1.1", **settings})

    def start(self):
        super().start()
        with open(f"{self.dir}/data/postmaster.pid") as f:
            self.pid = int(f.readline())

    def cpu(self):
        """Seconds of CPU of all its processes, those that have ended too."""
        s = stat(self.pid)
        dead = int(s[13]) + int(s[14])
        return dead / TICK + cpu_seconds([self.pid]) + sum(precise_cpu(p) for p in children(self.pid))

    def close(self):
        with contextlib.suppress(subprocess.CalledProcessError):  # it may be stopped already
            self.stop("immediate")
        shutil.rmtree(self.dir, ignore_errors=True)
