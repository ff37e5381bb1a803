"""Workers as separate processes: by role, by Synapse's files, and several that one `hs run` starts."""

import os
import re
import signal
import socket
import subprocess

import pytest
import requests

from mx import Client
from server import OneProcess, free_port, free_ports, program, wait_for
from workers import Site, Worker


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


# ── hs run --workers ──


@pytest.fixture
def many():
    s = OneProcess(name="many.test", options=["--workers", "3"])
    yield s
    s.close()


def workers(server):
    """name → pid of those that serve now, by what the log says last."""
    return {name: int(pid) for name, pid in re.findall(r"worker\.serves.*?name=(\w+) pid=(\d+)", server.log())}


def test_several_workers_share_the_port_and_all_end_with_sigterm(many):
    up(many)
    pids = workers(many)
    assert sorted(pids) == ["worker1", "worker2", "worker3"]
    wait_for(lambda: {who_answers(many.base) for _ in range(20)} == set(pids))
    postgres = many.postgres_pid()
    assert many.stop() == 0
    assert not any(alive(pid) for pid in [*pids.values(), postgres])


def up(server):
    server.start()

    def all_serve():
        assert server.process.poll() is None, server.log()[-3000:]
        return "is being served" in server.log() and len(workers(server)) == 3

    wait_for(all_serve, 60)


def who_answers(base):
    """The name of the worker that a new connection meets."""
    return re.search(r'^hs_worker_info\{name="([^"]*)"', requests.get(base + "/_synapse/metrics", timeout=10).text, re.M).group(1)


def test_a_worker_that_dies_is_started_again_under_its_name(many):
    up(many)
    before = workers(many)
    os.kill(before["worker2"], signal.SIGKILL)
    wait_for(lambda: workers(many)["worker2"] != before["worker2"])
    after = workers(many)
    assert (after["worker1"], after["worker3"]) == (before["worker1"], before["worker3"])
    (line,) = [line for line in many.log().splitlines() if "worker.died" in line]
    assert "name=worker2" in line and "signal 9" in line
    assert all(Client(many.base).raw("GET", "/health").status_code == 200 for _ in range(20))


def test_one_that_dies_at_once_again_and_again_is_started_later_and_later(many):
    up(many)
    for n in range(1, 4):
        pid = workers(many)["worker1"]
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: many.log().count("worker.died") == n and workers(many)["worker1"] != pid)
    pauses = [int(ms) for ms in re.findall(r"worker\.died.*restart_in_ms=(\d+)", many.log())]
    assert pauses == [0, 200, 400]


def test_sighup_reaches_every_worker(many):
    up(many)
    many.process.send_signal(signal.SIGHUP)
    wait_for(lambda: many.log().count("main.reload") == 4)  # the supervisor's own, too


def test_workers_end_when_their_supervisor_is_killed(many):
    up(many)
    pids = workers(many).values()
    many.kill()
    wait_for(lambda: not any(alive(pid) for pid in pids))
    many.start()
    wait_for(lambda: many.ready())


def test_a_taken_port_is_one_clear_line(many):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", many.port))
        s.listen()
        many.start(wait=False)
        assert many.process.wait(30) != 0
    assert many.log().count("hs: Cannot listen") == 1 and str(many.port) in many.log()


def test_two_servers_never_share_a_port_by_mistake(many):
    many.start()
    other = OneProcess(name="other.test", options=["--workers", "2"])
    other.config["listeners"][0]["port"] = many.port
    try:
        other.start(wait=False)
        assert other.process.wait(30) != 0
        assert "already in use" in other.log()
    finally:
        other.close()


def test_a_mistake_that_only_a_worker_finds_ends_the_start(many):
    many.config["old_signing_keys"] = {"ed25519:a": {"key": "c2hvcnQ", "expired_ts": 1}}
    many.start(wait=False)
    assert many.process.wait(30) == 1
    assert "old_signing_keys" in many.log()
    assert "worker.died" not in many.log()


def test_every_worker_has_a_metrics_port_of_its_own(many):
    port = free_ports(3)
    many.config["listeners"].append({"port": port, "type": "metrics", "bind_addresses": ["127.0.0.1"]})
    many.config["enable_metrics"] = True
    up(many)
    starts = [requests.get(f"http://127.0.0.1:{port + k}/metrics", timeout=10).status_code for k in range(3)]
    assert starts == [200, 200, 200]


# ── hs worker ──


@pytest.fixture
def site(postgres, redis):
    s = Site(postgres, redis)
    yield s
    s.close()


def get(port, path):
    return requests.get(f"http://127.0.0.1:{port}{path}", timeout=10)


VERSIONS, KEYS = "/_matrix/client/versions", "/_matrix/key/v2/server"


@pytest.mark.parametrize(
    "roles,client,federation",
    [("client", 200, 404), ("federation", 404, 200), ("client,federation", 200, 200), ("media", 404, 404), ("background", 404, 404)],
)
def test_a_worker_serves_what_its_roles_have(site, roles, client, federation):
    port = free_port()
    w = site.worker(roles, "-c", site.yaml, "--name", "w1", "--listen", str(port))
    assert get(port, VERSIONS).status_code == client
    assert get(port, KEYS).status_code == federation
    assert get(port, "/health").text == "OK"
    assert get(port, "/_synapse/metrics").status_code == 200
    assert "name=w1" in w.log()
    assert w.stop() == 0


def test_without_a_file_of_its_own_a_worker_takes_the_listeners_it_can_serve(site):
    port = free_port()
    site.config["listeners"] = [
        {"port": site.server.port, "bind_addresses": ["127.0.0.1"], "type": "http", "resources": [{"names": ["client"]}]},
        {"port": port, "bind_addresses": ["127.0.0.1"], "type": "http", "resources": [{"names": ["federation"]}]},
    ]
    site.write_config()
    site.worker("federation", "-c", site.yaml)
    assert get(port, KEYS).status_code == 200
    with pytest.raises(requests.ConnectionError):
        get(site.server.port, VERSIONS)


def test_a_workers_file_of_synapse_is_accepted_as_it_is(site):
    port, socket_path = free_port(), os.path.join(site.dir, "w.sock")
    log = os.path.join(site.dir, "worker1.log")
    site.write("log.config", {"version": 1, "handlers": {"f": {"class": "logging.FileHandler", "filename": log}}, "root": {"level": "INFO", "handlers": ["f"]}})
    shared = site.write("shared.yaml", "instance_map:\n  main: {host: localhost, port: 9093}\nstream_writers: {events: worker1}\n")
    file = site.write(
        "worker1.yaml",
        f"""worker_app: synapse.app.generic_worker
worker_name: worker1
worker_listeners:
  - type: http
    port: {port}
    bind_addresses: [127.0.0.1]
    x_forwarded: true
    resources:
      - names: [client, federation]
        compress: false
  - type: http
    path: {socket_path}
    resources: [{{names: [replication]}}, {{names: [keys]}}]
worker_log_config: {site.dir}/log.config
worker_pid_file: {site.dir}/worker1.pid
""",
    )
    w = site.worker("--config-path", site.yaml, "--config-path", shared, "--config-path", file, name="synapse_worker", ready=False)
    wait_for(lambda: os.path.exists(log) and "worker.ready" in open(log).read())
    assert get(port, VERSIONS).status_code == 200 and get(port, KEYS).status_code == 200
    assert int(open(os.path.join(site.dir, "worker1.pid")).read()) == w.process.pid
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(socket_path)
        s.sendall(b"GET /_matrix/key/v2/server HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b"verify_keys" in b"".join(iter(lambda: s.recv(65536), b""))
    said = w.log()
    assert said.count("option instance_map has no effect") == 1 and said.count("option stream_writers has no effect") == 1
    with pytest.raises(requests.ConnectionError):
        get(site.server.port, VERSIONS)  # `listeners` are those of the main process
    assert w.stop() == 0
    assert not os.path.exists(os.path.join(site.dir, "worker1.pid"))
    assert "name=worker1" in open(log).read()


@pytest.mark.parametrize("app,client", [("media_repository", 404), ("client_reader", 200), ("federation_sender", 200), ("generic_worker", 200)])
def test_the_names_of_synapses_programs_stand_for_roles(site, app, client):
    port = free_port()
    site.worker("-c", site.yaml, "-c", site.write("w.yaml", {"worker_app": f"synapse.app.{app}"}), "--listen", str(port))
    assert get(port, VERSIONS).status_code == client


def test_a_worker_goes_to_the_background_once_it_serves(site):
    port, pid_file = free_port(), os.path.join(site.dir, "w.pid")
    file = site.write("w.yaml", {"worker_app": "synapse.app.generic_worker", "worker_daemonize": True, "worker_pid_file": pid_file})
    w = site.worker("-c", site.yaml, "-c", file, "--listen", str(port), ready=False)
    assert w.process.wait(30) == 0
    assert get(port, VERSIONS).status_code == 200
    pid = int(open(pid_file).read())
    os.kill(pid, signal.SIGTERM)
    wait_for(lambda: not alive(pid))


def test_going_to_the_background_fails_with_the_worker(site):
    w = site.worker("client", "-c", site.yaml, "--daemonize", "--listen", "203.0.113.1:80", ready=False)
    assert w.process.wait(30) == 1
    wait_for(lambda: "hs: Cannot listen" in w.log())


@pytest.mark.parametrize(
    "arguments,text",
    [
        ([], "which roles?"),
        (["cleint"], "there is no role 'cleint'"),
        (["--listen", "x"], "which roles?"),
        (["client", "--listen", "nowhere"], "--listen nowhere"),
    ],
)
def test_a_wrong_call_is_one_clear_line(site, arguments, text):
    w = site.worker(*arguments, "-c", site.yaml, ready=False)
    assert w.process.wait(30) == 1
    assert len([line for line in w.log().splitlines() if line.startswith("hs:") and text in line]) == 1


@pytest.mark.parametrize(
    "option,text",
    [
        ({"worker_app": "synapse.app.homeserver"}, "start that with `hs run`"),
        ({"worker_app": "synapse.app.nonsense"}, "there is no 'synapse.app.nonsense'"),
        ({"worker_app": "synapse.app.generic_worker", "worker_replication_port": 9092}, "give the shared file a redis section"),
        ({"worker_app": "synapse.app.generic_worker", "worker_replication_host": "h"}, "take the line out"),
        ({"worker_app": "synapse.app.generic_worker", "database": None}, "no database: name one in homeserver.yaml"),
        ({"worker_app": "synapse.app.generic_worker", "redis": None}, "no Redis: workers tell each other by one"),
    ],
)
def test_a_wrong_file_is_one_clear_line(site, option, text):
    w = site.worker("-c", site.yaml, "-c", site.write("w.yaml", option), ready=False)
    assert w.process.wait(30) == 1
    assert len([line for line in w.log().splitlines() if line.startswith("hs:") and text in line]) == 1


def test_hs_run_does_not_take_a_workers_file(site):
    file = site.write("w.yaml", {"worker_app": "synapse.app.generic_worker"})
    done = subprocess.run([program(), "run", "-c", site.yaml, "-c", file], capture_output=True, text=True, timeout=30)
    assert done.returncode == 1 and "start a worker with `hs worker`" in done.stderr


def test_a_worker_joins_the_postgresql_and_redis_of_a_running_server(many):
    up(many)
    port = free_port()
    w = Worker(many.dir, "client,federation", "-c", os.path.join(many.dir, "homeserver.yaml"), "--listen", str(port))
    try:
        w.ready()
        assert get(port, KEYS).json()["server_name"] == "many.test"
        there, here = Client(many.base).register("there"), Client(f"http://127.0.0.1:{port}").login("there")
        room = there.create_room()
        here.next_sync()
        here.sync_until_event(room, there.text(room, "across"))
    finally:
        assert w.stop() == 0


def test_a_second_process_takes_over_a_unix_socket(site):
    path = os.path.join(site.dir, "w.sock")

    def answers():
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(path)
            s.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return b"".join(iter(lambda: s.recv(65536), b"")).startswith(b"HTTP/1.1 200")

    first = site.worker("client", "-c", site.yaml, "--listen", path)
    assert answers()
    site.worker("client", "-c", site.yaml, "--listen", path)
    assert first.stop() == 0
    assert answers()
