"""A disk whose blocks fail: nbdkit's error filter, nbdfuse, a loop device of our own, ext4. Real EIO from the kernel. Root only.

What fails is switched by touching a file. A write that fails: no answer, exit 74, and all that was acknowledged is there
when the disk is well again. A read that fails: a mapped page that cannot be had, exit 74 in words, nothing altered.
"""
import os
import random
import shutil
import subprocess
import time

from kit import SLOW, WAIT_S, Exchange, Failed, finish
from newsx import Link, story
from test_full import alone, on_disk
from test_inject import BROKEN
from test_recovery import ALL, PARTNERS, TO, store_photo, subscriber

TOOLS = ("nbdkit", "nbdfuse", "losetup", "mkfs.ext4")
EXIT_S = 3 * SLOW


class Disk:
    """an ext4 in a block device that fails on demand"""

    def __init__(self, folder, size):
        self.folder, self.loop, self.children = os.path.join(folder, "block"), None, []
        self.at, self.fuse = os.path.join(self.folder, "disk"), os.path.join(self.folder, "fuse")
        for path in (self.folder, self.at, self.fuse):
            os.mkdir(path)
        self.bad = {kind: os.path.join(self.folder, "bad-" + kind) for kind in ("pwrite", "pread")}
        self.socket = os.path.join(self.folder, "socket")
        filters = ["error-%s%s" % (kind, words) for kind, path in self.bad.items()
                   for words in ("=EIO", "-rate=100%", "-file=" + path)]
        self.begin(["nbdkit", "-f", "-U", self.socket, "--filter=error", "memory", str(size), *filters], self.socket)
        image = os.path.join(self.fuse, "image")
        self.begin(["nbdfuse", image, "nbd+unix:///?socket=" + self.socket], image)
        self.loop = self.run("losetup", "--direct-io=on", "-f", "--show", image).strip()
        self.run("mkfs.ext4", "-q", "-m", "0", self.loop)
        self.mount()

    def begin(self, command, until):
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.children.append(child)
        for _ in range(200):
            if os.path.exists(until):
                return
            try:
                child.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
            break
        raise OSError("%s: ended with %s" % (command[0], child.returncode))

    @staticmethod
    def run(*command):
        got = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=False)
        if got.returncode != 0:
            raise OSError("%s: %s" % (" ".join(command), got.stderr.strip()))
        return got.stdout

    def mount(self):
        self.run("mount", self.loop, self.at)

    def umount(self):
        self.run("umount", self.at)

    def breaks(self, kind):
        with open(self.bad[kind], "wb"):
            pass

    def heals(self):
        """as an operator does it: away, well again, its journal played back"""
        self.umount()
        for path in self.bad.values():
            if os.path.exists(path):
                os.unlink(path)
        self.mount()

    def close(self):
        for path in self.bad.values():
            if os.path.exists(path):
                os.unlink(path)
        subprocess.run(["umount", self.at], capture_output=True, check=False)
        if self.loop:
            subprocess.run(["losetup", "-d", self.loop], capture_output=True, check=False)  # ours alone
        for child in reversed(self.children):
            finish(child)
        subprocess.run(["umount", "-l", self.fuse], capture_output=True, check=False)


def with_disk(name, test):
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        print("no %s here: SKIP" % ", ".join(missing))
        return
    if not alone(name, "test_block"):
        return
    x, disk = Exchange(PARTNERS, ALL), None
    try:
        try:
            disk = Disk(x.folder, "400M")
        except OSError as error:
            print("no such disk can be made here (%s): SKIP" % str(error).replace("\n", "; "))
            return
        on_disk(x, disk.at, "64MiB")
        x.start()
        test(x, disk)
        x.stop()
        x.verify()
    finally:
        if x.process is not None and x.process.poll() is None:
            x.process.kill()
            x.process.wait(WAIT_S)
        if disk is not None:
            disk.close()
        x.close()


def fixed_port(x):
    """the configuration was written by hand: a restart comes back on the same port"""
    with open(x.config, encoding="utf-8") as file:
        text = file.read()
    with open(x.config, "w", encoding="utf-8") as file:
        file.write(text.replace("127.0.0.1:0", "127.0.0.1:%d" % x.port))


def ends_with_74(x, begin, words):
    try:
        status = x.process.wait(EXIT_S)
    except subprocess.TimeoutExpired:
        raise Failed("the disk is broken and the daemon goes on\n" + x.tail()) from None
    x.reader.join(WAIT_S)
    took = time.monotonic() - begin
    if status != 74 or not any(words in line for line in x.lines):
        raise Failed("ended with %s after %.1f s, without %r\n%s" % (status, took, words, x.tail()))
    print("ended %.0f ms after the first octet that met the error" % (took * 1000))


def publish_all(x, uris, wanted):
    with Link(x.port, x.keys["kpl"].identity) as link:
        for uri in uris:
            got = link.answer(link.publish(story(uri, body_text="x" * 2000), TO))
            if got not in wanted:
                raise Failed("%s is %s" % (uri, got))


def writes_fail(x, disk):
    fixed_port(x)
    for turn in range(3):
        uris = ["urn:block:%d:%d" % (turn, n) for n in range(40)]
        publish_all(x, uris, ("stored",))
        link = Link(x.port, x.keys["kpl"].identity)
        disk.breaks("pwrite")
        begin, lost = time.monotonic(), "urn:block:%d:lost" % turn
        try:
            raise Failed("an answer from a disk that does not write: %r" %
                         (link.answer(link.publish(story(lost), TO)),))
        except BROKEN as error:
            if "an answer" in str(error):
                raise
        ends_with_74(x, begin, "event=store.fatal")
        disk.heals()
        x.restart()
        publish_all(x, uris, ("duplicate",))
        publish_all(x, [lost], ("stored", "duplicate"))
    got = set()
    with subscriber(x) as sub:
        while len(got) < 3 * 41:
            head, _, document = sub.receive()
            got.add(document)
            sub.ack(head["id"])
    x.log("item.delivered", count=3 * 41)


def reads_fail(x, disk):
    fixed_port(x)
    photos = {n: random.Random(n).randbytes(900_000) for n in range(20)}
    with Link(x.port, x.keys["kpl"].identity) as link:
        shas = {store_photo(link, "urn:block:%d" % n, data): data for n, data in photos.items()}
    x.stop()
    disk.umount()  # what the kernel remembers goes
    disk.mount()
    x.restart()
    with subscriber(x) as sub:
        heads = [sub.receive() for _ in photos]
        disk.breaks("pread")
        begin, came = time.monotonic(), 0
        try:
            for _, envelope, _ in heads:
                sha = bytes.fromhex(envelope["parts"][0]["sha256"])
                if sub.fetch(sha, 900_000) != shas[sha]:
                    raise Failed("altered octets")
                came += 1
            raise Failed("altered or read without a disk: %d photos" % came)
        except BROKEN as error:
            if "altered" in str(error):
                raise
    print("%d photos came before the first page that could not be read" % came)
    ends_with_74(x, begin, "SIGBUS")
    disk.heals()
    x.restart()
    with subscriber(x) as sub:
        for _ in photos:
            head, envelope, _ = sub.receive()
            sha = bytes.fromhex(envelope["parts"][0]["sha256"])
            if sub.fetch(sha, 900_000) != shas[sha]:
                raise Failed("altered octets")
            sub.ack(head["id"])
    x.log("item.delivered", count=len(photos))


def test_blocks_that_cannot_be_written():
    with_disk("test_blocks_that_cannot_be_written", writes_fail)


def test_blocks_that_cannot_be_read():
    if os.environ.get("TSAN"):
        print("the thread sanitizer puts signals off, SIGBUS too: SKIP")
        return
    with_disk("test_blocks_that_cannot_be_read", reads_fail)
