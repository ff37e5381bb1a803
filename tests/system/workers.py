"""`hs worker` for tests: one process, and the files of a server whose processes are workers alone."""

import itertools
import json
import os
import signal
import subprocess

from server import KEY, OneProcess, free_port, program, wait_for

_databases = itertools.count(1)


class Worker:
    """One `hs worker`, or what becomes one."""

    def __init__(self, directory, *arguments, name="hs"):
        self.log_path = os.path.join(directory, f"worker-{free_port()}.log")
        command = [program(name)] + (["worker"] if name == "hs" else []) + list(arguments)
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True, cwd=directory)

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def ready(self):
        def up():
            assert self.process.poll() is None, self.log()[-3000:]
            return "worker.ready" in self.log()

        wait_for(up, 30)
        return self

    def stop(self, seconds=20):
        """SIGTERM; gives the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def kill(self):
        self.process.kill()
        self.process.wait()


class Site:
    """A server on an external PostgreSQL and Redis; site.worker(…) starts a process of it."""

    def __init__(self, postgres, redis, name="site.test", config=None):
        self.server = OneProcess(name=name, config=config)
        self.dir, self.config = self.server.dir, self.server.config
        os.chmod(self.dir, 0o777)  # the workers that root starts write logs and pids there
        self.config["database"] = postgres.create(f"site{next(_databases)}")
        self.config["signing_key"] = KEY
        self.config["redis"] = redis.section
        self.yaml = os.path.join(self.dir, "homeserver.yaml")
        self.workers = []
        self.server.write_config()

    def write_config(self):
        self.server.write_config()

    def write(self, name, content):
        with open(os.path.join(self.dir, name), "w") as f:
            f.write(content if isinstance(content, str) else json.dumps(content))
        return os.path.join(self.dir, name)

    def worker(self, *arguments, ready=True, **kw):
        w = Worker(self.dir, *arguments, **kw)
        self.workers.append(w)
        return w.ready() if ready else w

    def role(self, role, name, port, *arguments):
        """A worker of the role on a port."""
        return self.worker(role, "-c", self.yaml, "--name", name, "--listen", str(port), *arguments)

    def close(self):
        for w in self.workers:
            if w.process.poll() is None:
                w.process.send_signal(signal.SIGTERM)
        for w in self.workers:
            w.stop()
        self.server.close()
