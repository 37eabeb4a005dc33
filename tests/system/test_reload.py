"""SIGHUP in every bad moment: files of every wrong kind, one reload in another, one in a stop, a thousand in a row."""
import fcntl
import os
import re
import shutil
import signal
import subprocess
import time

import ca as ca_
from ca import Ca, together
from cases import alive, check, holds
from kit import BUILD, NEWSXD, WAIT_S, Exchange, Key
from newsx import Link

PARTNERS = {"pub": 'publish = {"n.*"}'}
GATE = os.path.join(BUILD, "tests/fault/shim/gate.so")


def line_of(x, word):
    with open(x.config, encoding="utf-8") as file:
        return 1 + [word in line for line in file].index(True)


def write(path, text, mode=0o640):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, mode)


def instead(how):
    """a case: what `how` makes stands where a file was"""
    def case(_, path):
        os.unlink(path)
        how(path)
    return case


def other_key(x, path):
    shutil.copy(x.keys["pub"].key, path)
    os.chmod(path, 0o640)


def locked(x, path):
    subprocess.run(["openssl", "pkcs8", "-topk8", "-in", x.keys["exchange"].key, "-out", path + ".new", "-passout", "pass:x"],
                   check=True, timeout=WAIT_S, capture_output=True)
    os.chmod(path + ".new", 0o640)
    os.rename(path + ".new", path)


FIFO, FOLDER, DEVICE = instead(os.mkfifo), instead(os.mkdir), instead(lambda path: os.symlink("/dev/zero", path))
GONE, LOOP = instead(lambda path: None), instead(lambda path: os.symlink(path, path))
EMPTY, JUNK = (lambda _, path: write(path, "")), (lambda _, path: write(path, "junk\n"))
ENDLESS = lambda _, path: os.truncate(path, 1 << 40)
ONE = [("gone", GONE, "does not exist"), ("a pipe", FIFO, "is no file"), ("a folder", FOLDER, "is no file"),
       ("a device without an end", DEVICE, "is no file"), ("a link to itself", LOOP, "symbolic links"),
       ("empty", EMPTY, "is empty"), ("of other octets", JUNK, ""), ("of a TiB", ENDLESS, "larger than")]
KEY = [*ONE, ("of everybody", lambda _, path: os.chmod(path, 0o644), "chmod 0640"),
       ("another's", other_key, "does not belong to the certificate"), ("locked with a phrase", locked, "no private key"),
       ("a public one", lambda x, path: write(path, open(x.keys["exchange"].crt, encoding="ascii").read()), "no private key")]
CRT = [*ONE, ("another's", lambda x, path: shutil.copy(x.keys["pub"].crt, path), "does not belong to the certificate")]
CA = [*ONE, ("no CA's", lambda x, path: shutil.copy(x.keys["pub"].crt, path), "not that of a CA")]
CRL = [*ONE, ("cut", lambda _, path: write(path, open(path, encoding="ascii").read()[:200]), "")]
TEXTS = [("an unknown setting", 'partner odd { pinn = "x" }', "did you mean 'pin'"),
         ("an include that is gone", 'include("gone.conf")', "'gone.conf' does not exist"),
         ("an include that is a pipe", 'include("pipe.conf")', "cannot be read"),
         ("an include of itself", 'include("newsxd.conf")', "stands there twice"),
         ("a section that does not end", "partner odd {", "'}' is missing"),
         ("a NUL", "\0", "NUL"), ("no words at all", "\x01\xff", ""),
         ("a partner without a pin", "partner odd { }", "no 'pin'")]


def test_every_bad_file_is_named_with_its_line_and_changes_nothing():
    if not ca_.there():
        print("the openssl command is missing\nSKIP")
        return
    x = Exchange({**PARTNERS, "agency": 'pin = {} ca = "agency.ca" san = {"a.example"} crl = "agency.crl" read = {"n.*"}'})
    ca = Ca(x.folder, "agency")
    files = {"ca": together(x.folder + "/agency.ca", ca.crt), "crl": together(x.folder + "/agency.crl", ca.crl()),
             "key": x.keys["exchange"].key, "crt": x.keys["exchange"].crt}
    os.mkfifo(x.folder + "/pipe.conf")
    with x:
        pub, pin, bad = Link(x.port, x.keys["pub"].identity), x.found("key.serving")[-1]["pin"], 0
        good = open(x.config, encoding="utf-8").read()

        def refused(name, place, words):
            mark, got = x.mark(), x.reload()
            check(got["event"], "conf.refused", name)
            holds(re.match(place, got["words"]) and words in got["words"], "%s: %r" % (name, got["words"]))
            alive(pub)
            check(x.found("key.serving", since=mark), [], name)
            told = subprocess.run([NEWSXD, "--config", x.config, "--check"], text=True, capture_output=True, timeout=WAIT_S,
                                  check=False, stdin=subprocess.DEVNULL)
            check((told.returncode, got["words"][:40] in told.stderr), (1, True), "--check: %s%s" % (name, told.stderr))

        for kind, cases in (("key", KEY), ("crt", CRT), ("ca", CA), ("crl", CRL)):
            path = files[kind]
            place = re.escape("%s:%d: " % (x.config, line_of(x, {"crt": "certificate"}.get(kind, kind + " ="))))
            for name, make, words in cases:
                shutil.copy2(path, path + ".kept")
                make(x, path)
                refused("%s %s" % (kind, name), place, words)
                if os.path.isdir(path) and not os.path.islink(path):
                    os.rmdir(path)
                os.rename(path + ".kept", path)
                bad += 1
        for name, text, words in TEXTS:
            write(x.config, good + text)
            refused(name, r"\S+\.conf:\d+: ", words)
            bad += 1
        for name, make in (("gone", GONE), ("a pipe", FIFO), ("a folder", FOLDER)):
            make(x, x.config)
            refused("the configuration is " + name, re.escape(x.config), "")
            (os.rmdir if os.path.isdir(x.config) else lambda p: os.path.lexists(p) and os.unlink(p))(x.config)
            write(x.config, good)
            bad += 1
        check(x.reload()["event"], "conf.reload", "the good one")
        check(x.log("key.serving", since=x.mark() - 2)["pin"], pin, "the key that answers")
        alive(pub)
        print("%d bad files" % bad)


def gated():
    """an exchange whose disk stands still while the gate is held"""
    gate = open(os.path.join("/tmp", "newsxd-gate.%d" % os.getpid()), "w", encoding="ascii")
    os.unlink(gate.name)  # its descriptor is the name
    x = Exchange(PARTNERS, env={"LD_PRELOAD": GATE, "GATE": "/proc/%d/fd/%d" % (os.getpid(), gate.fileno())})
    return x, gate


def more_partners(x, *names):
    for name in names:
        x.keys[name] = Key(os.path.join(x.folder, "keys"), name)
        x.partners[name] = 'publish = {"n.%s"}' % name
    x.configure()


def skips_gate():
    if os.environ.get("SAN"):
        print("a sanitizer wants to be the first that is preloaded\nSKIP")
        return True
    return False


def test_a_reload_in_a_reload_is_done_after_it():
    if skips_gate():
        return
    x, gate = gated()
    with x:
        pub = Link(x.port, x.keys["pub"].identity)
        fcntl.flock(gate, fcntl.LOCK_EX)
        mark = x.mark()
        more_partners(x, "a")
        x.process.send_signal(signal.SIGHUP)
        alive(pub)  # after this the file has been read: signals come first
        alive(pub)
        more_partners(x, "b")
        for _ in range(3):
            x.process.send_signal(signal.SIGHUP)
            alive(pub)
        check(x.found("conf.reload", "conf.refused", since=mark), [], "while the disk stands still")
        fcntl.flock(gate, fcntl.LOCK_UN)
        x.log("conf.reload", since=mark, partners=3)
        check([line["partners"] for line in x.found("conf.reload", since=mark)], ["2", "3"], "both, in their order")
        check(x.found("conf.refused", since=mark), [], "refused")
        Link(x.port, x.keys["b"].identity).close()
        x.stop()


def test_a_reload_in_a_stop_opens_no_door():
    if skips_gate():
        return
    for first in (signal.SIGHUP, signal.SIGTERM):
        x, gate = gated()
        with x:
            pub = Link(x.port, x.keys["pub"].identity)
            fcntl.flock(gate, fcntl.LOCK_EX)
            more_partners(x, "a")
            x.process.send_signal(first)
            if first == signal.SIGHUP:
                alive(pub)
                alive(pub)
            else:
                x.log("daemon.stop")
            x.process.send_signal(signal.SIGTERM if first == signal.SIGHUP else signal.SIGHUP)
            x.log("daemon.stop")
            fcntl.flock(gate, fcntl.LOCK_UN)
            pub.bye()
            check(x.process.wait(WAIT_S), 0, "exit status")
            check(len(x.found("listen.open")), 1, "doors")


def test_a_reload_in_a_start_is_done_after_it():
    if skips_gate():
        return
    x, gate = gated()
    with x:
        x.stop()
        x.partners["pub"] += ' read = {"n.*"}'
        x.subscriptions["new"] = 'partner = "pub" channels = {"n.*"}'  # something to commit
        x.configure()
        fcntl.flock(gate, fcntl.LOCK_EX)
        mark = x.mark()
        x.start(wait=False)
        x.log("daemon.start", since=mark)
        more_partners(x, "a")
        x.process.send_signal(signal.SIGHUP)
        time.sleep(0.5)  # there is no event of what does not come
        check(x.found("conf.reload", "listen.open", since=mark), [], "before the start is done")
        fcntl.flock(gate, fcntl.LOCK_UN)
        x.log("conf.reload", since=mark, partners=2)
        holds(x.found("listen.open", since=mark), "serving")
        x.stop()


def test_a_slow_start_warns_of_a_list_that_ends():
    """the store takes longer than a second to begin: event=crl.expires comes all the same, not six hours later"""
    if skips_gate() or not ca_.there():
        return
    x, gate = gated()
    agency = Ca(x.folder, "agency")
    together(x.folder + "/agency.ca", agency.crt)
    together(x.folder + "/agency.crl", agency.crl(until=3600))
    x.partners["agency"] = 'pin = {} ca = "agency.ca" san = {"a.example"} crl = "agency.crl" read = {"n.*"}'
    x.keys["agency"] = None
    x.configure()
    with x:
        x.log("crl.expires", peer="agency")
        x.stop()
        x.subscriptions["new"] = 'partner = "agency" channels = {"n.*"}'  # something to commit
        x.configure()
        fcntl.flock(gate, fcntl.LOCK_EX)
        mark = x.mark()
        x.start(wait=False)
        x.log("daemon.start", since=mark)
        time.sleep(2.5)  # two ticks: there is no event of what does not come
        check(x.found("crl.expires", "listen.open", since=mark), [], "before it serves")
        fcntl.flock(gate, fcntl.LOCK_UN)
        x.log("crl.expires", since=mark, peer="agency")
        x.stop()
        check(len(x.found("crl.expires", since=mark)), 1, "warnings")


def test_a_thousand_reloads_cost_nothing():
    with Exchange({**PARTNERS, "sub": 'read = {"n.*"}'},
                  {"s": 'partner = "sub" channels = {"n.*"} start = "all"'}) as x:
        links = [Link(x.port, x.keys[name].identity) for name in ("pub", "sub")]

        def costs():
            with open("/proc/%d/statm" % x.process.pid, encoding="ascii") as file:
                resident = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            return resident, len(os.listdir("/proc/%d/fd" % x.process.pid))

        def reloads(n):
            for _ in range(n):
                check(x.reload()["event"], "conf.reload", "reload")

        reloads(600)  # by then the heap has found its size
        first, descriptors = costs()
        reloads(800)
        then, descriptors_then = costs()
        print("after 600 reloads %d KiB, %d descriptors; after 1,400 %d KiB, %d" %
              (first >> 10, descriptors, then >> 10, descriptors_then))
        check(descriptors_then, descriptors, "descriptors")
        if not os.environ.get("SAN"):  # it keeps what was freed
            holds(then - first < 256 << 10, "memory grew by %d KiB in 800 reloads" % ((then - first) >> 10))
        for link in links:
            alive(link)
        x.stop()
