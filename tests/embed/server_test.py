#!/usr/bin/env python3
"""The program server.c: its own page and a homeserver answer side by side, and it ends cleanly.

    server_test.py EMBED_SERVER PG_DIRECTORY"""
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def ask(url, body=None):
    request = urllib.request.Request(url, data=json.dumps(body).encode() if body is not None else None)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as e:
        return e.code, e.read()


def main():
    program, pg = sys.argv[1:3]
    database, page, api = 'embed_%d' % free_port(), free_port(), free_port()
    psql = ['psql', '-h', pg, '-U', 'hs', '-d', 'postgres', '-qc']
    subprocess.run(psql + ["CREATE DATABASE %s TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'" % database], check=True)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / 'signing.key').write_text('ed25519 a_AbCd YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1\n')
        (folder / 'homeserver.yaml').write_text(json.dumps({
            'server_name': 'embed.test',
            'signing_key_path': str(folder / 'signing.key'),
            'media_store_path': str(folder / 'media'),
            'database': {'name': 'psycopg2', 'args': {'host': pg, 'user': 'hs', 'dbname': database}},
            'listeners': [{'port': api, 'type': 'http', 'bind_addresses': ['127.0.0.1'], 'resources': [{'names': ['client']}]}],
            'enable_registration': True, 'enable_registration_without_verification': True, 'bcrypt_rounds': 4,
            'trusted_key_servers': [], 'report_stats': False}))
        # h2o keeps buffers for each thread and forgets them when the thread ends.
        (folder / 'suppressions').write_text('leak:libh2o-evloop\n')
        environment = dict(os.environ, LSAN_OPTIONS='suppressions=%s:print_suppressions=0' % (folder / 'suppressions'))
        child = subprocess.Popen([program, str(folder / 'homeserver.yaml'), str(page)], stdout=subprocess.PIPE, text=True, env=environment)
        try:
            assert child.stdout.readline() == 'ready\n', 'it did not start'
            base = 'http://127.0.0.1:%d/_matrix/client' % api
            assert ask('http://127.0.0.1:%d/hello' % page) == (200, b'hello, you are visitor 1\n')
            assert ask(base + '/versions')[0] == 200
            status, text = ask(base + '/v3/register', {'username': 'ann', 'password': 'secret12', 'auth': {'type': 'm.login.dummy'}})
            assert status == 200 and json.loads(text)['user_id'] == '@ann:embed.test', text
            token = json.loads(text)['access_token']
            status, text = ask(base + '/v3/createRoom?access_token=' + token, {'name': 'a room'})
            assert status == 200, text
            assert ask('http://127.0.0.1:%d/hello' % page) == (200, b'hello, you are visitor 2\n')
            child.send_signal(signal.SIGTERM)
            assert child.wait(20) == 0, 'it did not end well'
        finally:
            child.kill()
            child.wait()
    subprocess.run(psql + ['DROP DATABASE %s' % database], check=True)
    print('the page, an account, a room, a clean end')


if __name__ == '__main__':
    main()
