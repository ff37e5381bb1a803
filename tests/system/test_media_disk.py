"""The disk of the media store is full: what happens to uploads, and afterwards."""

import os
import pathlib
import shutil
import subprocess

import pytest

from mx import Client
from server import OneProcess, wait_for
from test_media import download, put, refusal, upload
from test_media_thumbnails import png

MIB = 1 << 20


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory):
    """A server whose media lie on a file system of 3 MiB."""
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("needs root, to mount a small file system")
    at = tmp_path_factory.mktemp("disk") / "media"
    at.mkdir()
    for p in at.parents:
        if str(p).startswith("/tmp/"):
            p.chmod(0o755)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3M,mode=0777", "tmpfs", str(at)]).returncode:
        pytest.skip("mounting is not allowed here")
    s = OneProcess(config={"media_store_path": str(at)}).start()
    s.media = at
    yield s
    s.close()
    subprocess.run(["umount", "-l", str(at)], check=True)


def used(server):
    st = os.statvfs(server.media)
    return (st.f_blocks - st.f_bfree) * st.f_frsize


def test_an_upload_that_does_not_fit_is_507_and_leaves_nothing(small_disk):
    alice = Client(small_disk.base).register("alice")
    kept = put(alice, b"x" * MIB)
    before = used(small_disk)
    for size in (3 * MIB, 10 * MIB):
        r = upload(alice, b"x" * size)
        assert (r.status_code, r.json()["errcode"]) == (507, "M_UNKNOWN")
        wait_for(lambda: used(small_disk) == before)
    assert download(alice, kept).content == b"x" * MIB
    assert download(alice, put(alice, b"y" * MIB)).content == b"y" * MIB  # without a restart


def test_an_image_is_stored_though_its_thumbnails_do_not_fit(small_disk):
    bob = Client(small_disk.base).register("bob")
    image = png(100, 100)
    filler = small_disk.media / "filler"
    with open(filler, "wb", buffering=0) as f:
        free = os.statvfs(small_disk.media).f_bfree
        f.write(b"x" * 4096 * (free - 1))  # room for one block is left
    id = put(bob, image, "image/png")
    assert download(bob, id).content == image
    r = bob.raw("GET", f"/_matrix/client/v1/media/thumbnail/test/{id}", query={"width": 32, "height": 32})
    assert refusal(r) == (400, "M_UNKNOWN")
    filler.unlink()
    assert len(list(pathlib.Path(small_disk.media / "local_content").rglob("*"))) > 0
    id = put(bob, image, "image/png")
    assert bob.raw("GET", f"/_matrix/client/v1/media/thumbnail/test/{id}", query={"width": 32, "height": 32}).status_code == 200
