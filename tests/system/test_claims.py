"""Claims: who gets what of a subscription, when, and from where on."""
import os
import time

from cases import alive, check, give, holds, octets, reader, settled
from kit import Exchange, Relay
from newsx import Link, story

PARTNERS = {"pub": 'publish = {"n.*"}', "sub": 'read = {"n.*"}'}
SUBS = {"all": 'partner = "sub" channels = {"n.a"} start = "all" versions = "all"',
        "other": 'partner = "sub" channels = {"n.b"} start = "all"'}


class Scene:
    def __init__(self, x):
        self.x, self.n, self.sent = x, 0, []
        self.pub = Link(x.port, x.keys["pub"].identity)

    def publish(self, count=1, channel="n.a", **more):
        for _ in range(count):
            self.n += 1
            document = story("urn:claim:%d" % self.n, **more)
            check(give(self.pub, document, {"channel": channel}), "stored", "publish")
            self.sent.append(octets(document))

    def again(self):
        self.pub.close()
        self.pub = Link(self.x.port, self.x.keys["pub"].identity)


def take(sub, count, ack=True):
    """so many items: [(id, document)]"""
    out = []
    for _ in range(count):
        head, _, document = sub.receive()
        if ack:
            sub.ack(head["id"])
        out.append((head["id"], document))
    return out


def documents(items):
    return [document for _, document in items]


def test_takeover():
    """the newcomer gets the claim and all that was not answered; late answers of the old one count for nothing"""
    with Exchange(PARTNERS, SUBS) as x:
        s = Scene(x)
        s.publish(4)
        old = reader(x, "sub", "all")
        got = take(old, 4, ack=False)
        old.ack(got[0][0])
        x.log("item.delivered")
        settled(x, "all", 3)
        new = reader(x, "sub", "all")
        told = old.next("UNSUBSCRIBED").body
        check((told["name"], told["number"], told["code"]), ("all", old.claim["number"], "taken-over"), "told")
        x.log("subscription.release", reason="taken-over")
        check(documents(take(new, 3, ack=False)), s.sent[1:], "what the newcomer gets")
        for ident, _ in got[1:]:
            old.ack(ident)  # answered exactly once, counts for nothing
        alive(old)
        old.frame("UNSUBSCRIBE", old.claim["number"].to_bytes(4, "big"))  # it crossed
        alive(old)
        new.close()
        x.log("conn.close", peer="sub", reason="eof")
        settled(x, "all", 3)
        check(documents(take(reader(x, "sub", "all"), 3)), s.sent[1:], "still owed")


def test_takeovers_too_often():
    """two programs that fight for one claim: more than 4 takeovers a minute are refused, the holder keeps it"""
    with Exchange(PARTNERS, SUBS) as x:
        links, busy = [], None
        for _ in range(8):
            link = Link(x.port, x.keys["sub"].identity)
            link.give_credit()
            link.subscribe("all")
            frame = link.next("SUBSCRIBED", "UNSUBSCRIBED")
            links.append(link)
            if frame.type == "UNSUBSCRIBED":
                busy = frame.body
                break
        check(len(links), 6, "the first, four takeovers, and the one too many")
        check((busy["number"], busy["code"]), (0, "busy"), "refused")
        x.log("subscription.refuse", reason="busy")
        Scene(x).publish()
        links[4].ack(links[4].receive()[0]["id"])
        x.log("item.delivered")


def test_unsubscribe():
    """given back: answered released, what is not settled stays owed, and it can be claimed again on the same link"""
    with Exchange(PARTNERS, SUBS) as x:
        s = Scene(x)
        s.publish(3)
        sub = reader(x, "sub", "all")
        got = take(sub, 3, ack=False)
        sub.ack(got[1][0])
        sub.frame("UNSUBSCRIBE", sub.claim["number"].to_bytes(4, "big"))
        told = sub.next("UNSUBSCRIBED").body
        check((told["number"], told["code"]), (sub.claim["number"], "released"), "told")
        s.publish()
        alive(sub)
        check([f for f in sub.queue if f.type == "ITEM"], [], "items without a claim")
        sub.subscribe("all")
        again = sub.next("SUBSCRIBED").body
        holds(again["number"] != sub.claim["number"], "a number is not used twice")
        # an answer that comes after UNSUBSCRIBED is an answer to an open id: no close
        sub.ack(got[0][0])
        rest = documents(take(sub, 2))
        holds(s.sent[2] in rest or s.sent[0] in rest, "owed again: %r" % rest)
        alive(sub)


def test_any_order():
    """answers in any order; the last one is as good as the first"""
    with Exchange(PARTNERS, SUBS) as x:
        s = Scene(x)
        s.publish(20)
        sub = reader(x, "sub", "all")
        got = take(sub, 20, ack=False)
        for ident, _ in got[::-2]:
            sub.ack(ident)
        x.log("item.delivered", count=10)
        settled(x, "all", 10)
        sub.close()
        rest = take(reader(x, "sub", "all"), 10)
        check(documents(rest), [d for n, d in enumerate(s.sent) if n % 2 == 0], "the other half, in order")
        settled(x, "all", 0)


def test_refuse_later():
    """comes again, not before its time, as a new ITEM with a new id; others do not wait for it"""
    with Exchange(PARTNERS, SUBS) as x:
        s = Scene(x)
        s.publish(2)
        sub = reader(x, "sub", "all")
        got = take(sub, 2, ack=False)
        begin = time.monotonic()
        sub.refuse(got[0][0], "consumer-busy", "later", after_ms=1500)
        sub.ack(got[1][0])
        x.log("item.refused_by", reason="consumer-busy")
        s.publish()
        check(documents(take(sub, 1)), s.sent[2:3], "the next one does not wait")
        again = take(sub, 1)
        check(documents(again), s.sent[:1], "it came again")
        holds(time.monotonic() - begin >= 1.5, "too early: %.3f s" % (time.monotonic() - begin))
        holds(again[0][0] not in (got[0][0], got[1][0]), "with a new id")
        settled(x, "all", 0)


def test_refuse_never():
    """settled: it does not come again, on this link or another, and the log says who refused and why"""
    with Exchange(PARTNERS, SUBS) as x:
        s = Scene(x)
        s.publish(2)
        sub = reader(x, "sub", "all")
        got = take(sub, 2, ack=False)
        sub.refuse(got[0][0], "consumer-failed", "never", words="cannot read Lao")
        line = x.log("item.refused_by", reason="consumer-failed")
        check(line.get("retry"), "never", "retry in %r" % line)
        settled(x, "all", 1)
        sub.close()
        check(documents(take(reader(x, "sub", "all"), 1)), s.sent[1:2], "only the other one")
        settled(x, "all", 0)


def test_start():
    """start = now begins with what comes next, all with what is kept"""
    with Exchange(PARTNERS, SUBS) as x:
        s = Scene(x)
        s.publish(3)
        x.subscriptions["late-now"] = 'partner = "sub" channels = {"n.a"} start = "now" versions = "all"'
        x.subscriptions["late-all"] = 'partner = "sub" channels = {"n.a"} start = "all" versions = "all"'
        x.configure()
        check(x.reload()["event"], "conf.reload", "reload")
        s.publish(2)
        check(documents(take(reader(x, "sub", "late-now"), 2)), s.sent[3:], "now")
        check(documents(take(reader(x, "sub", "late-all"), 5)), s.sent, "all")
        now = reader(x, "sub", "other")
        check(now.claim["owed"] >= 0, True, "another subscription")


def test_exactly_on():
    """after a cut, after SIGTERM, after SIGKILL: exactly what is not settled, in order"""
    with Exchange(PARTNERS, SUBS) as x:
        s = Scene(x)
        s.publish(12)
        relay = Relay(x.port)
        sub = Link(relay.port, x.keys["sub"].identity)
        sub.give_credit(3)
        sub.subscribe("all")
        check(documents(take(sub, 3)), s.sent[:3], "before the cut")
        settled(x, "all", 9)
        relay.cut()
        x.log("conn.close", peer="sub")
        sub = reader(x, "sub", "all")
        check(documents(take(sub, 9, ack=False))[:2], s.sent[3:5], "after the cut")
        for ident in range(1, 4):
            sub.ack(ident)
        settled(x, "all", 6)
        x.stop()
        x.restart()
        s.again()
        sub = reader(x, "sub", "all")
        got = take(sub, 6, ack=False)
        check(documents(got), s.sent[6:], "after SIGTERM")
        for ident, _ in got[:3]:
            sub.ack(ident)
        settled(x, "all", 3)
        x.kill()
        x.restart()
        s.again()
        sub = reader(x, "sub", "all")
        check(documents(take(sub, 3)), s.sent[9:], "after SIGKILL")
        s.publish()
        check(documents(take(sub, 1)), s.sent[12:], "and what comes then")
        settled(x, "all", 0)
        sub.close()
        relay.close()
        x.stop()
        x.verify()


def test_restored_client():
    """a client that holds less than it once acknowledged was restored: owed again what lies above, once a minute"""
    with Exchange(PARTNERS, SUBS) as x:
        s = Scene(x)
        s.publish(5)
        sub = reader(x, "sub", "all")
        positions, first = [], sub.claim["epoch"]
        for _ in range(5):
            head, _, _ = sub.receive()
            positions.append(head["position"])
            sub.ack(head["id"])
        settled(x, "all", 0)
        sub.close()
        x.log("conn.close", peer="sub")
        sub = reader(x, "sub", "all", epoch=first, position=positions[1])
        check(documents(take(sub, 3)), s.sent[2:], "owed again")
        x.log("subscription.restored", subscription="all", said=positions[1])
        settled(x, "all", 0)
        sub.close()
        x.log("conn.close", count=2, peer="sub")
        sub = reader(x, "sub", "all", epoch=first, position=positions[0])
        alive(sub)
        check([f for f in sub.queue if f.type == "ITEM"], [], "a second time within the minute")


def test_odd_positions():
    """a position beyond the last, or of another epoch, is ignored, and logged; the right one is no news"""
    with Exchange(PARTNERS, SUBS) as x:
        s = Scene(x)
        s.publish(2)
        sub = reader(x, "sub", "all")
        take(sub, 2)
        settled(x, "all", 0)
        epoch = sub.claim["epoch"]
        for said, reason in (({"epoch": epoch, "position": 999}, "beyond-last"), ({"epoch": "abcdef", "position": 1}, "other-epoch"),
                             ({"epoch": "0", "position": 0}, "other-epoch")):
            sub.frame("UNSUBSCRIBE", sub.claim["number"].to_bytes(4, "big"))
            sub.next("UNSUBSCRIBED")
            mark = x.mark()
            sub.subscribe("all", **said)
            sub.claim = sub.next("SUBSCRIBED").body
            check((sub.claim["epoch"], sub.claim["owed"]), (epoch, 0), "claim")
            x.log("subscription.position", since=mark, reason=reason)
        mark = x.mark()
        sub.frame("UNSUBSCRIBE", sub.claim["number"].to_bytes(4, "big"))
        sub.next("UNSUBSCRIBED")
        sub.subscribe("all", epoch=epoch, position=sub.claim["position"])
        sub.next("SUBSCRIBED")
        alive(sub)
        check(x.found("subscription.position", "subscription.restored", since=mark), [], "lines for the right one")


def test_two_on_one_link():
    """two subscriptions on one link: each item under its own number"""
    with Exchange(PARTNERS, SUBS) as x:
        s = Scene(x)
        sub = reader(x, "sub", "all")
        sub.subscribe("other")
        other = sub.next("SUBSCRIBED").body
        holds(other["number"] != sub.claim["number"], "numbers")
        for channel in ("n.a", "n.b", "n.a", "n.c", "n.b"):
            s.publish(channel=channel)
        got = []
        for _ in range(4):
            head, envelope, _ = sub.receive()
            got.append((head["subscription"], envelope["channel"]))
            sub.ack(head["id"])
        check(sorted(got), sorted([(sub.claim["number"], "n.a"), (other["number"], "n.b")] * 2), "numbers and channels")
        settled(x, "all")
        settled(x, "other")


def test_twice_on_one_link():
    """claimed a second time on the same link: one of them holds it, and every item comes once"""
    with Exchange(PARTNERS, SUBS) as x:
        s = Scene(x)
        sub = reader(x, "sub", "all")
        sub.subscribe("all")
        frames = [sub.next("SUBSCRIBED", "UNSUBSCRIBED")]
        s.publish()
        got = take(sub, 1)
        check(documents(got), s.sent, "once")
        alive(sub)
        check([f for f in sub.queue if f.type == "ITEM"], [], "twice (%r)" % frames)


def test_no_answer():
    """a subscriber that reads and does not answer is closed, and owed it again"""
    with Exchange(PARTNERS, SUBS, {"limits": "ack-wait = 500ms"}) as x:
        s = Scene(x)
        s.publish()
        sub = reader(x, "sub", "all")
        take(sub, 1, ack=False)
        check(sub.closes(), "no-answer", "BYE")
        x.log("conn.close", peer="sub", reason="no-answer")
        sub = reader(x, "sub", "all")
        check(documents(take(sub, 1)), s.sent, "owed again")
        settled(x, "all")


def test_64_claims():
    """64 claims on one connection, each with its item"""
    many = {"m%d" % n: 'partner = "sub" channels = {"n.m%d"} start = "all"' % n for n in range(66)}
    with Exchange(PARTNERS, many) as x:
        s = Scene(x)
        for n in range(64):
            s.publish(channel="n.m%d" % n)
        sub = Link(x.port, x.keys["sub"].identity)
        sub.give_credit()
        for n in range(64):
            sub.subscribe("m%d" % n)
            sub.next("SUBSCRIBED")
        check(sorted(documents(take(sub, 64))), sorted(s.sent), "items")
        sub.subscribe("m64")
        check(sub.closes(), "claim-flood", "the 65th claim")


def test_frozen_slot():
    """a reader that takes nothing keeps nobody waiting"""
    with Exchange({**PARTNERS, "slow": 'read = {"n.*"}'}, {**SUBS, "slow": 'partner = "slow" channels = {"*"} start = "all"'}) as x:
        slow = Link(x.port, x.keys["slow"].identity, rcvbuf=4096)
        slow.give_credit()
        slow.subscribe("slow")
        slow.next("SUBSCRIBED")
        s = Scene(x)
        sub = reader(x, "sub", "all")
        for n in range(40):
            s.publish(body=os.urandom(20000).hex())
            take(sub, 1)
        settled(x, "all")
        check(documents(take(slow, 40)), s.sent, "all of it, when it reads at last")
