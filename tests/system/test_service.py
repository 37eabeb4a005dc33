"""The service around the exchange: checks, reports, signals, reloads, and the end."""
import json
import os
import pwd
import re
import select
import shutil
import signal
import subprocess
import threading
import time

from cases import alive, check, give, holds, octets, owed, picture, reader, settled
from kit import NEWSXCTL, NEWSXD, WAIT_S, Exchange, Failed, Key
from newsx import Link, story

PARTNERS = {"pub": 'publish = {"n.*", "m"} speaks-for = {"bureau"}', "sub": 'read = {"n.*"} '}
SUBS = {"s": 'partner = "sub" channels = {"n.*"} start = "all"', "t": 'partner = "sub" channels = {"n.t"} start = "all"'}


def newsxd(x, *args, status=0):
    got = subprocess.run([NEWSXD, "--config", x.config, *args], text=True, capture_output=True, timeout=2 * WAIT_S, check=False)
    check(got.returncode, status, "newsxd %s: %s%s" % (args, got.stdout, got.stderr))
    return got.stdout + got.stderr


def line_of(x, word):
    with open(x.config, encoding="utf-8") as file:
        return 1 + [word in line for line in file].index(True)


def test_check():
    """--check: a table of rights, or file:line and what is wrong; nothing is made"""
    x = Exchange(PARTNERS, SUBS)
    try:
        table = newsxd(x, "--check")
        holds(re.search(r"^pub +n\.\* +- +bureau +no .*\n +m\n", table, re.M), table)
        holds(any(line.startswith("s ") and "sub" in line for line in table.splitlines()), table)
        holds(not os.path.exists(os.path.join(x.folder, "store")), "--check made a store")
        for words, complaint in (('adress = "x"', "adress"), ('pin = {"sha256:short"}', "pin"), ('read = {"a b"}', "a b"),
                                 ("connections = 0", "connections"), ("document = 12GiB", "document")):
            x.partners["odd"] = 'pin = {"%s"} ' % x.keys["exchange"].pin * ("pin" not in words) + words
            x.configure()
            said = newsxd(x, "--check", status=1)
            at = "newsxd.conf:%d: " % line_of(x, "partner odd")
            holds(at in said and complaint in said, "wanted %r and %r in %r" % (at, complaint, said))
            check(subprocess.run([NEWSXD, "--config", x.config], capture_output=True, timeout=WAIT_S, check=False).returncode,
                  78, "a start with %s" % words)
        for verb in (["--verify-store"], ["--owed"], ["--clock-ok"], ["--forget-subscription", "s"], ["--backup", "copy"],
                     ["--restore", "copy"], ["--convert"]):
            holds("newsxd.conf:" in newsxd(x, *verb, status=78), verb)
        del x.partners["odd"]
        x.subscriptions["odd"] = 'partner = "nobody"'
        x.configure()
        said = newsxd(x, "--check", status=1)
        holds("newsxd.conf:%d: " % line_of(x, "subscription odd") in said and "nobody" in said, said)
        del x.subscriptions["odd"]
        x.configure()
        os.chmod(x.keys["exchange"].key, 0o644)
        holds("0644" in newsxd(x, "--check", status=1), "a key that everybody may read")
        os.chmod(x.keys["exchange"].key, 0o640)
        newsxd(x, "--check")
    finally:
        x.close()


def test_check_by_root_sees_what_the_service_sees():
    """a key that root can read and the owner of the store cannot"""
    if os.geteuid() != 0:
        print("only root can be somebody else\nSKIP")
        return
    x = Exchange(PARTNERS, SUBS)
    try:
        os.chmod(x.folder, 0o755)
        os.chmod(os.path.join(x.folder, "keys"), 0o755)
        os.mkdir(os.path.join(x.folder, "store"))
        os.chmod(x.keys["exchange"].key, 0o600)
        newsxd(x, "--check")  # all of it is root's
        os.chown(os.path.join(x.folder, "store"), 65534, 65534)
        said = newsxd(x, "--check", status=1)
        holds(re.search(r"newsxd\.conf:1: key .* Permission denied; .*chgrp newsxd, chmod 0640 \(looked at as nobody, who owns .*/store\)",
                        said), said)
        os.chown(x.keys["exchange"].key, 0, 65534)
        os.chmod(x.keys["exchange"].key, 0o640)
        newsxd(x, "--check")
        os.chmod(x.config, 0o600)
        holds("cannot be read: Permission denied (looked at as nobody" in newsxd(x, "--check", status=1), "a configuration that is root's")
    finally:
        x.close()


def test_usage():
    """wrong usage 64, --version, --defaults that is a configuration"""
    run = lambda *a: subprocess.run([NEWSXD, *a], text=True, capture_output=True, timeout=WAIT_S, check=False)
    check(run().returncode, 64, "no arguments")
    check(run("--nonsense").returncode, 64, "unknown option")
    for more in (["--json"], ["--rate", "1"], ["--check", "--json"], ["--owed", "--check"], ["--owed", "--rate", "1"], ["x"]):
        check(run("--config", "/nonexistent/newsxd.conf", *more).returncode, 64, "what does not go together: %s" % more)
    check(run("--config", "/nonexistent/newsxd.conf").returncode, 78, "no such file")
    holds(re.match(r"newsxd \d+\.\d+\.\d+\n$", run("--version").stdout), "--version")
    defaults = run("--defaults")
    holds(defaults.returncode == 0 and "part-wait" in defaults.stdout and "keep" in defaults.stdout, "--defaults")


def test_owed():
    """--owed is exact beside the running daemon, as text and as JSON"""
    with Exchange(PARTNERS, SUBS) as x:
        check(owed(x), {"s": 0, "t": 0}, "at first")
        pub = Link(x.port, x.keys["pub"].identity)
        for n in range(7):
            check(give(pub, story("urn:o:%d" % n), {"channel": "n.t" if n < 3 else "n.u"}), "stored", "item")
        check(owed(x), {"s": 7, "t": 3}, "seven")
        sub = reader(x, "sub", "s")
        for _ in range(5):
            sub.ack(sub.receive()[0]["id"])
        settled(x, "s", 2)
        check(owed(x), {"s": 2, "t": 3}, "five answered")
        rows = [json.loads(line) for line in newsxd(x, "--owed", "--json").splitlines()]
        for row in rows:
            check(sorted(row), ["acked", "items", "octets", "oldest", "partner", "subscription", "vanished"], "keys")
            holds(row["partner"] == "sub" and row["octets"] >= 100 * row["items"], "row %r" % row)
            holds(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", row["oldest"]), "oldest")
        by_name = {row["subscription"]: row for row in rows}
        check((by_name["t"]["acked"], by_name["s"]["acked"] is not None), (None, True), "last acknowledgement")
        text = newsxd(x, "--owed")
        holds(re.search(r"^s +sub +2 +\d+ +20", text, re.M) and re.search(r"^t +sub +3 +\d+ +20.* -\s*$", text, re.M), text)


def test_usr1():
    """SIGUSR1: the store, each subscription, refusals and closes by reason"""
    with Exchange(PARTNERS, SUBS) as x:
        pub = Link(x.port, x.keys["pub"].identity)
        check(give(pub, story(), {"channel": "n.x"}), "stored", "item")
        check(give(pub, story("urn:2"), {"channel": "other"}), ("not-allowed", "never"), "item")
        bad = Link(x.port, x.keys["sub"].identity)
        bad.frame(99)
        check(bad.closes(), "unknown-frame", "bad")
        x.log("conn.close", reason="unknown-frame")
        mark = x.mark()
        x.process.send_signal(signal.SIGUSR1)
        state = x.log("store.state", since=mark)
        check((state["stored"], state["sequence"], state["position"], state["held"]), ("1", "1", "1", "0"), "store")
        for name, many in (("s", 1), ("t", 0)):
            line = x.log("subscription.state", since=mark, subscription=name)
            holds(line["claimed"] == "no" and int(line["owed_at_most"]) >= many, "%s: %r" % (name, line))
        check(x.log("refusals.state", since=mark)["not-allowed"], "1", "refusals")
        check(x.log("closes.state", since=mark)["unknown-frame"], "1", "closes")


def test_reload():
    """SIGHUP: a partner and a subscription more; one less is closed not-entitled; others keep their link"""
    with Exchange(PARTNERS, SUBS) as x:
        pub, sub = Link(x.port, x.keys["pub"].identity), reader(x, "sub", "s")
        x.keys["new"] = Key(os.path.join(x.folder, "keys"), "new")
        x.partners["new"] = 'publish = {"n.new"} read = {"n.*"}'
        x.subscriptions["newly"] = 'partner = "new" channels = {"n.*"} start = "now"'
        x.configure()
        line = x.reload()
        check((line["event"], line["partners"], line["subscriptions"]), ("conf.reload", "3", "3"), "reload")
        new = Link(x.port, x.keys["new"].identity)
        check(give(new, story("urn:new"), {"channel": "n.new"}), "stored", "the new partner")
        head, _, _ = sub.receive()
        sub.ack(head["id"])
        reader(x, "new", "newly")
        alive(pub)
        # a right less: the next item feels it, the link stays
        x.partners["pub"] = 'publish = {"m"}'
        x.configure()
        check(x.reload()["event"], "conf.reload", "reload")
        check(give(pub, story("urn:less"), {"channel": "n.x"}), ("not-allowed", "never"), "a right less")
        # gone altogether
        del x.partners["new"], x.subscriptions["newly"]
        x.configure()
        check(x.reload()["event"], "conf.reload", "reload")
        check(new.closes(), "not-entitled", "BYE for a partner that is gone")
        x.log("conn.close", peer="new", reason="not-entitled")
        x.log("store.vanished")
        try:
            Link(x.port, x.keys["new"].identity).close()
            raise Failed("a partner that is gone was let in")
        except (OSError, Failed) as error:
            holds("let in" not in str(error), str(error))
        x.log("conn.refuse", reason="unknown-key")
        alive(pub)
        alive(sub)


def test_bad_reload():
    """a bad file changes nothing, and its line is named"""
    with Exchange(PARTNERS, SUBS) as x:
        pub, sub = Link(x.port, x.keys["pub"].identity), reader(x, "sub", "s")
        good = open(x.config, encoding="utf-8").read()
        for bad, words in (("partner pub { }\n", "partner"), ("limits { stall = never }\n", "limits"), ("store {\n", "newsxd.conf"),
                           ('include("nowhere/x.conf"\n', "newsxd.conf")):
            with open(x.config, "w", encoding="utf-8") as file:
                file.write(good + bad)
            line = x.reload()
            check(line["event"], "conf.refused", bad)
            holds(re.search(r"newsxd\.conf:\d+: ", line["words"]) and words in line["words"], line["words"])
        n = story("urn:after-bad")
        check(give(pub, n, {"channel": "n.x"}), "stored", "as before")
        check(sub.receive()[2], octets(n), "as before")
        with open(x.config, "w", encoding="utf-8") as file:
            file.write(good)
        os.unlink(x.keys["exchange"].crt)
        check(x.reload()["event"], "conf.refused", "no certificate")
        alive(pub)


def test_stop():
    """SIGTERM: BYE shutdown, answers still flow, exit 0, what was not answered is owed"""
    with Exchange(PARTNERS, SUBS) as x:
        pub = Link(x.port, x.keys["pub"].identity)
        for n in range(3):
            check(give(pub, story("urn:stop:%d" % n), {"channel": "n.x"}), "stored", "item")
        sub = reader(x, "sub", "s")
        idents = [sub.receive()[0]["id"] for _ in range(3)]
        doc, env, parts = picture("urn:stop:photo", size=300000)
        ident = pub.publish(doc, {"channel": "m", **env})
        need = pub.next("NEED")
        x.process.send_signal(signal.SIGTERM)
        check(sub.next("BYE").body["code"], "shutdown", "BYE to the subscriber")
        check(pub.next("BYE").body["code"], "shutdown", "BYE to the publisher")
        for ident_ in idents[:2]:
            sub.ack(ident_)
        sub.bye()
        pub.serve(parts, need)
        check(pub.answer(ident), "stored", "an item that was under way")
        pub.bye()
        sub.refuse(idents[2], "busy", "later")
        check((pub.closes(), sub.closes()), ("", ""), "nothing but the one BYE")
        check(x.process.wait(WAIT_S), 0, "exit status")
        x.log("daemon.exit", status=0)
        check(owed(x)["s"], 1, "the answers that came after SIGTERM are on disk")
        x.verify()
        begin = time.monotonic()
        x.restart()
        holds(time.monotonic() - begin < 5, "ready again")


def test_a_second_signal_changes_nothing():
    """a photo is under way when the daemon stops: it arrives and its item is stored, however often it is told to stop"""
    with Exchange(PARTNERS, SUBS, {"limits": "bye = 30s"}) as x:
        with Link(x.port, x.keys["pub"].identity) as pub:
            doc, env, parts = picture("urn:stop:photo", size=300000)
            ident = pub.publish(doc, {"channel": "m", **env})
            need = pub.next("NEED")
            ((_, photo),) = parts.items()
            pub.data(need.body["handle"], 0, photo[:10000])
            x.process.send_signal(signal.SIGTERM)
            check(pub.next("BYE").body["code"], "shutdown", "BYE")
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
                x.process.send_signal(number)
                alive(pub)
            for at in range(10000, 300000, 10000):
                pub.data(need.body["handle"], at, photo[at:at + 10000])
            check(pub.answer(ident), "stored", "an item that was under way")
            pub.bye()
            check(pub.closes(), "", "nothing but the one BYE")
        check(x.process.wait(WAIT_S), 0, "exit status")
        check(len(x.found("daemon.stop")), 1, "stops")
        x.verify()


def test_stop_idle():
    """without links SIGTERM ends at once; with one that says nothing in five seconds"""
    with Exchange(PARTNERS, SUBS, {"limits": "bye = 1s"}) as x:
        Link(x.port, x.keys["pub"].identity)
        silent = Link(x.port, x.keys["sub"].identity)
        begin = time.monotonic()
        x.stop()
        holds(time.monotonic() - begin < 4.5, "it took %.1f s" % (time.monotonic() - begin))
        check(silent.next("BYE").body["code"], "shutdown", "BYE")


def test_second_daemon():
    """one store, one daemon; the first goes on"""
    with Exchange(PARTNERS, SUBS) as x:
        holds("another newsxd" in newsxd(x, status=75), "words")
        alive(Link(x.port, x.keys["pub"].identity))


def test_address_taken():
    with Exchange(PARTNERS, SUBS) as x:
        other = Exchange(PARTNERS, SUBS)
        other.port = x.port
        other.configure()
        other.start(wait=False)
        other.log("listen.fail")
        check(other.process.wait(WAIT_S), 69, "exit status")
        other.close()


def test_address_that_comes_later():
    """one that this machine does not have yet: the others are served, and it is as soon as it is there"""
    apart = ["unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]  # a network of its own
    if os.geteuid() != 0 or subprocess.run([*apart, "true"], capture_output=True, check=False).returncode != 0:
        print("needs root and a network name space: SKIP")
        return
    x = Exchange(PARTNERS, SUBS)
    try:
        with open(x.config, encoding="utf-8") as file:
            text = file.read()
        with open(x.config, "w", encoding="utf-8") as file:
            file.write(text.replace('"127.0.0.1:0"', '"127.0.0.1:0", "192.0.2.7:7417"'))
        x.launcher = apart
        x.start()
        check(x.log("listen.absent")["addr"], "192.0.2.7:7417", "what is not there")
        check([line["addr"] for line in x.found("listen.open")], [x.address], "what is served")
        inside = ["nsenter", "-t", str(x.process.pid), "-n"]
        ask = lambda server: subprocess.run(
            [*inside, NEWSXCTL, "ping", "--server", server, "--server-pin", x.keys["exchange"].pin, "--identity",
             x.keys["pub"].identity], text=True, capture_output=True, timeout=3 * WAIT_S, check=False)
        check(ask(x.address).returncode, 0, "the other address")
        subprocess.run([*inside, "ip", "address", "add", "192.0.2.7/32", "dev", "lo"], check=True)
        x.log("listen.open", addr="192.0.2.7:7417")
        done = ask("192.0.2.7:7417")
        check(done.returncode, 0, done.stdout + done.stderr)
        x.stop()
    except BaseException:
        print(x.tail())
        raise
    finally:
        x.close()


def test_a_smaller_size():
    """what it had of the disk stays, and so do the marks; the log says so"""
    with Exchange(PARTNERS, SUBS, size="1GiB") as x:
        if x.found("store.size"):
            raise Failed("nothing was made smaller yet")
        x.size = "64MiB"
        x.configure()
        x.restart_cleanly()
        told = x.found("store.size", level="warn")
        if len(told) != 2 or "give stories 16 MiB, but they have 256 MiB" not in told[0]["words"]:
            raise Failed("what the log should say of each: %s" % told)
        with Link(x.port, x.keys["pub"].identity) as link:
            if link.answer(link.publish(story("urn:smaller"), {"channel": "n.x"})) != "stored":
                raise Failed("not stored")


def test_verify():
    """--verify-store: clean after use; a changed octet is found and named"""
    with Exchange(PARTNERS, SUBS) as x:
        pub = Link(x.port, x.keys["pub"].identity)
        for n in range(20):
            doc, env, parts = picture("urn:v:%d" % n, size=20000)
            check(give(pub, doc, {"channel": "n.v", **env}, parts), "stored", "item")
        marker = octets(story("urn:v:marked", headline="THE-MARKED-HEADLINE"))
        check(give(pub, marker, {"channel": "n.v"}), "stored", "item")
        pub.close()
        x.stop()
        holds("0 faults" in newsxd(x, "--verify-store"), "clean")
        path = os.path.join(x.folder, "store", "items", "data.mdb")
        with open(path, "r+b") as file:
            at = file.read().find(b"THE-MARKED-HEADLINE")
            holds(at > 0, "the headline is not in %s" % path)
            file.seek(at)
            file.write(b"t")
        said = newsxd(x, "--verify-store", status=1)
        holds("0 faults" not in said, said)


def flip(path, octets):
    """the version octet behind each copy of this key is another; gives how many"""
    with open(path, "r+b") as file:
        whole, n, at = file.read(), 0, -1
        while (at := whole.find(octets, at + 1)) >= 0:
            file.seek(at + len(octets) - 1)
            file.write(bytes([octets[-1] ^ 0x20]))
            n += 1
        return n


def test_damaged_rows():
    """what is owed and its counters: both damaged, named once each, and nothing is lost"""
    with Exchange(PARTNERS, SUBS) as x:
        with Link(x.port, x.keys["pub"].identity) as pub:
            for n in range(5):
                check(pub.answer(pub.publish(story("urn:d:%d" % n), {"channel": "n.d"})), "stored", "item")
        x.stop()
        path = os.path.join(x.folder, "store", "items", "data.mdb")
        one = (1).to_bytes(4, "big")
        holds(flip(path, one + (1).to_bytes(8, "big") + b"\x01") > 0, "no row of owed")
        holds(flip(path, b"c" + one + b"\x01") > 0, "no counters")
        said = newsxd(x, "--verify-store", status=1)
        holds("owed from position 1 on cannot be read" in said, said)
        x.start()
        told = [(line["table"], line["key"]) for line in x.found("store.corrupt", level="err")]
        check(sorted(told), [("owed", "1/1"), ("subscriptions", "c/1")], "what was named")
        with reader(x, "sub", "s") as link:
            for n in range(5):
                head, _, got = link.receive()
                check(json.loads(got)["uri"], "urn:d:%d" % n, "in order")
                link.ack(head["id"])
            settled(x, "s")
        x.restart_cleanly()
        check(len(x.found("store.corrupt")), 2, "named once")
        x.stop()
        holds("0 faults" in newsxd(x, "--verify-store"), "clean")


def test_asks():
    """--clock-ok and --forget-subscription are answered in the log"""
    with Exchange(PARTNERS, {**SUBS, "old": 'partner = "sub" channels = {"n.*"} start = "all"'}) as x:
        check(give(Link(x.port, x.keys["pub"].identity), story(), {"channel": "n.x"}), "stored", "item")
        del x.subscriptions["old"]
        x.configure()
        check(x.reload()["event"], "conf.reload", "reload")
        told = x.log("store.vanished")  # at once, not a day after the start
        check((told["words"], told["owed_at_most"]), ("subscription old is not in the configuration", "1"), "what is lost soon")
        holds(6 * 86400 < int(told["keeps_s"]) <= 7 * 86400, told)
        check(owed(x).get("old"), 1, "frozen, still known")
        lines = newsxd(x, "--owed").splitlines()
        check(["not in the configuration since" in line for line in lines if line.startswith(("old ", "s "))].count(True), 1, lines)
        check([json.loads(line)["vanished"] is None for line in newsxd(x, "--owed", "--json").splitlines()
               if '"old"' in line or '"s"' in line].count(False), 1, "in JSON")
        newsxd(x, "--clock-ok")
        newsxd(x, "--forget-subscription", "old")
        newsxd(x, "--forget-subscription", "s")
        newsxd(x, "--forget-subscription", "never-was")
        x.log("ask.taken", ask="clock-ok")
        x.log("store.forgotten")
        x.log("ask.refused", subscription="s")
        x.log("ask.refused", subscription="never-was")
        check(owed(x), {"s": 1, "t": 0}, "after it")
        said = newsxd(x, "--forget-subscription", "../../etc/passwd", status=1)
        holds("etc" in said, said)


def test_asks_of_root():
    """root's word is left as the service's own; one that the service cannot take is told, once"""
    if os.geteuid() != 0:
        print("only root can be somebody else\nSKIP")
        return
    with Exchange(PARTNERS, SUBS) as x:
        store = os.path.join(x.folder, "store")
        ask = os.path.join(store, "ask")
        os.chmod(x.folder, 0o755)
        nobody = pwd.getpwnam("nobody")
        shutil.chown(store, nobody.pw_uid, nobody.pw_gid)
        newsxd(x, "--clock-ok")
        left = os.stat(ask)
        check((left.st_uid, left.st_gid), (nobody.pw_uid, nobody.pw_gid), "whose")
        x.log("ask.taken", ask="clock-ok")
        os.chmod(x.folder, 0o700)
        shutil.rmtree(ask)
        with open(ask, "w", encoding="ascii"):
            pass  # no folder: as little to be read as one of root's
        words = x.log("ask.refused", reason="system-error")["words"]
        holds("cannot read" in words and "ask" in words, words)


def test_log():
    """a log that nobody can forge: one line an event, whatever partners put into their names"""
    with Exchange(PARTNERS, SUBS) as x:
        evil = 'x" event=daemon.exit status=0\n2026-11-22T00:00:00Z level=err event=store.fatal words="'
        link = Link(x.port, x.keys["pub"].identity, agent=evil)
        check(give(link, story("urn:\u202eevil\u0085 event=x", headline=evil), {"channel": "n.x"})[0] in ("stored", "bad-uri", "s"), True, "item")
        check(give(link, story('urn:" event=store.fatal x="', version='1" event=forged b="'), {"channel": "n.x"}), "stored", "item")
        link.bye("bye", evil)
        link.closes()
        x.log("conn.close", peer="pub")
        check(x.found("daemon.exit", "store.fatal", "forged"), [], "forged lines")
        for line in x.lines:
            holds(re.match(r"\d{4}-\d\d-\d\dT[\d:.]+Z level=(err|warn|info|debug) event=[a-z]+\.[a-z_]+( |$)", line), line)
            holds(line.isprintable(), "not printable: %r" % line)


def test_nobody_reads_the_log():
    """standard error is a pipe that nobody reads: every item is answered all the same, and what was lost is counted"""
    with Exchange({"kpl": 'publish = {"kpl.*"}'}, size="256MiB") as x:
        port = x.port
        x.stop()
        read, write = os.pipe()
        child = subprocess.Popen([NEWSXD, "--config", x.config], stderr=write, stdin=subprocess.DEVNULL)
        os.close(write)
        try:
            link = connect_when_up(port, x.keys["kpl"].identity)
            for burst in range(20):
                idents = [link.publish(story("urn:l:%d:%d" % (burst, n)), {"channel": "kpl.news"}) for n in range(150)]
                if any(link.answer(ident) != "stored" for ident in idents):
                    raise Failed("not stored")
            os.set_blocking(read, False)
            link.close()
            seen = b""
            while b"event=log.dropped" not in seen:  # it is told as soon as there is room again
                if not select.select([read], [], [], WAIT_S)[0]:
                    raise Failed("no event=log.dropped: %s" % seen[-500:])
                seen += os.read(read, 65536)
            child.terminate()
            while os.read(read, 65536) if select.select([read], [], [], WAIT_S)[0] else None:
                pass
            if child.wait(WAIT_S) != 0:
                raise Failed("it ended with %s" % child.returncode)
        finally:
            child.kill()
            os.close(read)


def connect_when_up(port, identity):
    """the daemon cannot say that it is up: nobody reads its log"""
    for _ in range(200):
        try:
            return Link(port, identity)
        except OSError:
            threading.Event().wait(0.05)
    raise Failed("it does not come up")
