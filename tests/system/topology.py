"""The same server as many processes: HS_TOPOLOGY=cluster runs the tests against 2 client, 2 federation, 1 media and 1 background worker on
an external PostgreSQL and Redis, behind HAProxy in round robin, so that hardly two requests of a test meet the same worker."""

import os
import shutil
import signal
import subprocess
import tempfile

import requests

from pg import Cluster
from redis_server import Redis
from server import KEY, OneProcess, free_port, program, wait_for

WORKERS = {"client1": "client", "client2": "client", "federation1": "federation", "federation2": "federation", "media1": "media", "background1": "background"}


class ManyProcesses(OneProcess):
    """The face of OneProcess. stop, kill and start are about all workers; PostgreSQL lives until close."""

    def __init__(self, name="test", config=None, directory=None, options=()):
        super().__init__(name, config, directory)
        assert not options
        os.chmod(self.dir, 0o777)
        self.ports = {w: free_port() for w in WORKERS}
        self.workers = {}
        self.postgres = Cluster()
        self.redis = Redis()
        self.config.setdefault("database", self.postgres.create("hs"))
        self.config.setdefault("redis", self.redis.section)
        self.config.setdefault("signing_key", KEY)
        self.config.setdefault("media_store_path", os.path.join(self.dir, "media_store"))
        self.log_path = None

    def proxy_config(self):
        options = []
        for role in ("client", "federation", "media"):
            options += ["--upstream", f"{role}=" + ",".join(f"127.0.0.1:{self.ports[w]}" for w, r in WORKERS.items() if r == role)]
        command = [program(), "routes", "--haproxy", "--bind", f"127.0.0.1:{self.port}", *options]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        sticky = "    balance hash var(txn.hs_key)\n    hash-type consistent\n"
        inside = next(line for line in text.splitlines() if "deny_status 404" in line)
        assert text.count(sticky) == 3
        # The address that a test gives itself is believed, as by a server without a proxy before it.
        return text.replace(sticky, "    balance roundrobin\n").replace(inside + "\n", "").replace("    option forwardfor\n", "    option forwardfor if-none\n")

    def worker_log(self, name):
        return os.path.join(self.dir, f"{name}.log")

    def start_worker(self, name):
        with open(self.worker_log(name), "ab") as log:
            self.workers[name] = subprocess.Popen(
                [program(), "worker", WORKERS[name], "-c", os.path.join(self.dir, "homeserver.yaml"), "--name", name, "--listen", str(self.ports[name])],
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def start_proxy(self):
        with open(os.path.join(self.dir, "haproxy.cfg"), "w") as f:
            f.write(self.proxy_config())
        with open(os.path.join(self.dir, "haproxy.log"), "ab") as log:
            self.process = subprocess.Popen(["haproxy", "-f", f.name], stdout=log, stderr=subprocess.STDOUT, start_new_session=True)

    def start(self, wait=True):
        assert wait
        self.write_config()
        try:
            for name in WORKERS:
                self.start_worker(name)
            wait_for(self.workers_serve, 60)
            self.start_proxy()  # it would take workers that do not answer yet for dead ones
            self.await_ready()
        except BaseException:
            self.close()  # nobody else would
            raise
        return self

    def workers_serve(self):
        for name, p in self.workers.items():
            if p.poll() is not None:
                raise AssertionError(f"{name} ended with {p.returncode}:\n{self.log()[-3000:]}")
        return all(OneProcess.answers(f"http://127.0.0.1:{port}") for port in self.ports.values())

    def await_ready(self, seconds=60):
        wait_for(lambda: self.workers_serve() and self.ready() and self.proxy_knows(), seconds)

    def proxy_knows(self):
        """Whether HAProxy has found every kind of worker alive; until then it answers 503 itself."""
        paths = ("/_matrix/client/versions", "/_matrix/federation/v1/version", "/_matrix/media/v3/config")
        return all(requests.get(self.base + path, timeout=5).status_code != 503 for path in paths)

    def sql(self, text):
        return self.postgres.sql(self.config["database"]["args"]["dbname"], text)

    def log(self):
        parts = []
        for name in WORKERS:
            if os.path.exists(self.worker_log(name)):
                with open(self.worker_log(name), errors="replace") as f:
                    parts.append(f.read())
        return "".join(parts)

    def pid_of(self, role):
        return next(self.workers[name].pid for name, r in WORKERS.items() if r == role)

    def base_of(self, role):
        return next(f"http://127.0.0.1:{self.ports[name]}" for name, r in WORKERS.items() if r == role)

    def signal(self, number):
        for p in self.workers.values():
            p.send_signal(number)

    def _end_proxy(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def stop(self, seconds=20):
        running = [p for p in self.workers.values() if p.poll() is None]
        for p in running:
            p.send_signal(signal.SIGTERM)
        codes = [p.wait(seconds) for p in running]
        self._end_proxy()
        return max(codes, default=0)

    def kill(self):
        for p in self.workers.values():
            p.kill()
            p.wait()
        self._end_proxy()

    def close(self):
        try:
            self.stop()
        finally:
            self.postgres.close()
            self.redis.close()
            if not self.keep:
                shutil.rmtree(self.dir, ignore_errors=True)
