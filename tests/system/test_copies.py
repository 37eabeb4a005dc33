"""test_copies.py - --backup under load, --restore, --convert, and the manual's commands for them, run as they stand there."""
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import tempfile
import threading
import time

from cases import check, give, holds, octets, picture, reader
from kit import NEWSXD, SLOW, WAIT_S, Exchange, Failed, asan
from manual import commands
from newsx import Link, story

PARTNERS = {"pub": 'publish = {"*"}', "photos": 'publish = {"*"}', "live": 'read = {"*"}', "archive": 'read = {"*"}'}
SUBSCRIPTIONS = {"live": 'partner = "live" channels = {"*"} start = "all"',
                 "archive": 'partner = "archive" channels = {"*"} start = "all"'}


def exchange():
    return Exchange(PARTNERS, SUBSCRIPTIONS, size="192MiB")


def newsxd(x, *args, timeout=None, check_status=0):
    got = subprocess.run([NEWSXD, "--config", x.config, *args], text=True, capture_output=True,
                         timeout=timeout or 6 * WAIT_S, check=False)
    if check_status is not None and got.returncode != check_status:
        raise Failed("newsxd %s: exit %d\n%s%s" % (" ".join(args), got.returncode, got.stdout, got.stderr))
    return got


def note(folder):
    with open(os.path.join(folder, "backup.txt"), encoding="utf-8") as file:
        return dict(line.rstrip("\n").split(" ", 1) for line in file)


def wait_for(fact, what, seconds=None):
    end = time.monotonic() + (seconds or WAIT_S)
    while not fact():
        holds(time.monotonic() < end, what)


class Load:
    """a publisher of stories, one of photos and a subscriber, each a thread of its own, until stop()"""

    def __init__(self, x):
        self.x, self.going, self.failed = x, True, None
        self.acked, self.sent, self.live = [], {}, 0  # (when, seconds, sequence); {uri: hash of part or None}
        self.count = threading.Condition()
        self.threads = [threading.Thread(target=self._run, args=(f,), daemon=True)
                        for f in (self._stories, self._photos, self._live)]
        for thread in self.threads:
            thread.start()

    def _run(self, function):
        try:
            function()
        except Exception as error:  # pylint: disable=broad-except
            if self.going:
                self.failed = error
                raise

    def _note(self, begun, sequence):
        with self.count:
            self.acked.append((time.monotonic(), time.monotonic() - begun, sequence))
            self.count.notify_all()

    def _stories(self):
        with Link(self.x.port, self.x.keys["pub"].identity) as link:
            n = 0
            while self.going:
                n += 1
                uri = "urn:load:story:%d" % n
                self.sent[uri] = None
                begun = time.monotonic()
                ident = link.publish(octets(story(uri, body_text="news " * 800)), {"channel": "a.b"})
                check(link.answer(ident), "stored", uri)
                self._note(begun, link.sequence)

    def _photos(self):
        with Link(self.x.port, self.x.keys["photos"].identity) as link:
            n = 0
            while self.going:
                n += 1
                uri = "urn:load:photo:%d" % n
                document, envelope, parts = picture(uri, size=150000, name="p%d.jpg" % n)
                self.sent[uri] = next(iter(parts)).hex()
                check(give(link, octets(document), {"channel": "a.b", **envelope}, parts), "stored", uri)
                with self.count:
                    self.acked.append((time.monotonic(), None, link.sequence))

    def _live(self):
        with reader(self.x, "live", "live") as link:
            while self.going:
                head, _, _ = link.receive()
                link.ack(head["id"])
                self.live += 1

    def wait(self, n):
        """n more stories acknowledged"""
        with self.count:
            goal = len(self.acked) + n
            if not self.count.wait_for(lambda: len(self.acked) >= goal or self.failed, 3 * WAIT_S) or self.failed:
                raise Failed("the load stands still: %s" % self.failed)

    def stop(self):
        self.going = False
        for thread in self.threads[:2]:
            thread.join(WAIT_S)
        holds(self.failed is None, self.failed)


def p99(acked, begin, end):
    times = sorted(s for at, s, _ in acked if s is not None and begin <= at <= end)
    return (times[int(len(times) * 0.99)] * 1000, len(times)) if times else (0.0, 0)


def read_all(x, until):
    """what the archive is owed: {sequence: (uri, hash of its part or None)}, until that sequence came"""
    got = {}
    with reader(x, "archive", "archive") as link:
        while until not in got:
            head, envelope, document = link.receive()
            part = envelope["parts"][0] if envelope.get("parts") else None
            if part:
                data = link.fetch(bytes.fromhex(part["sha256"]), part["size"])
                check(hashlib.sha256(data).hexdigest(), part["sha256"], "a photo")
            got[head["sequence"]] = (json.loads(document)["uri"], part and part["sha256"])
            link.ack(head["id"])
    return got


def write_story(folder, uri):
    path = os.path.join(folder, uri.rsplit(":", 1)[1] + ".json")
    with open(path, "wb") as file:
        file.write(octets(story(uri)))
    return path


def test_a_backup_under_load_holds_an_exact_prefix_and_comes_back():
    x = exchange()
    with x:
        copy, inbox = os.path.join(x.folder, "copy"), os.path.join(x.folder, "inbox")
        ctl = lambda uri: x.ctl("publish", "pub", "--channel", "a.b", write_story(x.folder, uri))
        check(ctl("urn:ctl:one").returncode, 0, "newsxctl publish")
        check(x.ctl("subscribe", "live", "--subscription", "live", "--out", inbox, "--count", "1").returncode, 0, "subscribe")
        load = Load(x)
        load.wait(150)
        quiet = time.monotonic()
        load.wait(400)
        before = {sequence for _, _, sequence in load.acked}
        begin = time.monotonic()
        said = newsxd(x, "--backup", copy, "--rate", "16").stdout
        end = time.monotonic()
        load.wait(100)
        load.stop()
        check(ctl("urn:ctl:two").returncode, 0, "newsxctl publish")
        highest = max(s for _, _, s in load.acked) + 1
        print("backup of %.1f MiB in %.1f s beside the load; acknowledgement p99 %.1f ms of %d without, %.1f ms of %d with" % (
            (int(note(copy)["items-octets"]) + int(note(copy)["photos-octets"])) / 2**20, end - begin,
            *p99(load.acked, quiet, begin), *p99(load.acked, begin, end)), flush=True)
        holds(p99(load.acked, begin, end)[0] <= 2 * p99(load.acked, quiet, begin)[0] + 25 * SLOW, "the backup is felt")
        facts = note(copy)
        last, epoch = int(facts["sequence"]), facts["epoch"]
        check(facts["faults"], "0", "faults of the copy")
        holds("verified" in said and not os.path.exists(copy + ".new"), said)
        holds(before <= set(range(1, last + 1)), "acknowledged before the backup, and not in it")
        holds(last < highest, "nothing was stored during the backup: no load")
        x.stop()
        x.verify()

        said = newsxd(x, "--restore", copy).stdout
        kept = re.search(r"kept as (\S+);", said).group(1)
        holds(os.path.isfile(os.path.join(kept, "items", "data.mdb")), said)
        check(newsxd(x, "--convert").stdout.count("nothing to do"), 1, "--convert")
        x.restart()
        x.verify()
        got = read_all(x, last)
        check(sorted(got), list(range(1, last + 1)), "sequences of the copy")
        for uri, part in got.values():
            check(part, load.sent.get(uri), "the part of " + uri)

        # publishers learn of it, by hand and with newsxctl; once
        mark = x.mark()
        with Link(x.port, x.keys["photos"].identity, held={"epoch": epoch, "sequence": highest}) as link:
            holds(link.peer["epoch"] != epoch, "the epoch is the old one")
            check(link.peer["restored"], {"epoch": epoch, "sequence": last}, "HELLO restored")
            check(link.peer["last"], last, "HELLO last")
            line = x.log("store.rewound", since=mark)
            check((line["lost"], line["told-by"], line["level"]), (str(highest - last), "photos", "err"), "store.rewound")
        told = ctl("urn:ctl:two")
        check(told.returncode, 0, told.stderr)
        holds("was restored from a copy and has lost" in told.stderr and "seq above %d" % last in told.stderr, told.stderr)
        told = ctl("urn:ctl:two")
        holds("duplicate" in told.stdout and "restored" not in told.stderr, told.stdout + told.stderr)

        # what is lost does not come back because the store has gone on
        mark = x.mark()
        with Link(x.port, x.keys["photos"].identity, held={"epoch": epoch, "sequence": highest}) as link:
            holds(link.peer["last"] > last, "nothing was stored since")
            check(x.log("store.rewound", since=mark)["lost"], str(highest - last), "lost, as told later")

        # subscribers go on where the copy stood
        goes = x.ctl("subscribe", "live", "--subscription", "live", "--out", inbox, "--idle-exit", "1")
        check(goes.returncode, 0, goes.stderr)
        holds("restored from a copy" in goes.stderr and "urn:ctl:two" in goes.stdout, goes.stdout[-500:] + goes.stderr)
        x.stop()
        x.verify()


def test_a_restored_exchange_that_lost_nothing_is_told_of_once():
    with exchange() as x:
        copy = os.path.join(x.folder, "copy")
        path = write_story(x.folder, "urn:ctl:one")
        check(x.ctl("publish", "pub", "--channel", "a.b", path).returncode, 0, "newsxctl publish")
        newsxd(x, "--backup", copy)
        x.stop()
        newsxd(x, "--restore", copy)
        x.restart()
        refused = lambda: x.ctl("publish", "pub", path)  # without a channel: nothing is acknowledged
        told = refused()
        check((told.returncode, "all that it acknowledged to you is in it" in told.stderr), (1, True), told.stderr)
        told = refused()
        check((told.returncode, "restored" in told.stderr), (1, False), told.stderr)
        check(len(x.found("store.rewound")), 1, "lines in the log")


def with_photos(x, n=3, size=4 << 20, name="big"):
    with Link(x.port, x.keys["photos"].identity) as link:
        for i in range(n):
            document, envelope, parts = picture("urn:%s:%d" % (name, i), size=size)
            check(give(link, octets(document), {"channel": "a.b", **envelope}, parts), "stored")


def test_a_backup_that_is_killed_leaves_the_store_as_it_was():
    with exchange() as x:
        with_photos(x)
        copy = os.path.join(x.folder, "copy")
        for name in ("items", "photos"):
            child = subprocess.Popen([NEWSXD, "--config", x.config, "--backup", copy, "--rate", "1"],
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            wait_for(lambda n=name: os.path.exists(os.path.join(copy + ".new", n, "data.mdb")), "no copy is under way")
            child.kill()
            child.wait(WAIT_S)
            holds(not os.path.exists(copy), "half a copy has the name of a whole one")
        with_photos(x, 1, name="more")  # the daemon goes on
        newsxd(x, "--backup", copy)
        check(note(copy)["sequence"], "4", "what the copy holds")
        holds(not os.path.exists(copy + ".new"), "what the killed ones left")
        again = newsxd(x, "--backup", copy, check_status=1)
        holds("there already" in again.stderr, again.stderr)
        x.stop()
        x.verify()


def test_a_backup_is_left_alone_until_it_is_whole():
    """by a second one of the same name, by --restore, and by a daemon that is killed and begins anew in the middle"""
    with exchange() as x:
        with_photos(x)
        copy, other = os.path.join(x.folder, "copy"), os.path.join(x.folder, "other")

        def begin(to):
            child = subprocess.Popen([NEWSXD, "--config", x.config, "--backup", to, "--rate", "4"], text=True,
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            wait_for(lambda: os.path.exists(os.path.join(to + ".new", "photos", "data.mdb")), "no copy is under way")
            return child

        def whole(child, to):
            said = child.communicate(timeout=3 * WAIT_S)[0]
            check((child.returncode, "verified" in said, note(to)["faults"]), (0, True, "0"), said)

        first = begin(copy)
        got = newsxd(x, "--backup", copy, check_status=1)
        holds("another backup" in got.stderr, got.stderr)
        x.kill()
        x.restart()
        check(x.found("daemon.fail"), [], "a start beside a backup")
        whole(first, copy)
        second = begin(other)
        x.stop()
        got = newsxd(x, "--restore", copy, check_status=75)
        holds("a backup of it runs" in got.stderr, got.stderr)
        whole(second, other)
        newsxd(x, "--restore", copy)
        x.restart()
        check(len(read_all(x, 3)), 3, "items restored")


def test_a_restore_that_is_killed_leaves_a_whole_store():
    with exchange() as x:
        with_photos(x, 8)
        copy, store = os.path.join(x.folder, "copy"), os.path.join(x.folder, "store")
        newsxd(x, "--backup", copy)
        busy = newsxd(x, "--restore", copy, check_status=75)
        holds("stop it first" in busy.stderr, busy.stderr)
        with Link(x.port, x.keys["pub"].identity) as link:
            check(give(link, octets(story("urn:after")), {"channel": "a.b"}), "stored")
        x.stop()
        killed = 0
        for name in ("items", "photos", "photos"):
            child = subprocess.Popen([NEWSXD, "--config", x.config, "--restore", copy], stdout=subprocess.DEVNULL)
            path = os.path.join(store + ".restoring", name, "data.mdb")
            while child.poll() is None and not os.path.exists(path):
                pass
            child.kill()
            killed += child.wait(WAIT_S) != 0
            x.restart()
            with Link(x.port, x.keys["pub"].identity) as link:
                holds(link.peer["last"] in (8, 9), link.peer)
                check(link.peer["last"] == 8, "restored" in link.peer, "one store or the other")
            x.stop()
            x.verify()
        holds(killed, "none was killed in time")
        newsxd(x, "--restore", copy)
        holds(not os.path.exists(store + ".restoring"), "what the killed ones left")
        x.restart()
        check(len(read_all(x, 8)), 8, "items restored")


def test_what_fails_after_the_exchange_undoes_nothing():
    with exchange() as x:
        with_photos(x, 2)
        copy, store = os.path.join(x.folder, "copy"), os.path.join(x.folder, "store")
        newsxd(x, "--backup", copy)
        with Link(x.port, x.keys["pub"].identity) as link:
            check(give(link, octets(story("urn:after")), {"channel": "a.b"}), "stored")
        x.stop()
        got = subprocess.run(["strace", "-f", "-o", os.devnull, "-e", "inject=renameat2:error=EIO:when=2", NEWSXD,
                              "--config", x.config, "--restore", copy], env=dict(os.environ, **asan("detect_leaks=0")),
                             text=True, capture_output=True, timeout=3 * WAIT_S, check=False)
        if "strace: " in got.stderr:
            print("strace may not start a process here: SKIP")
            return
        check(got.returncode, 1, got.stderr)
        holds("it was restored, but" in got.stderr and "setting the old store aside" in got.stderr, got.stderr)
        holds("is kept as %s.restoring" % os.path.realpath(store) in got.stdout, got.stdout)
        x.restart()
        with Link(x.port, x.keys["pub"].identity) as link:
            check(link.peer["last"], 2, "the restored one")
        check(len(read_all(x, 2)), 2, "items restored")


def test_a_full_disk_leaves_nothing_half():
    probe = subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False)
    if os.geteuid() != 0 or probe.returncode != 0:
        print("needs root and a mount: SKIP")
        return
    with exchange() as x:
        with_photos(x)
        copy, disk = os.path.join(x.folder, "copy"), os.path.join(x.folder, "disk")
        os.mkdir(disk)
        small = lambda size, script: subprocess.run(
            ["unshare", "-m", "sh", "-c", "mount -t tmpfs -o size=%s none %s && { %s; }" % (size, disk, script)],
            text=True, capture_output=True, timeout=3 * WAIT_S, check=False)
        for size in ("100k", "2m", "8m"):
            got = small(size, "%s --config %s --backup %s/copy; echo $?; ls -A %s" % (NEWSXD, x.config, disk, disk))
            check(got.stdout.split(), ["1"], "exit status and what is left: " + got.stderr)
            holds("No space left on device" in got.stderr, got.stderr)
        newsxd(x, "--backup", copy)
        x.stop()
        shutil.copytree(os.path.join(x.folder, "keys"), os.path.join(x.folder, "etc", "keys"))
        shutil.copy(x.config, os.path.join(x.folder, "etc"))
        got = small("6m", "cp -r %s/etc/* %s && %s --config %s/newsxd.conf --restore %s; echo $?; ls -A %s %s/store" % (
            x.folder, disk, NEWSXD, disk, copy, disk, disk))
        holds("No space left on device" in got.stderr and "nothing was restored" in got.stderr, got.stderr)
        check(sorted(got.stdout.split()), sorted(["1", disk + ":", "keys", "newsxd.conf", "store", disk + "/store:",
                                                  "newsxd.lock"]), "what is left")
        x.restart()
        check(len(read_all(x, 3)), 3, "the store is as it was")


# ---- the manual

class Machine:
    """/etc/newsxd, /var/lib/newsxd and /srv/backup of one machine; systemctl is us, apt-get and scp are stubs"""

    def __init__(self, root, x):
        self.root, self.x, self.said = root, x, ""
        for folder in ("etc/newsxd", "var/lib/newsxd", "srv/backup", "bin"):
            os.makedirs(os.path.join(root, folder), exist_ok=True)
        os.symlink(NEWSXD, os.path.join(root, "bin", "newsxd"))
        self.stub("apt-get", 'test "$1" = install')
        self.stub("chgrp", 'test "$1 $2" = "-R newsxd" -a -e "$3/exchange.key"')
        self.stub("scp", 'for last; do :; done; to=$(echo "$last" | sed "s,^[^:]*:%s,%s,"); test "$1" = -rp; shift\n'
                         'while [ $# -gt 1 ]; do cp -rp "$1" "$to"; shift; done' % (root, root.replace("/old", "/new")))

    def stub(self, name, script):
        path = os.path.join(self.root, "bin", name)
        with open(path, "w", encoding="utf-8") as file:
            file.write("#!/bin/sh -eu\n%s\n" % script)
        os.chmod(path, 0o755)

    def run(self, command):
        print("#", command, flush=True)
        if command == "systemctl stop newsxd":
            self.x.stop()
        elif command == "systemctl start newsxd":
            self.x.restart()
        else:
            for folder in ("/etc/newsxd", "/srv/backup"):
                command = command.replace(folder, self.root + folder)
            got = subprocess.run(["sh", "-ec", command], text=True, capture_output=True, timeout=3 * WAIT_S, check=False,
                                 env={**os.environ, "PATH": self.root + "/bin:" + os.environ["PATH"]})
            if got.returncode:
                raise Failed("%s: exit %d\n%s%s" % (command, got.returncode, got.stdout, got.stderr))
            self.said = got.stdout


class Packaged(Exchange):
    """the configuration in etc/newsxd, the store elsewhere, as a package has it"""

    def configure(self):
        super().configure()
        with open(self.config, encoding="utf-8") as file:
            text = file.read()
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(text.replace('directory = "store"', 'directory = "../../var/lib/newsxd/store"'))


def put(x, uri):
    with Link(x.port, x.keys["pub"].identity) as link:
        answer = give(link, octets(story(uri)), {"channel": "a.b"})
        return answer, link.peer


def test_the_manuals_commands_do_what_the_manual_says():
    top = tempfile.mkdtemp(prefix="newsxd-test.")
    try:
        root = os.path.join(top, "old")
        os.makedirs(os.path.join(root, "etc/newsxd"))
        x = Packaged(PARTNERS, SUBSCRIPTIONS, size="64MiB", folder=os.path.join(root, "etc/newsxd"))
        old = Machine(root, x)
        store = os.path.join(root, "var/lib/newsxd")
        try:
            x.start()
            check(put(x, "urn:m:1")[0], "stored")
            for _, command in commands("newsxd.8", "BACKUP"):
                old.run(command)
            check(put(x, "urn:m:2")[0], "stored")
            for _, command in commands("newsxd.8", "RESTORING"):
                old.run(command)
            holds(re.search(r"^archive\s+archive\s+1 ", old.said, re.M), old.said)  # --owed is the last of them
            answer, peer = put(x, "urn:m:2")
            check((answer, peer["last"]), ("stored", 1), "after the restore")
            check(len([n for n in os.listdir(store) if n.startswith("store.before-")]), 1, "the store set aside")

            for _, command in commands("newsxd.8", "UPGRADING"):
                old.run(command)
                if "--convert" in command:
                    holds("nothing to do" in old.said, old.said)
            check(put(x, "urn:m:3")[0], "stored")
            for _, command in commands("newsxd.8", "GOING BACK"):
                old.run(command)
            answer, peer = put(x, "urn:m:3")
            check((answer, peer["last"]), ("stored", 2), "after going back")

            os.makedirs(os.path.join(top, "new"))
            new = Machine(os.path.join(top, "new"), x)
            for machine, command in commands("newsxd.8", "MOVING TO ANOTHER MACHINE"):
                if machine == "new":
                    x.config = os.path.join(top, "new/etc/newsxd/newsxd.conf")
                {"old": old, "new": new}[machine].run(command)
            answer, peer = put(x, "urn:m:3")
            check((answer, peer["last"]), ("duplicate", 3), "on the new machine")
            check(sorted(read_all(x, 3)), [1, 2, 3], "what moved")
            x.stop()
            x.verify()
        finally:
            x.close()
    finally:
        shutil.rmtree(top, ignore_errors=True)


def test_backups_killed_at_random_moments_beside_a_load():
    """whatever a kill leaves: the daemon goes on, no half copy has the name of a whole one, the next one is whole"""
    seed = int(os.environ.get("SEED", "0")) or int.from_bytes(os.urandom(4), "big")
    print("SEED=%d" % seed, flush=True)
    dice = random.Random(seed)
    with exchange() as x:
        with_photos(x, 2)
        load, killed, whole = Load(x), 0, 0
        for n in range(int(os.environ.get("N", "15"))):
            copy = os.path.join(x.folder, "copy-%d" % n)
            child = subprocess.Popen([NEWSXD, "--config", x.config, "--backup", copy, "--rate", "64"],
                                     stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            try:
                _, said = child.communicate(timeout=dice.uniform(0.0, 0.4))
                check(child.returncode, 0, said)
                whole += 1
            except subprocess.TimeoutExpired:
                child.kill()
                child.communicate(timeout=WAIT_S)
                killed += 1
            if os.path.exists(copy):  # its name says that it is whole
                check(note(copy)["faults"], "0", copy)
                shutil.rmtree(copy)
            load.wait(5)
        copy = os.path.join(x.folder, "copy")
        before = max(sequence for _, _, sequence in load.acked)
        newsxd(x, "--backup", copy)
        holds(int(note(copy)["sequence"]) >= before, "what was acknowledged before it began is in it")
        load.stop()
        x.stop()
        x.verify()
        print("%d killed, %d were quicker" % (killed, whole))
        holds(killed > 0, "none was killed in time")


def test_where_a_copy_may_go():
    """a relative path, another file system, a daemon that stands still, a store that is full; and where not"""
    with exchange() as x:
        with_photos(x, 1)
        got = subprocess.run([NEWSXD, "--config", x.config, "--backup", "here/"], text=True, capture_output=True, cwd=x.folder,
                             timeout=WAIT_S, check=False)
        check((got.returncode, note(os.path.join(x.folder, "here"))["sequence"]), (0, "1"), got.stderr)
        for path, words in ((os.path.join(x.folder, "none", "copy"), "does not exist; make it first"), (x.config + "/copy", "Not a directory"),
                            (os.path.join(x.folder, "here"), "there already"), (os.path.join(x.folder, "store"), "there already"),
                            (os.path.join(x.folder, "store", "items"), "there already"), ("", "")):
            got = newsxd(x, "--backup", path, check_status=None)
            holds(got.returncode in (1, 64) and words in got.stderr and len(got.stderr) > 20, "%r: %d %s" % (path, got.returncode, got.stderr))
            check(os.path.exists(path + ".new") and path != "", False, "what is left beside %r" % path)
        with tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
            newsxd(x, "--backup", memory + "/copy")
            x.stop()
            newsxd(x, "--backup", memory + "/still")
            check(note(memory + "/still")["sequence"], "1", "of a store that nobody runs on")
            newsxd(x, "--restore", memory + "/copy")
            got = newsxd(x, "--restore", memory, check_status=1)
            holds("nothing was restored" in got.stderr, got.stderr)
            os.truncate(memory + "/still/items/data.mdb", os.path.getsize(memory + "/still/items/data.mdb") - 4096)
            got = newsxd(x, "--restore", memory + "/still", check_status=1)
            holds("nothing was restored" in got.stderr, got.stderr)
        x.restart()
        check(len(read_all(x, 1)), 1, "what was restored")


def test_a_link_in_the_way_is_not_followed():
    """a store, a copy and a half copy behind symbolic links: nothing that the last leads to is taken for a leftover"""
    with exchange() as x:
        with_photos(x, 1)
        x.stop()
        store, copy, other = (os.path.join(x.folder, name) for name in ("store", "copy", "other"))
        os.mkdir(os.path.join(x.folder, "disk"))
        os.rename(store, os.path.join(x.folder, "disk", "store"))
        os.symlink("disk/store", store)
        newsxd(x, "--backup", copy)
        os.symlink(copy, other + ".new")
        got = newsxd(x, "--backup", other, check_status=1)
        holds("other.new" in got.stderr and "remove it" in got.stderr, got.stderr)
        os.unlink(other + ".new")
        os.symlink("nowhere", other)
        holds("there already" in newsxd(x, "--backup", other, check_status=1).stderr, "a link is a name that is taken")
        if os.geteuid() == 0:
            os.mkdir(other + "-2.new")
            os.chown(other + "-2.new", 65534, 65534)
            os.symlink(copy + "/items", other + "-2.new/items")
            got = newsxd(x, "--backup", other + "-2", check_status=1)
            holds("remove it" in got.stderr, got.stderr)
        os.symlink(copy, other + "-3")
        newsxd(x, "--restore", other + "-3")
        check((os.readlink(store), len(os.listdir(os.path.join(x.folder, "disk")))), ("disk/store", 2), "beside the store itself")
        x.restart()
        check(len(read_all(x, 1)), 1, "items restored")


def test_a_full_store_is_copied_and_comes_back():
    """photos until it refuses them: the copy holds what was acknowledged, and the restored one goes on refusing, and giving"""
    with Exchange(PARTNERS, SUBSCRIPTIONS, size="32MiB") as x:
        stored = 0
        with Link(x.port, x.keys["photos"].identity) as link:
            for n in range(100):
                document, envelope, parts = picture("urn:full:%d" % n, size=1 << 20)
                answer = give(link, octets(document), {"channel": "a.b", **envelope}, parts)
                if answer != "stored":
                    check(answer, ("store-full", "later"), "a full store")
                    break
                stored += 1
        holds(5 < stored < 40, "%d were stored" % stored)
        copy = os.path.join(x.folder, "copy")
        newsxd(x, "--backup", copy)
        x.stop()
        newsxd(x, "--restore", copy)
        x.restart()
        check(note(copy)["sequence"], str(stored), "in the copy")
        with Link(x.port, x.keys["pub"].identity) as link:
            check(link.peer["last"], stored, "in the restored one")
        x.stop()
        x.verify()


def test_a_subscriber_that_was_restored_is_given_again_what_it_lost():
    """the other direction: its position is older than what it acknowledged"""
    with exchange() as x:
        with Link(x.port, x.keys["pub"].identity) as link:
            for n in range(6):
                check(give(link, octets(story("urn:again:%d" % n)), {"channel": "a.b"}), "stored")
        inbox = os.path.join(x.folder, "inbox")
        follow = lambda: x.ctl("subscribe", "live", "--subscription", "live", "--out", inbox, "--idle-exit", "2")
        half = x.ctl("subscribe", "live", "--subscription", "live", "--out", inbox, "--count", "3")
        check(half.returncode, 0, half.stderr)
        shutil.copytree(inbox, inbox + ".monday")
        check(len(re.findall(r"^stored urn:again:", follow().stdout, re.M)), 3, "the rest")
        shutil.rmtree(inbox)
        os.rename(inbox + ".monday", inbox)  # its disk died; this is what there was of Monday
        got = follow()
        check(sorted(re.findall(r"^stored (urn:again:\d)", got.stdout, re.M)), ["urn:again:%d" % n for n in (3, 4, 5)], got.stdout + got.stderr)
        x.log("subscription.restored", subscription="live")
        check(follow().stdout, "", "once")
