#!/usr/bin/env python3
"""The room that stream.c makes, checked by room.c and by room.py: both say what is expected, in each room version.

    room_test.py EMBED_STREAM EMBED_ROOM LIBHS [--preload LIBRARY]"""
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ACCEPTED = 'accepted'
EXPECTED = [ACCEPTED] * 10 + [
    'rejected, sender: is not joined', 'dropped, not signed by a.example', 'redacted, accepted', ACCEPTED]


def check(version, stream, command, environment):
    out = subprocess.run(command, input=stream, capture_output=True, text=True, env=environment)
    assert out.returncode == 0, (command, out.stdout, out.stderr)
    lines = out.stdout.splitlines()
    said = [x.split(': ', 1)[1] for x in lines if not x.startswith('state ')]
    assert said == EXPECTED, (version, command, '\n'.join(lines))
    state = {tuple(x.split(' is ')[0].split(' ')[1:]): x.split(' is ')[1] for x in lines if x.startswith('state ')}
    ids = [x.split(' ', 1)[0] for x in lines]
    assert state['m.room.member', '"@cid:b.example"'] == ids[6], 'the ban holds'
    # Its sender is still a moderator after the merge, so the other branch's topic is there too.
    assert state['m.room.topic', '""'] == ids[8] and len(state) == 7, state
    return lines


def main():
    stream_program, room_program, library = sys.argv[1:4]
    environment = dict(os.environ)
    if '--preload' in sys.argv:
        environment.update(LD_PRELOAD=sys.argv[5], ASAN_OPTIONS='detect_leaks=0')
    for version in map(str, range(1, 13)):
        stream = subprocess.run([stream_program, version], capture_output=True, text=True, check=True).stdout
        in_c = check(version, stream, [room_program, version], None)
        in_python = check(version, stream, [sys.executable, str(HERE / 'room.py'), library, version], environment)
        assert in_c == in_python, (version, in_c, in_python)
    print('versions 1 to 12: C and Python agree')


if __name__ == '__main__':
    main()
