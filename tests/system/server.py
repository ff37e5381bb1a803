"""A homeserver of ours under test: a data directory, a process, an address.

The program is taken from HS_BIN (default: build/main/hs of this tree). When the tests run as root the server gives its rights up by
itself; the data directory is made where an unprivileged user can reach it.
"""

import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import requests

ROOT = pathlib.Path(__file__).resolve().parents[2]
SECRET = "system-tests-secret"

NO_LIMIT = {"per_second": 100000, "burst_count": 100000}


def program(name="hs"):
    build = os.environ.get("HS_BUILD_DIR", str(ROOT / "build" / "release"))
    found = os.environ.get("HS_BIN") if name == "hs" else None
    return found or os.path.join(build, "main", name)


def free_port():
    """Below those that the kernel gives to connections: one of these could have it before the server does."""
    while True:
        port = random.randint(12000, 31000)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def free_ports(n):
    """The first of n ports in a row."""
    while True:
        first, sockets = free_port(), []
        try:
            for port in range(first, first + n):
                sockets.append(socket.socket())
                sockets[-1].bind(("127.0.0.1", port))
            return first
        except OSError:
            continue
        finally:
            for s in sockets:
                s.close()


def wait_for(what, seconds=20, step=0.02):
    """Awaits a condition; the value that made it true is returned."""
    end = time.monotonic() + seconds
    while True:
        value = what()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(step)  # polling interval of the condition, not a guess about it


CLUSTER = os.environ.get("HS_TOPOLOGY", "one") == "cluster"
KEY = "ed25519 a_test wzDlg80PVkPjULDn6rJ9TLJ1nLDtTB3QDfUuy5gUnPM"  # for servers whose processes share no directory


def Server(*args, **kw):
    """The server under test, of whatever processes HS_TOPOLOGY says: one, or a cluster (topology.py)."""
    if CLUSTER:
        from topology import ManyProcesses

        return ManyProcesses(*args, **kw)
    return OneProcess(*args, **kw)


class OneProcess:
    """`hs run`."""

    def __init__(self, name="test", config=None, directory=None, options=()):
        self.name = name
        self.options = list(options)  # of hs run
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.dir = directory or tempfile.mkdtemp(prefix="hs-system-")
        self.keep = directory is not None
        os.chmod(self.dir, 0o755)
        self.log_path = os.path.join(self.dir, "stdout.log")
        self.process = None
        self.config = {
            "server_name": name,
            "listeners": [
                {
                    "port": self.port,
                    "type": "http",
                    "bind_addresses": ["127.0.0.1"],
                    "x_forwarded": True,
                    "resources": [{"names": ["client", "federation", "metrics", "health"]}],
                }
            ],
            "enable_registration": True,
            "enable_registration_without_verification": True,
            "registration_shared_secret": SECRET,
            "bcrypt_rounds": 4,
            "default_room_version": "11",
            "room_list_publication_rules": [{"action": "allow"}],
            "rc_message": NO_LIMIT,
            "rc_registration": NO_LIMIT,
            "rc_registration_token_validity": NO_LIMIT,
            "rc_login": {"address": NO_LIMIT, "account": NO_LIMIT, "failed_attempts": NO_LIMIT},
            "rc_joins": {"local": NO_LIMIT, "remote": NO_LIMIT},
            "rc_joins_per_room": NO_LIMIT,
            "rc_invites": {"per_room": NO_LIMIT, "per_user": NO_LIMIT, "per_issuer": NO_LIMIT},
            "rc_room_creation": NO_LIMIT,
            "rc_reports": NO_LIMIT,
            "rc_presence": {"per_user": NO_LIMIT},
        }
        self.config.update(config or {})

    def write_config(self):
        # JSON is YAML.
        with open(os.path.join(self.dir, "homeserver.yaml"), "w") as f:
            json.dump(self.config, f, indent=1)

    def start(self, wait=True):
        self.write_config()
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [program(), "run", "--data-directory", self.dir, *self.options],
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        if wait:
            self.await_ready()
        return self

    @staticmethod
    def answers(base):
        try:
            return requests.get(base + "/health", timeout=5).status_code == 200
        except requests.RequestException:
            return False

    def ready(self):
        return self.answers(self.base)

    def pid_of(self, role):
        """A process that holds the role."""
        return self.process.pid

    def base_of(self, role):
        """Where that process itself is asked."""
        return self.base

    def signal(self, number):
        """To every process of the server."""
        self.process.send_signal(number)

    def await_ready(self, seconds=60):
        def up():
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended with {self.process.returncode}:\n{self.log()[-3000:]}")
            return self.ready()

        wait_for(up, seconds)

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def stop(self, seconds=20):
        """SIGTERM; gives the exit code."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise AssertionError(f"SIGTERM was not obeyed:\n{self.log()[-3000:]}")
        return self.process.returncode if self.process else None

    def kill(self):
        """SIGKILL of the server process alone; its PostgreSQL is left behind, as after a crash."""
        self.process.kill()
        self.process.wait()

    def close(self):
        try:
            self.stop()
        finally:
            if not self.keep:
                shutil.rmtree(self.dir, ignore_errors=True)

    def sql(self, text):
        """As the owner of the private PostgreSQL."""
        owner = os.stat(os.path.join(self.dir, "postgres")).st_uid
        command = ["psql", "-qXAt", "-h", os.path.join(self.dir, "postgres.run"), "-U", "hs", "-d", "hs", "-c", text]
        return subprocess.run(command, user=owner, check=True, capture_output=True, text=True, cwd="/").stdout.strip()

    def postgres_pid(self):
        for path in pathlib.Path(self.dir).rglob("postmaster.pid"):
            return int(path.read_text().splitlines()[0])
        return None
