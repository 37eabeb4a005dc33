"""demo.py - the whole job on this machine: five acts, each with its claim, its attack, its proof, and PASS or FAIL.

    make demo            KEEP=1 make demo leaves the exchange running and says how to talk to it
Needs no root and no network but loopback. What it prints between the lines is the daemon's own log, as it happens.
"""
import hashlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
from kit import Exchange, Key, Relay, NEWSXCTL, parse_line  # noqa: E402
from newsx import Link, context, part, story  # noqa: E402

SHOWN = ("item.", "part.", "conn.refuse", "conn.close", "subscription.claim", "daemon.", "listen.open", "store.")
RATE, DELAY = 250_000, 0.02  # 2 Mbit/s, 40 ms there and back
START = time.monotonic()


def say(*words):
    print(*words, flush=True)


class Shown(Exchange):
    """an exchange whose log is printed as it happens"""

    quiet = False
    skipped = 0

    def _read(self, process):
        for raw in process.stderr:
            line = raw.decode("utf-8", "backslashreplace").rstrip("\n")
            with self.more:
                self.lines.append(line)
                self.more.notify_all()
            event = parse_line(line).get("event", "")
            if event.startswith(SHOWN):
                if self.quiet:
                    self.skipped += 1
                else:
                    say("    log| " + line[:180])
        with self.more:
            self.more.notify_all()


class Subscriber:
    """newsxctl subscribe, its lines with the time they came; started again when it ends with 75"""

    def __init__(self, exchange, out, port=None, subscription="from-kpl", again=True):
        self.exchange, self.out, self.port, self.name = exchange, out, port, subscription
        self.again, self.lines, self.runs = again, [], 0
        self.more, self.stopping = threading.Condition(), False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.stopping:
            self.child = self.exchange.ctl_begin("subscribe", "vna", "--subscription", self.name, "--out", self.out,
                                                 "--json", port=self.port)
            self.runs += 1
            for line in self.child.stdout:
                with self.more:
                    self.lines.append((time.monotonic(), json.loads(line)))
                    self.more.notify_all()
            self.words = self.child.stderr.read()
            status = self.child.wait()
            if not self.again or status not in (75,):
                break
            threading.Event().wait(0.2)  # as a service manager's RestartSec would

    def wait(self, uri, timeout=60):
        end = time.monotonic() + timeout
        with self.more:
            while True:
                for when, line in self.lines:
                    if line.get("uri") == uri:
                        return when, line
                if time.monotonic() > end:
                    raise AssertionError("%s did not come; last words: %s" % (uri, getattr(self, "words", "")))
                self.more.wait(0.2)

    def stop(self):
        self.stopping = True
        self.child.send_signal(signal.SIGTERM)
        self.thread.join(20)


def jpeg(seed, octets):
    """a tiny picture, made large by comments: ours, and different for each seed"""
    noise = random.Random(seed)
    head, tail = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00", b"\xff\xd9"
    body = b""
    while len(head) + len(body) + len(tail) < octets:
        n = min(65000, octets - len(head) - len(body) - len(tail))
        body += b"\xff\xfe" + (n + 2).to_bytes(2, "big") + noise.randbytes(n)
    frame = bytes.fromhex("ffc0000b080001000101011100")
    return head + body + frame + tail


TEXTS = {
    "lo": ("ນະຄອນຫຼວງວຽງຈັນ: ຕະຫຼາດເຊົ້າເປີດຄືນ", "ຕະຫຼາດເຊົ້າ ເປີດບໍລິການຄືນໃໝ່ ຫຼັງການສ້ອມແປງ ສາມເດືອນ."),
    "vi": ("Hà Nội: cầu Long Biên được tu sửa", "Việc tu sửa nhịp thứ bảy của cầu Long Biên bắt đầu từ sáng nay."),
    "en": ("Correction: the bridge has nineteen spans", "An earlier version gave a wrong number of spans."),
}


def write(folder, name, document, files=()):
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(document, file, ensure_ascii=False, indent=1)
    for part_name, data in files:
        with open(os.path.join(folder, part_name), "wb") as file:
            file.write(data)
    return path


def news(uri, language="en", version="1", urgency=4, photo=None):
    headline, body = TEXTS[language]
    document = {"uri": uri, "version": version, "type": "text", "language": language, "pubstatus": "usable",
                "urgency": urgency, "versioncreated": "2026-11-22T09:00:00+07:00", "headline": headline,
                "body_text": body}
    if photo:
        document["type"] = "picture"
        document["renditions"] = {"original": {"href": photo, "mimetype": "image/jpeg"}}
    return document


def received(out):
    """{(uri, version): folder}"""
    found = {}
    for entry in os.scandir(out) if os.path.isdir(out) else ():
        path = os.path.join(entry.path, "document.json")
        if not entry.name.startswith(".") and os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                document = json.load(file)
            found[(document["uri"], str(document.get("version", "0")))] = entry.path
    return found


def same(path, copy):
    with open(path, "rb") as one, open(copy, "rb") as two:
        return hashlib.sha256(one.read()).digest() == hashlib.sha256(two.read()).digest()


def need(truth, words):
    if not truth:
        raise AssertionError(words)


def only_part(folder):
    parts = os.listdir(os.path.join(folder, "parts"))
    need(len(parts) == 1, "one part was sent, %s are there" % parts)
    return os.path.join(folder, "parts", parts[0])


# ---- the acts


def act_arrive(x, work):
    """A Lao story, a Vietnamese story with a photo and an English correction arrive octet for octet."""
    source, out = os.path.join(work, "one"), os.path.join(work, "one-in")
    photo = jpeg("cầu", 700_000)
    files = [write(source, "lo.json", news("urn:demo:lo", "lo")),
             write(source, "vi.json", news("urn:demo:vi", "vi", photo="cầu.jpg"), [("cầu.jpg", photo)]),
             write(source, "en.json", news("urn:demo:en", "en", version="2"))]
    sub = Subscriber(x, out)
    got = x.ctl("publish", "kpl", "--channel", "kpl.news", *files)
    need(got.returncode == 0, "publish said: " + got.stdout + got.stderr)
    for uri in ("urn:demo:lo", "urn:demo:vi", "urn:demo:en"):
        sub.wait(uri)
    sub.stop()
    folders = received(out)
    for path, key in zip(files, (("urn:demo:lo", "1"), ("urn:demo:vi", "1"), ("urn:demo:en", "2"))):
        need(same(path, os.path.join(folders[key], "document.json")), "%s came changed" % (key,))
    need(same(os.path.join(source, "cầu.jpg"), only_part(folders[("urn:demo:vi", "1")])), "the photo came changed")
    return "3 documents and 1 photo of %d octets compared by SHA-256: equal" % len(photo)


def act_kill(x, work):
    """SIGKILL three times in the middle: every yes that was given is with the receiver."""
    source, out = os.path.join(work, "two"), os.path.join(work, "two-in")
    waiting, acked = [], set()
    for n in range(240):
        language, uri = ("lo", "vi", "en")[n % 3], "urn:demo:kill:%d" % n
        if n % 12 == 5:
            name = "p%d.jpg" % n
            waiting.append(write(source, "%03d.json" % n, news(uri, language, photo=name), [(name, jpeg(n, 400_000))]))
        else:
            waiting.append(write(source, "%03d.json" % n, news(uri, language)))
    total, kills, duplicates = len(waiting), 0, 0
    sub = Subscriber(x, out)
    x.quiet = True
    while waiting:
        child = x.ctl_begin("publish", "kpl", "--channel", "kpl.news", "--json", *waiting)
        done, here = set(), 0
        for line in child.stdout:
            answer = json.loads(line)
            if answer["result"] in ("stored", "duplicate"):
                acked.add(answer["uri"])
                done.add(answer["file"])
                duplicates += answer["result"] == "duplicate"
                here += 1
            if kills < 3 and here == 50:
                x.kill()
                kills += 1
                say("    SIGKILL %d after %d answers of yes; started again" % (kills, len(acked)))
                x.restart()
        child.wait()
        need(child.returncode in (0, 75), "publish said: " + child.stderr.read())
        waiting = [path for path in waiting if path not in done]
    for uri in sorted(acked):
        sub.wait(uri)
    sub.stop()
    x.quiet = False
    folders = received(out)
    missing = [uri for uri in acked if (uri, "1") not in folders]
    need(kills == 3, "only %d kills" % kills)
    need(len(acked) == total and not missing, "missing: %s" % missing)
    for n in range(total):
        copy = folders[("urn:demo:kill:%d" % n, "1")]
        need(same(os.path.join(source, "%03d.json" % n), os.path.join(copy, "document.json")), "%d changed" % n)
        if n % 12 == 5:
            need(same(os.path.join(source, "p%d.jpg" % n), only_part(copy)), "photo %d changed" % n)
    return "%d of %d items answered yes, all with the receiver; %d answered duplicate when offered again; subscriber began %d times" % (
        len(acked), total, duplicates, sub.runs)


def act_cut(x, work):
    """The cable is cut in the middle of a photo: it resumes at the octet, in both directions."""
    source, out = os.path.join(work, "three"), os.path.join(work, "three-in")
    photo = jpeg("cut", 6_000_000)
    path = write(source, "cut.json", news("urn:demo:cut", "vi", photo="cut.jpg"), [("cut.jpg", photo)])
    up = Relay(x.port)
    up.cut_after(2_500_000, "up")
    first = x.ctl("publish", "kpl", "--channel", "kpl.news", path, port=up.port)
    need(first.returncode == 75, "cut off, publish should say 75: %s" % (first,))
    sent_first = up.moved["up"]
    second = x.ctl("publish", "kpl", "--channel", "kpl.news", path, port=up.port)
    need(second.returncode == 0, "publish said: " + second.stdout + second.stderr)
    sent = up.moved["up"]
    up.close()
    down = Relay(x.port)
    down.cut_after(2_500_000, "down")
    sub = Subscriber(x, out, port=down.port)
    sub.wait("urn:demo:cut")
    sub.stop()
    came = down.moved["down"]
    down.close()
    need(sub.runs >= 2, "the cut was not noticed")
    need(same(os.path.join(source, "cut.jpg"), only_part(received(out)[("urn:demo:cut", "1")])), "the photo came changed")
    for octets, way in ((sent, "up"), (came, "down")):
        need(octets < len(photo) * 1.25, "%s: %d octets crossed the line for a photo of %d" % (way, octets, len(photo)))
    return "photo of %d octets; up: %d before the cut, %d in all; down: %d in all - not begun anew" % (
        len(photo), sent_first, sent, came)


def act_flash(x, work):
    """A flash overtakes ten photos on a line of 2 Mbit/s and 40 ms, beside a plain first-in-first-out sender."""
    source, out = os.path.join(work, "four"), os.path.join(work, "four-in")
    size, count = 150_000, 10
    files = []
    for n in range(count):
        name = "f%d.jpg" % n
        files.append(write(source, "f%d.json" % n, news("urn:demo:slow:%d" % n, photo=name), [(name, jpeg(name, size))]))
    flash = write(source, "flash.json", news("urn:demo:flash", "lo", urgency=1))
    line = Relay(x.port, RATE, DELAY)
    sub = Subscriber(x, out, port=line.port, subscription="slow-line")
    x.log("subscription.claim", subscription="slow-line")
    need(x.ctl("publish", "kpl", "--channel", "slow.photos", *files).returncode == 0, "photos were not taken")
    while line.moved["down"] < size:  # one and a half photos are through; the rest waits
        threading.Event().wait(0.02)
    begin = time.monotonic()
    need(x.ctl("publish", "kpl", "--channel", "slow.photos", flash).returncode == 0, "the flash was not taken")
    when = sub.wait("urn:demo:flash")[0]
    before = sum(1 for at, item in sub.lines if at <= when) - 1
    ours = when - begin
    sub.wait("urn:demo:slow:%d" % (count - 1), 90)
    all_through = time.monotonic() - begin
    sub.stop()
    line.close()
    plain = fifo(size, count)
    need(before < count and ours < plain / 3, "flash after %.2f s, plain sender %.2f s" % (ours, plain))
    return "flash delivered %.0f ms after publish began (newsxctl's own start and handshake included), %d of %d photos before it; the last photo after %.1f s; the same flash through a plain FIFO sender: %.1f s" % (
        ours * 1000, before, count, all_through, plain)


def fifo(size, count):
    """ten photos and a flash, one after the other through a socket on such a line: seconds to the flash's last octet"""
    server = socket.create_server(("127.0.0.1", 0))
    line = Relay(server.getsockname()[1], RATE, DELAY)
    sender = socket.create_connection(("127.0.0.1", line.port))
    end = {}

    def read():
        taker, _ = server.accept()
        got = 0
        while got < size * count + 400:
            data = taker.recv(65536)
            if not data:
                break
            got += len(data)
        end["at"] = time.monotonic()

    reader = threading.Thread(target=read)
    reader.start()
    begin = time.monotonic()
    sender.sendall(bytes(size * count))
    sender.sendall(b"flash" * 80)
    reader.join(60)
    line.close()
    server.close()
    return end["at"] - begin


def act_impostor(x, work):
    """An impostor: a stranger's key, another's photo by its hash, another's uri, a forged log line, a length of 4 GB."""
    proofs = []
    stranger = Key(os.path.join(x.folder, "keys"), "stranger%d" % len(os.listdir(os.path.join(x.folder, "keys"))))
    mark = x.mark()
    got = subprocess.run([NEWSXCTL, "publish", "--server", "127.0.0.1:%d" % x.port, "--server-pin", x.keys["exchange"].pin,
                          "--identity", stranger.identity, os.path.join(work, "one", "lo.json")],
                         capture_output=True, text=True, timeout=60, check=False)
    line = x.log("conn.refuse", since=mark, reason="unknown-key")
    need(got.returncode != 0 and line["pin"] == stranger.pin, "a stranger's key")
    proofs.append("a stranger's key: refused, logged ready to paste")

    with Link(x.port, x.keys["other"].identity) as evil:
        with open(os.path.join(work, "one", "cầu.jpg"), "rb") as file:
            photo = file.read()
        mine = part("x.jpg", photo)
        asked = evil.publish(story("urn:evil:1", renditions={"o": {"href": "x.jpg"}}), {"channel": "other.x", "parts": [mine]})
        frame = evil.expect("NEED", "ACK", "REFUSE")
        need(frame.type == "NEED" and frame.body["offset"] == 0, "a known hash gave %r" % (frame,))
        proofs.append("another's photo by its hash: must be sent whole")
        ident = evil.publish(story("urn:demo:lo", version="9", pubstatus="canceled"), {"channel": "other.x"})
        need(evil.answer(ident) == "stored", "a kill of one's own story")
        ident = evil.publish(story("urn:demo:lo", version="9"), {"origin": "kpl", "channel": "other.x"})
        need(evil.answer(ident) == ("not-your-origin", "never"), "speaking for another")
        ident = evil.publish(story("urn:demo:lo", version="9"), {"channel": "kpl.news"})
        need(evil.answer(ident) == ("not-allowed", "never"), "another's channel")
        proofs.append("another's uri, origin, channel: nothing of another's is touched")
        del asked
    with Link(x.port, x.keys["kpl"].identity) as ours:
        ident = ours.publish(story("urn:demo:lo", version="2"), {"channel": "kpl.news"})
        need(ours.answer(ident) == "stored", "the story lives on")
    with Link(x.port, x.keys["other"].identity, node="a\" level=err event=store.fatal") as evil:
        ident = evil.publish(story("urn:x\" level=err event=store.fatal x=\""), {"channel": "other.x"})
        need(evil.answer(ident) == "stored", "a strange uri")
        need(not x.found("store.fatal"), "a log line was forged")
        proofs.append("a forged log line: stays inside its quotes")
        evil.raw(b"\xff\xff\xff\xff\x07\x00\x00\x00")
        need(evil.closes() == "frame-too-large", "a length of 4 GB")
        proofs.append("a length of 4 GB: closed frame-too-large before an octet of it was read")
    return "; ".join(proofs)


ACTS = [act_arrive, act_kill, act_cut, act_flash, act_impostor]


def main():
    work = tempfile.mkdtemp(prefix="newsxd-demo.")
    keep = os.environ.get("KEEP") == "1"
    x = Shown({"kpl": 'publish = {"kpl.*", "slow.*"}', "vna": 'read = {"kpl.*", "slow.*"}', "other": 'publish = {"other.*"}'},
              {"from-kpl": 'partner = "vna" channels = {"kpl.*"} start = "all"',
               "slow-line": 'partner = "vna" channels = {"slow.*"} start = "all"'},
              folder=os.path.join(work, "exchange"), size="512MiB")
    failed = 0
    say("newsxd demo in %s" % work)
    for name, key in x.keys.items():
        say("    key of %-8s %s  spoken %s" % (name, key.pin, key.spoken))
    try:
        x.start()
        for number, act in enumerate(ACTS, 1):
            say("\nAct %d. %s" % (number, act.__doc__))
            begin = time.monotonic()
            try:
                proof = act(x, work)
                say("  PASS: %s  [%.1f s]" % (proof, time.monotonic() - begin))
            except Exception as error:  # an act that fails is told, and the next is played
                failed += 1
                x.quiet = False
                say("  FAIL: %s: %s" % (type(error).__name__, error))
                if x.process.poll() is not None:
                    x.restart()
        if keep:
            say("\nKept. The exchange runs as process %d on 127.0.0.1:%d; its folder is %s\n" % (x.process.pid, x.port, x.folder))
            say("    %s publish --server 127.0.0.1:%d --server-pin %s --identity %s --channel kpl.news FILE" % (
                NEWSXCTL, x.port, x.keys["exchange"].pin, x.keys["kpl"].identity))
            say("    kill %d; rm -r %s      # when you have seen enough" % (x.process.pid, work))
        else:
            x.stop()
            x.verify()
            say("\nThe store was verified: checksums, hashes, uses, debts.")
    finally:
        if not keep:
            x.close()
            shutil.rmtree(work, ignore_errors=True)
    say("\n%d acts passed, %d failed, %.0f s" % (len(ACTS) - failed, failed, time.monotonic() - START))
    return failed != 0


sys.exit(main())
