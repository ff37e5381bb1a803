"""What the fault programs break: PostgreSQL, Redis and workers of one homeserver, each of which can be killed, stopped and started again."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading

import requests

import redis_server
from postgres import Postgres
from server import KEY, OneProcess, free_port, program, wait_for


class Redis(redis_server.Redis):
    def start(self):
        super().start()
        wait_for(lambda: self.ask("PING") == b"+PONG", 10)

    def ask(self, word):
        with socket.socket(socket.AF_UNIX) as s:
            try:
                s.settimeout(5)
                s.connect(self.path)
                s.sendall(word.encode() + b"\r\n")
                return s.recv(100).strip()
            except OSError:
                return None

    def flush(self):
        self.ask("FLUSHALL")


class Worker:
    """One process of the cluster. It is kept running as a service manager would: ended by itself, it is started again and the end counted."""

    def __init__(self, name, command, directory, port):
        self.name, self.command, self.dir, self.port = name, command, directory, port
        self.base = f"http://127.0.0.1:{port}"
        self.process = None
        self.wanted = False
        self.paused = False
        self.ends = []  # of itself: exit codes
        self.false_starts = 0  # ends because there was no database when it began
        self.lock = threading.Lock()

    def start(self):
        with self.lock, open(f"{self.dir}/{self.name}.log", "ab") as log:
            self.wanted = True
            self.process = subprocess.Popen(self.command, stdout=log, stderr=subprocess.STDOUT, cwd=self.dir, start_new_session=True)

    def ready(self):
        try:
            return requests.get(self.base + "/health", timeout=5).status_code == 200
        except requests.RequestException:
            return False

    def look_after(self):
        """Called now and then."""
        with self.lock:
            if not self.wanted or self.process.poll() is None:
                return
            if self.log()[-2000:].rstrip().rsplit("\n", 1)[-1].startswith("hs: database: cannot connect"):
                self.false_starts += 1
            else:
                self.ends.append(self.process.returncode)
        self.start()

    def await_ready(self, seconds=60):
        def up():
            self.look_after()
            return self.ready()

        try:
            wait_for(up, seconds, 0.05)
        except AssertionError:
            raise AssertionError(f"{self.name} is not ready:\n{self.log()[-3000:]}") from None

    def kill(self):
        with self.lock:
            self.wanted = False
        self.process.kill()
        self.process.wait()
        self.paused = False

    def pause(self):
        self.paused = True
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.paused = False
        self.process.send_signal(signal.SIGCONT)

    def stop(self, seconds=30):
        with self.lock:
            self.wanted = False
        if not self.process or self.process.poll() is not None:
            return
        if self.paused:
            self.resume()
        self.process.terminate()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"{self.name}: SIGTERM was not obeyed:\n{self.log()[-3000:]}") from None

    def log(self):
        with open(f"{self.dir}/{self.name}.log", errors="replace") as f:
            return f.read()


class Cluster:
    """n workers with the client role over one PostgreSQL and, if there are several, one Redis. n 1 is `hs run`, which has all roles."""

    def __init__(self, n, config=None):
        self.pg = Postgres(shared_buffers="128MB")
        self.redis = Redis() if n > 1 else None
        self.dir = tempfile.mkdtemp(prefix="hs-fault-")
        base = OneProcess(name="fault", directory=self.dir, config=config)
        os.chmod(self.dir, 0o777)  # for whom the workers become when they give up root
        base.config["database"] = self.pg.create("hs")
        base.config["database"]["args"] |= {"cp_min": 2, "cp_max": 8}
        base.config["signing_key"] = KEY
        base.config["media_store_path"] = f"{self.dir}/media"
        if self.redis:
            base.config["redis"] = self.redis.section
        base.write_config()
        self.workers = []
        try:
            self.start(n, base)
        except BaseException:
            self.close(keep=True)
            raise

    def start(self, n, base):
        self.workers = [self.make_worker(i, base.port if n == 1 else free_port(), n) for i in range(n)]
        for w in self.workers:
            w.start()
        for w in self.workers:
            w.await_ready()

    def make_worker(self, i, port, n):
        name = f"client{i}"
        if n == 1:
            return Worker(name, [program(), "run", "--data-directory", self.dir], self.dir, port)
        command = [program(), "worker", "client", "-c", f"{self.dir}/homeserver.yaml", "--name", name, "--listen", str(port)]
        return Worker(name, command, self.dir, port)

    def look_after(self):
        for w in self.workers:
            w.look_after()

    def close(self, keep=False):
        try:
            for w in self.workers:
                w.stop()
        finally:
            if self.redis:
                self.redis.close()
            self.pg.close()
            if not keep:
                shutil.rmtree(self.dir, ignore_errors=True)
