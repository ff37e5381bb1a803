"""Starting, stopping, crashing and starting again."""

import os
import signal
import socket
import subprocess
import time

import pytest

from mx import Client
from server import OneProcess, free_port, program, wait_for


@pytest.fixture
def own():
    s = OneProcess(name="start.test")
    yield s
    s.close()


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_sigterm_ends_it_postgresql_included_and_data_stays(own):
    own.start()
    c = Client(own.base).register("keeper")
    room = c.create_room(name="kept")
    e = c.text(room, "kept too")
    pg = own.postgres_pid()
    assert own.stop() == 0
    assert not alive(pg)
    begin = time.monotonic()
    own.start()
    took = time.monotonic() - begin
    assert took < 3, f"the second start took {took:.2f} s"
    assert c.event(room, e)["content"]["body"] == "kept too"


def test_after_kill_9_the_next_start_takes_over(own):
    own.start()
    c = Client(own.base).register("survivor")
    room = c.create_room()
    e = c.text(room, "before the crash")
    own.kill()
    own.start()
    assert c.event(room, e)["event_id"] == e
    c.text(room, "after the crash")


# A02
def test_secrets_that_nobody_gave_are_made_for_each_server_and_closed_to_others(tmp_path):
    made = []
    for name in ("one", "two"):
        at = tmp_path / name
        at.mkdir()
        for folder in (at, *at.parents):
            if folder != folder.parent and str(folder).startswith("/tmp/"):
                folder.chmod(0o755)
        at.chmod(0o777)
        port = free_port()
        process = subprocess.Popen([program(), "run", "--data-directory", str(at), "--port", str(port)], stdout=subprocess.DEVNULL)
        try:
            wait_for(lambda: (at / "homeserver.yaml").exists() and (at / "localhost.signing.key").exists() and (at / "homeserver.yaml").read_text())
        finally:
            process.terminate()
            process.wait(30)
        files = [at / "homeserver.yaml", at / "localhost.signing.key"]
        assert [f.stat().st_mode & 0o007 for f in files] == [0, 0]
        lines = [line.split(": ", 1) for line in files[0].read_text().splitlines() if "secret" in line.split(":")[0] and not line.startswith("#")]
        secrets = {key: value.strip("'\"") for key, value in lines}
        assert set(secrets) == {"registration_shared_secret", "macaroon_secret_key", "form_secret"}
        made.append([*secrets.values(), files[1].read_text().split()[-1]])
    assert all(len(secret) >= 40 for secrets in made for secret in secrets)
    assert len({secret for secrets in made for secret in secrets}) == 8


def test_a_taken_port_is_one_clear_line(own):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", own.port))
        s.listen()
        own.start(wait=False)
        assert own.process.wait(30) != 0
    assert "in use" in own.log() and str(own.port) in own.log()


def test_bad_yaml_is_one_clear_line(own):
    with open(os.path.join(own.dir, "homeserver.yaml"), "w") as f:
        f.write("server_name: [unclosed\n")
    done = subprocess.run([program(), "run", "--data-directory", own.dir], capture_output=True, text=True, timeout=30)
    assert done.returncode != 0
    assert "homeserver.yaml" in done.stderr + done.stdout


def test_another_server_name_on_the_same_data_is_refused(own):
    own.start()
    own.stop()
    own.config["server_name"] = "other.test"
    own.start(wait=False)
    assert own.process.wait(30) != 0
    assert "start.test" in own.log() and "other.test" in own.log()
    own.config["server_name"] = "start.test"


def test_an_unreachable_database_is_one_clear_line(own):
    own.config["database"] = {"name": "psycopg2", "args": {"host": "127.0.0.1", "port": 1, "user": "u", "dbname": "d"}}
    own.start(wait=False)
    assert own.process.wait(60) != 0
    assert "database" in own.log().lower()


def test_metrics_and_health(own):
    own.start()
    c = Client(own.base)
    assert c.raw("GET", "/health").text == "OK"
    c.get("/_matrix/client/versions")
    text = c.raw("GET", "/_synapse/metrics").text
    assert "synapse_http_server_response_count" in text and "process_resident_memory_bytes" in text


def test_a_directory_that_cannot_be_written_is_one_clear_line(own, tmp_path):
    plain = tmp_path / "file"
    plain.write_text("not a directory")
    done = subprocess.run([program(), "run", "--data-directory", str(plain)], capture_output=True, text=True, timeout=30)
    assert done.returncode != 0
    assert str(plain) in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("hs:")]) == 1


def test_the_configured_postgresql_is_used(own, postgres):
    postgres.create("mine", "C")
    own.config["database"] = {"name": "psycopg2", "args": {"host": postgres.dir, "user": "hs", "database": "mine", "cp_min": 1, "cp_max": 4}}
    own.start()
    c = Client(own.base).register("elsewhere")
    assert c.text(c.create_room(), "kept elsewhere")
    assert own.postgres_pid() is None
    assert own.stop() == 0


def test_a_wrong_collation_is_one_clear_line(own, postgres):
    postgres.create("wrong", "C.UTF-8")
    own.config["database"] = {"name": "psycopg2", "args": {"host": postgres.dir, "user": "hs", "dbname": "wrong"}}
    own.start(wait=False)
    assert own.process.wait(60) != 0
    assert "collation" in own.log().lower() and "C.UTF-8" in own.log()


@pytest.mark.parametrize("pause", [0, 0.02, 0.1])
def test_whoever_asks_twice_does_not_wait_for_anybody(pause):
    s = OneProcess()
    s.start()
    try:
        with socket.create_connection(("127.0.0.1", s.port)) as busy:  # would hold the end up for ten seconds
            busy.sendall(b"POST /_matrix/client/v3/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
            began = time.monotonic()
            s.process.send_signal(signal.SIGTERM)
            time.sleep(pause)  # wherever the end is by then
            s.process.send_signal(signal.SIGTERM)
            assert s.process.wait(20) == 0, s.log()[-3000:]
            assert time.monotonic() - began < 8
    finally:
        s.close()
