"""A PostgreSQL cluster of a test: in a temporary directory, on a socket in it, for servers that bring none of their own."""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

from server import wait_for

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


class Postgres:
    def __init__(self, **settings):
        self.dir = tempfile.mkdtemp(prefix="hs-test-pg-")
        self.data = f"{self.dir}/data"
        self.bin = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))[-1]
        self.as_user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        os.chmod(self.dir, 0o755)  # the server gives up root and connects as somebody else
        if os.getuid() == 0:
            shutil.chown(self.dir, "postgres", "postgres")
        subprocess.run(
            [*self.as_user, f"{self.bin}/initdb", "-D", self.data, "-U", "hs", "-A", "trust", "-E", "UTF8", "--locale=C"],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/tmp",
        )
        settings = {
            "listen_addresses": "", "unix_socket_directories": self.dir, "shared_buffers": "512MB", "max_connections": "100",
            "max_wal_size": "4GB", "jit": "off", "random_page_cost": "1.1", **settings,
        }
        with open(f"{self.data}/postgresql.conf", "a") as f:
            f.writelines(f"{k} = '{v}'\n" for k, v in settings.items())
        self.start()

    def start(self):
        with open(f"{self.dir}/log", "ab") as log:
            self.process = subprocess.Popen(
                [*self.as_user, f"{self.bin}/postgres", "-D", self.data], stdout=log, stderr=log, cwd="/tmp", start_new_session=True
            )
        wait_for(lambda: os.path.exists(f"{self.data}/postmaster.pid") and self.sql("SELECT 1", "postgres", check=False), 30)
        with open(f"{self.data}/postmaster.pid") as f:
            self.pid = int(f.readline())

    def restart(self):
        """pg_ctl restart -m immediate: no goodbye to anybody, then recovery from the log."""
        self.stop()
        self.start()

    def stop(self):
        if self.process.poll() is None:
            os.kill(self.pid, signal.SIGQUIT)
            self.process.wait(30)

    def sql(self, text, database="postgres", check=True):
        done = subprocess.run(["psql", "-h", self.dir, "-U", "hs", "-d", database, "-qAtc", text], capture_output=True, text=True)
        if check and done.returncode:
            raise RuntimeError(done.stderr)
        return done.returncode == 0

    def text(self, query, database="postgres"):
        """What a query gives, as text."""
        return subprocess.run(["psql", "-h", self.dir, "-U", "hs", "-d", database, "-qAtc", query], capture_output=True, text=True,
                              check=True).stdout.strip()

    def create(self, name):
        self.sql(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'")

    def cpu(self):
        s = stat(self.pid)
        dead = int(s[13]) + int(s[14])
        return dead / TICK + cpu_seconds([self.pid]) + sum(precise_cpu(p) for p in children(self.pid))

    def close(self):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)
