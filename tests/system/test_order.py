"""Nothing is said before the disk has it: the disk is held still, and nobody may hear a word of what it was given."""
import fcntl
import os
import random

from kit import BUILD, Exchange, Failed, asan
from newsx import Link, story
from test_recovery import ALL, PARTNERS, TO, photo_item, subscriber

GATE = os.path.join(BUILD, "tests", "fault", "shim", "gate.so")


class Gate:
    """with it the daemon's commits stand still at `at` ("sync" or "meta")"""

    def __init__(self, at):
        self.file = open(os.path.join(os.environ.get("TMPDIR", "/tmp"), "newsxd-gate.%d" % os.getpid()), "w+b")
        self.env = {"LD_PRELOAD": GATE, "GATE": self.file.name, "GATE_AT": at, **asan("verify_asan_link_order=0")}

    def __enter__(self):
        fcntl.flock(self.file, fcntl.LOCK_EX)

    def __exit__(self, *_):
        fcntl.flock(self.file, fcntl.LOCK_UN)

    def close(self):
        os.unlink(self.file.name)
        self.file.close()


def silent(at):
    gate = Gate(at)
    data = random.Random(9).randbytes(20_000)
    try:
        with Exchange(PARTNERS, ALL, env=gate.env) as x, Link(x.port, x.keys["kpl"].identity) as link, \
                subscriber(x) as sub:
            if link.answer(link.publish(story("urn:gate:0"), TO)) != "stored":
                raise Failed("not stored")
            sub.ack(sub.receive()[0]["id"])
            x.log("item.delivered")
            for turn in range(1, 4):  # a commit of the daemon's own may be the one that stands still
                with gate:
                    ident = link.publish(story("urn:gate:%d" % turn), TO)
                    said = link.quiet(0.3) + sub.quiet(0.2)
                    if said:
                        raise Failed("said before the commit (%s): %r" % (at, said))
                if link.answer(ident) != "stored" or sub.receive()[0]["position"] != turn + 1:
                    raise Failed("and nothing after it")
            ident, sha = photo_item(link, "urn:gate:photo", data)
            need = link.expect("NEED")
            with gate:
                link.serve({sha: data}, need)
                said = [frame for frame in link.quiet(0.5) + sub.quiet(0.3) if frame.type != "NEED"]
                if said:
                    raise Failed("said before the photo's commit (%s): %r" % (at, said))
            if link.answer(ident) != "stored" or sub.receive()[0]["position"] != 5:
                raise Failed("and nothing after it")
    finally:
        gate.close()


def test_nothing_is_said_before_the_sync():
    silent("sync")


def test_nothing_is_said_before_the_last_page():
    silent("meta")
