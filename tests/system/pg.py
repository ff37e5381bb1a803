"""A PostgreSQL of somebody else's: a cluster for tests, reached by its Unix socket."""

import glob
import os
import shutil
import subprocess
import tempfile


class Cluster:
    def __init__(self, **settings):
        self.settings = {"listen_addresses": "", "max_connections": 300, **settings}
        self.dir = tempfile.mkdtemp(prefix="hs-pg-")
        self.bin = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
        self.user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        if os.getuid() == 0:
            shutil.chown(self.dir, "postgres", "postgres")
        os.chmod(self.dir, 0o755)
        self.run("initdb", "-D", f"{self.dir}/data", "-U", "hs", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        self.start()

    def start(self):
        options = f"-k {self.dir} " + " ".join(f"-c {k}={v}" for k, v in self.settings.items())
        self.run("pg_ctl", "-D", f"{self.dir}/data", "-w", "-l", f"{self.dir}/log", "-o", options, "start")

    def stop(self, mode="fast"):
        self.run("pg_ctl", "-D", f"{self.dir}/data", "-m", mode, "-w", "stop")

    def run(self, program, *args):
        subprocess.run([*self.user, f"{self.bin}/{program}", *args], check=True, stdout=subprocess.DEVNULL, cwd="/tmp")

    def sql(self, database, text):
        """One statement; what it gives, as text."""
        done = subprocess.run(
            [*self.user, f"{self.bin}/psql", "-h", self.dir, "-U", "hs", "-d", database, "-qAtc", text],
            check=True, capture_output=True, text=True, cwd="/tmp",
        )
        return done.stdout.strip()

    def create(self, name, collate="C"):
        """A database; the section of homeserver.yaml that names it."""
        self.sql("postgres", f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE '{collate}' LC_CTYPE '{collate}'")
        return {"name": "psycopg2", "args": {"host": self.dir, "user": "hs", "dbname": name}}

    def close(self):
        self.run("pg_ctl", "-D", f"{self.dir}/data", "-m", "immediate", "stop")
        shutil.rmtree(self.dir, ignore_errors=True)
