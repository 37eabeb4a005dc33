"""A relay of two commands: what newsxctl subscribe wrote, newsxctl publish hands to another exchange."""
import glob
import json
import os

from cases import check, give, holds, reader, sha
from kit import Exchange
from newsx import Link, part, story

SUBS = {"all": 'partner = "sub" channels = {"*"} start = "all"'}
FACTS = ("origin", "channel", "signal", "sent", "priority", "parts", "x-desk")


def received(x, *more):
    """newsxctl subscribe: the one folder that it writes"""
    out = os.path.join(x.folder, "out")
    done = x.ctl("subscribe", "sub", "--subscription", "all", "--out", out, "--count", "1", *more)
    check(done.returncode, 0, "subscribe: " + done.stderr)
    (folder,) = glob.glob(os.path.join(out, "*", ""))
    return folder


def read(folder, name):
    with open(os.path.join(folder, name), "rb") as file:
        return file.read()


def relay(near, envelope, far_rights, check_far):
    """a photo story through both; check_far(far exchange, folder, document, photos)"""
    photos = [os.urandom(300000), os.urandom(70)]
    # octets that nobody would write twice the same way
    document = ('{ "uri":"urn:kpl:1",  "version":"3", "type":"text","headline":"ຂ່າວ",\n"renditions":'
                '{"web":{"href":"a/p%20q.jpg"},"small":{"href":"s.jpg"}}}').encode()
    parts = [part("a/p%20q.jpg", photos[0]), part("s.jpg", photos[1], "image/x-small")]
    with Link(near.port, near.keys["kpl"].identity) as link:
        check(give(link, document, {**envelope, "parts": parts}, {sha(p): p for p in photos}), "stored", "at the first")
    folder = received(near)
    check(read(folder, "document.json"), document, "document.json")
    with Exchange({"relay": far_rights, "sub": 'read = {"*"}'}, SUBS) as far:
        check_far(far, folder, document, photos)


def test_a_folder_that_was_received_is_stored_at_another_exchange():
    """the same document octets, parts and facts of transport; a second time a duplicate; hops go on growing"""
    sent = {"channel": "kpl.news", "signal": "sig:correction", "sent": "2026-11-28T05:00:00Z", "priority": 2, "x-desk": ["ກ"],
            "hops": [{"party": "bureau", "time": "2026-11-28T05:00:01Z"}]}

    def far_gets_all(far, folder, document, photos):
        for result in ("stored", "duplicate"):
            done = far.ctl("publish", "relay", folder)
            check((done.returncode, done.stdout.split()[:3]), (0, [result, "urn:kpl:1", "3"]), done.stderr)
        got = received(far)
        check(read(got, "document.json"), document, "document at the second")
        check([read(got, "parts/" + name) for name in sorted(os.listdir(os.path.join(got, "parts")))], photos, "photos")
        before, after = (json.loads(read(f, "envelope.json")) for f in (folder, got))
        check({k: after.get(k) for k in FACTS}, {k: before.get(k) for k in FACTS}, "facts")
        check((after["origin"], after["signal"], after["sender"]), ("kpl", "sig:correction", "relay"), "facts")
        check([hop["party"] for hop in after["hops"]], ["bureau", "exchange", "exchange"], "hops")

    with Exchange({"kpl": 'publish = {"kpl.*"} node = yes', "sub": 'read = {"*"}'}, SUBS) as near:
        relay(near, sent, 'publish = {"kpl.*"} speaks-for = {"kpl"} node = yes', far_gets_all)


def test_a_relay_has_no_more_rights_than_its_key():
    """a foreign origin is refused, a channel can be named anew, signal counts from nodes alone, other parts are not sent"""

    def far_decides(far, folder, document, _photos):
        done = far.ctl("publish", "relay", folder)
        check((done.returncode, "code=not-your-origin never" in done.stdout), (1, True), done.stdout)
        far.partners["relay"] += ' speaks-for = {"kpl"}'
        far.configure()
        check(far.reload()["event"], "conf.reload", "reload")
        done = far.ctl("publish", "relay", folder)
        check((done.returncode, "code=not-allowed never" in done.stdout), (1, True), done.stdout)
        with open(os.path.join(folder, "parts", "02-s.jpg"), "ab") as file:
            file.write(b"!")
        done = far.ctl("publish", "relay", "--channel", "world.in", folder)
        check((done.returncode, "code=bad-envelope never" in done.stdout), (1, True), done.stdout)
        with open(os.path.join(folder, "parts", "02-s.jpg"), "ab") as file:
            file.truncate(70)
        done = far.ctl("publish", "relay", "--channel", "world.in", folder)
        check((done.returncode, done.stdout[:17]), (0, "stored urn:kpl:1 "), done.stderr)
        with reader(far, "sub", "all") as link:
            _, envelope, octets = link.receive()
        check(octets, document, "document")
        check((envelope["origin"], envelope["channel"]), ("kpl", "world.in"), "origin, channel")
        holds("signal" not in envelope, "a signal of one who is no node: %s" % envelope)

    with Exchange({"kpl": 'publish = {"kpl.*"} node = yes', "sub": 'read = {"*"}'}, SUBS) as near:
        relay(near, {"channel": "kpl.news", "signal": "sig:update"}, 'publish = {"world.*"}', far_decides)
