"""A Redis of somebody else's: for tests, on a Unix socket."""

import os
import shutil
import subprocess
import tempfile

from server import wait_for


class Redis:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="hs-redis-")
        os.chmod(self.dir, 0o755)
        self.path = os.path.join(self.dir, "redis.sock")
        self.section = {"enabled": True, "path": self.path}
        self.start()

    def start(self):
        command = ["redis-server", "--port", "0", "--unixsocket", self.path, "--unixsocketperm", "777", "--save", "", "--dir", self.dir]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
        wait_for(lambda: os.path.exists(self.path))

    def kill(self):
        self.process.kill()
        self.process.wait()

    def close(self):
        self.kill()
        shutil.rmtree(self.dir, ignore_errors=True)
