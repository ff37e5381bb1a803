"""The Synapse-named tools, and what the service manager is told."""

import os
import signal
import socket
import subprocess

import pytest
import requests

from server import SECRET, OneProcess, program


def tool(name, *args, text=None):
    return subprocess.run([program(name), *args], input=text, capture_output=True, text=True, timeout=60)


def login(server, user, password):
    body = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": user}, "password": password}
    return requests.post(server.base + "/_matrix/client/v3/login", json=body, timeout=30)


def config_of(server):
    return os.path.join(server.dir, "homeserver.yaml")


def test_register_new_matrix_user_makes_one_who_can_log_in(server):
    done = tool("register_new_matrix_user", "-c", config_of(server), "-u", "tooled", "-p", "a pass phrase", "--no-admin", server.base)
    assert done.returncode == 0 and "Success!" in done.stdout, done.stderr
    assert login(server, "tooled", "a pass phrase").status_code == 200


def test_register_new_matrix_user_asks_for_what_is_not_given(server):
    done = tool("register_new_matrix_user", "-k", SECRET, server.base, text="asked\nsecret-1\nsecret-1\nyes\n")
    assert done.returncode == 0, done.stderr
    assert "New user localpart" in done.stdout
    assert login(server, "asked", "secret-1").status_code == 200


def test_register_new_matrix_user_refuses_what_cannot_be(server):
    args = ["-c", config_of(server), "-u", "twice", "-p", "pw", "-a", server.base]
    assert tool("register_new_matrix_user", *args).returncode == 0
    again = tool("register_new_matrix_user", *args)
    assert again.returncode == 1 and "taken" in again.stderr
    assert tool("register_new_matrix_user", "--exists-ok", *args).returncode == 0
    wrong = tool("register_new_matrix_user", "-k", "not the secret", "-u", "x", "-p", "y", "--no-admin", server.base)
    assert wrong.returncode == 1
    different = tool("register_new_matrix_user", "-k", SECRET, "-u", "x", "--no-admin", server.base, text="one\ntwo\n")
    assert different.returncode == 1 and "do not match" in different.stderr


def test_hash_password_is_bcrypt_with_the_configured_cost_and_pepper(tmp_path):
    config = tmp_path / "homeserver.yaml"
    config.write_text("bcrypt_rounds: 5\npassword_config: {pepper: salty}\n")
    done = tool("hash_password", "-p", "secret", "-c", str(config))
    assert done.returncode == 0 and done.stdout.startswith("$2b$05$") and len(done.stdout.strip()) == 60
    assert tool("hash_password", "-p", "").returncode == 1


def test_generate_signing_key_writes_synapses_format(tmp_path):
    line = tool("generate_signing_key").stdout.split()
    assert line[0] == "ed25519" and line[1].startswith("a_") and len(line[2]) == 43
    target = tmp_path / "key"
    assert tool("generate_signing_key", "-o", str(target)).returncode == 0
    assert target.read_text().startswith("ed25519 a_")


def test_synapse_homeserver_generates_a_configuration_once(tmp_path):
    path = tmp_path / "conf" / "homeserver.yaml"
    args = ["--generate-config", "-H", "made.test", "-c", str(path), "--report-stats=no", "--data-directory", str(tmp_path / "data")]
    first = tool("synapse_homeserver", *args)
    assert first.returncode == 0 and "has been generated" in first.stdout, first.stderr
    text = path.read_text()
    assert "server_name: 'made.test'" in text and "registration_shared_secret" in text
    assert (tmp_path / "conf" / "made.test.signing.key").exists()
    again = tool("synapse_homeserver", *args)
    assert again.returncode == 0 and "already exists" in again.stdout
    assert path.read_text() == text
    assert tool("synapse_homeserver", "--generate-config", "-c", str(path)).returncode == 1


def test_two_servers_do_not_share_a_data_directory(server):
    done = subprocess.run([program(), "run", "--data-directory", server.dir], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "in use" in done.stderr
    assert server.ready()


@pytest.mark.parametrize(
    "yaml, text",
    [
        ({"modules": [{"module": "a.B"}]}, "modules"),
        ({"enable_registration_without_verification": False}, "enable_registration_without_verification"),
        ({"database": {"name": "sqlite3", "args": {"database": "x.db"}}}, "SQLite"),
        ({"max_upload_size": "huge"}, "max_upload_size"),
    ],
)
def test_a_configuration_that_cannot_be_is_one_line(yaml, text):
    s = OneProcess(name="refused.test", config=yaml)
    try:
        s.start(wait=False)
        assert s.process.wait(30) == 1
        lines = s.log().strip().splitlines()
        assert len(lines) == 1 and text in lines[0], lines
    finally:
        s.close()


def test_the_service_manager_hears_of_start_reload_and_stop(tmp_path):
    os.chmod(tmp_path, 0o777)
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        os.chmod(path, 0o777)
        for above in tmp_path.parents:
            if os.stat(above).st_uid == os.getuid() and above != above.parent and str(above).startswith("/tmp/"):
                os.chmod(above, 0o755)
        manager.settimeout(60)
        s = OneProcess(name="notified.test")
        os.environ["NOTIFY_SOCKET"] = path
        try:
            s.start(wait=False)
            assert manager.recv(100) == b"READY=1"
            assert s.ready()
            os.kill(s.process.pid, signal.SIGHUP)
            assert [manager.recv(100), manager.recv(100)] == [b"RELOADING=1", b"READY=1"]
            assert s.stop() == 0
            assert manager.recv(100) == b"STOPPING=1"
        finally:
            del os.environ["NOTIFY_SOCKET"]
            s.close()
