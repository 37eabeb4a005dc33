"""The service under a real systemd, in a container: hardened, ready, reloaded, killed, restarted, hung."""
import fcntl
import glob
import os
import re
import shutil
import subprocess
import tempfile
import time

from cases import check, holds
from container import Hammer, in_a_container, run
from kit import BUILD, NEWSXCTL, ROOT, WAIT_S, Failed

CONFIG = """node { name = "exchange" }
listen { address = {"127.0.0.1:7417"} }
store { directory = "/var/lib/newsxd/store" size = 64MiB }
limits { connections-per-address = 1000 }
partner kpl { pin = {"%s"} publish = {"kpl.*"} connections = 1000 }
"""
EXPOSURE = 1.1


def key(folder, name):
    made = run(NEWSXCTL, "key", "new", "--name", name, "--out", folder).stdout
    return os.path.join(folder, name), re.search(r"^pin (\S+)", made, re.M).group(1)


def settle_in(box):
    """the unit, a user, keys and a configuration, as an operator would put them there"""
    box.install()
    box.boot()
    box.inside("systemd-sysusers")
    keys = box.root + "/etc/newsxd/keys"
    exchange = key(keys, "exchange")
    box.inside("chown", "-R", "root:newsxd", "/etc/newsxd")
    for name, mode in (("", 0o750), ("/exchange.key", 0o640)):
        os.chmod(keys + name, mode)
    kpl = key(box.folder, "kpl")
    with open(box.root + "/etc/newsxd/newsxd.conf", "w", encoding="utf-8") as file:
        file.write(CONFIG % kpl[1])
    box.ctl("daemon-reload")
    return exchange[1], kpl[0]


def publish(box, pin, identity, n):
    child = begin_publish(box, pin, identity, n)
    out, err = child.communicate(timeout=WAIT_S)
    holds(re.match("(stored|duplicate) urn:box:%d " % n, out), out + err)


def begin_publish(box, pin, identity, n):
    path = "%s/story-%d.json" % (box.folder, n)
    with open(path, "w", encoding="utf-8") as file:
        file.write('{"uri": "urn:box:%d", "version": "1", "type": "text", "headline": "x", "pubstatus": "usable", '
                   '"versioncreated": "2026-11-22T10:00:00Z"}' % n)
    return subprocess.Popen(box.in_its_net(NEWSXCTL, "publish", "--server", "127.0.0.1:7417", "--server-pin", pin, "--identity",
                                           identity, "--channel", "kpl.news", path), text=True, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def kills_and_restarts(box, identity):
    """nobody who connects is refused, and only who was already in falls with the process"""
    hammer = Hammer(box, 7417, identity)
    cuts, pid = [], box.show("MainPID")
    hammer.served(20)
    for how in ("kill", "kill", "restart", "reload", "kill", "restart"):
        begin = time.monotonic()
        if how == "kill":
            box.ctl("kill", "-s", "KILL", "--kill-whom=main", "newsxd")
        else:
            box.ctl(how, "newsxd")
        if how != "reload":
            pid = box.until_new(pid)
            cuts.append((begin, time.monotonic()))
        hammer.served(20)
    lines = hammer.stop()
    bad = [line for line in lines if line["was"] != "ok"]
    check([line for line in bad if line["was"] == "refused"], [], "refused")
    for line in bad:
        holds(any(line["begin"] < end and line["end"] > begin for begin, end in cuts), "broken without a cut: %r" % line)
    holds(len(bad) <= len(cuts), "%d broken by %d cuts: %r" % (len(bad), len(cuts), bad))
    worst = max(line["end"] - line["begin"] for line in lines)
    print("%d connections, %d cuts: 0 refused, %d that were in fell with the process, the slowest took %.2f s"
          % (len(lines), len(cuts), len(bad), worst))


def test_under_systemd():
    def scene(box):
        pin, kpl = settle_in(box)
        checked = box.inside("systemd-analyze", "verify", "/usr/lib/systemd/system/newsxd.service", ok=False)
        check((checked.returncode, "newsxd" in checked.stdout + checked.stderr), (0, False), checked.stderr)
        rated = box.inside("systemd-analyze", "security", "--offline=true", "--no-pager",
                           "/usr/lib/systemd/system/newsxd.service", ok=False).stdout
        exposure = float(re.search(r"exposure level for newsxd.service: ([0-9.]+)", rated).group(1))
        holds(exposure <= EXPOSURE, "exposure %s\n%s" % (exposure, rated))

        box.ctl("start", "newsxd")
        check((box.show("ActiveState"), box.show("StatusText")), ("active", "serving"), "READY")
        holds(int(box.show("NFileDescriptorStore")) == 1, "the listener is in the store")
        publish(box, pin, kpl, 1)
        pid = box.show("MainPID")
        with open("/proc/%s/status" % host_pid(box), encoding="ascii") as file:
            status = dict(line.split(":", 1) for line in file)
        check(status["CapEff"].strip(), "0" * 16, "capabilities")
        check((status["NoNewPrivs"].strip(), status["Seccomp"].strip()), ("1", "2"), "hardening")
        box.ctl("reload", "newsxd")
        check(box.show("MainPID"), pid, "a reload keeps the process")
        bad_reload(box, pid)
        kills_and_restarts(box, kpl)
        publish(box, pin, kpl, 2)

        credentials(box)
        pid = box.show("MainPID")
        time_to_bark(box, pid)
        publish(box, pin, kpl, 3)
        box.ctl("stop", "newsxd")
        check((box.show("Result"), box.show("ExecMainStatus")), ("success", "0"), "stopped")

    in_a_container(scene)


def credentials(box):
    """the manual's drop-in for a key as credential (and a watchdog that does not take so long)"""
    with open(os.path.join(ROOT, "man/newsxd.8"), encoding="utf-8") as file:
        drop_in = re.search(r"Keys may come as credentials.*?\.Bd.*?\n(.*?)\.Ed", file.read(), re.S).group(1)
    holds("LoadCredential=exchange.key:" in drop_in, drop_in)
    folder = box.root + "/etc/systemd/system/newsxd.service.d"
    os.mkdir(folder)
    with open(folder + "/credentials.conf", "w", encoding="utf-8") as file:
        file.write(drop_in + "WatchdogSec=1s\n")
    with open(box.root + "/etc/newsxd/newsxd.conf", encoding="utf-8") as file:
        lines = file.read().split("\n")
    lines[0] = 'node { key = "/run/credentials/newsxd.service/exchange.key" }'
    with open(box.root + "/etc/newsxd/newsxd.conf", "w", encoding="utf-8") as file:
        file.write("\n".join(lines))
    box.inside("chmod", "0600", "/etc/newsxd/keys/exchange.key")
    box.ctl("daemon-reload")
    box.ctl("restart", "newsxd")
    reloads = box.journal().count("event=conf.reload")
    box.ctl("reload", "newsxd")
    box.until("a reload", lambda: box.journal().count("event=conf.reload") > reloads)


def bad_reload(box, pid):
    """systemctl says that it failed, the journal which line, and the process goes on as it was"""
    with open(box.root + "/etc/newsxd/newsxd.conf", encoding="utf-8") as file:
        good = file.read()
    with open(box.root + "/etc/newsxd/newsxd.conf", "w", encoding="utf-8") as file:
        file.write(good + "partner odd { pinn = 1 }\n")
    reloads = box.journal().count("event=conf.reload")
    failed = box.inside("systemctl", "reload", "newsxd", ok=False)
    holds(failed.returncode != 0, "a reload of a bad file went well")
    box.until("its line is told", lambda: "newsxd.conf:6: no setting 'pinn' in section partner; did you mean 'pin'?" in box.journal())
    check((box.show("MainPID"), box.show("ActiveState")), (pid, "active"), "it goes on")
    with open(box.root + "/etc/newsxd/newsxd.conf", "w", encoding="utf-8") as file:
        file.write(good)
    box.ctl("reload", "newsxd")
    box.until("a good one is taken", lambda: box.journal().count("event=conf.reload") == reloads + 1)
    holds("node " not in box.journal(), "the table of rights is no log line")


def listen_at(box, *ports):
    path = box.root + "/etc/newsxd/newsxd.conf"
    with open(path, encoding="utf-8") as file:
        text = re.sub(r"listen \{.*", "listen { address = {%s} }" % ", ".join('"127.0.0.1:%d"' % port for port in ports),
                      file.read())
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def is_open(box, port):
    """does somebody listen there, as the kernel says"""
    with open("/proc/%s/net/tcp" % box.leader, encoding="ascii") as file:
        return any(line.split()[1:4:2] == ["0100007F:%04X" % port, "0A"] for line in list(file)[1:])


def addresses_change(box, kpl):
    """what is no longer configured is closed, at systemd too; what stays refuses nobody meanwhile"""
    hammer, pid = Hammer(box, 7418, kpl), box.show("MainPID")
    hammer.served(5)
    for ports, how in (((7418, 7419), "restart"), ((7420, 7418), "kill"), ((7418,), "restart")):
        listen_at(box, *ports)
        if how == "kill":
            box.ctl("kill", "-s", "KILL", "--kill-whom=main", "newsxd")
        else:
            box.ctl(how, "newsxd")
        pid = box.until_new(pid)
        hammer.served(5)
        for port in (7417, 7418, 7419, 7420):
            check(is_open(box, port), port in ports, "port %d of %r" % (port, ports))
        check(int(box.show("NFileDescriptorStore")), len(ports), "kept at systemd for %r" % (ports,))
    check([line for line in hammer.stop() if line["was"] == "refused"], [], "refused")


def hung_writer(box, pin, kpl):
    """the disk stands still: told after five seconds; after commit-stall systemd starts another daemon"""
    shutil.copy(os.path.join(BUILD, "tests/fault/shim/gate.so"), box.root + "/usr/lib/gate.so")
    folder = box.root + "/etc/systemd/system/newsxd.service.d"
    os.mkdir(folder)
    with open(folder + "/gate.conf", "w", encoding="utf-8") as file:
        file.write("[Service]\nWatchdogSec=2s\nEnvironment=LD_PRELOAD=/usr/lib/gate.so GATE=/var/lib/newsxd/gate\n")
    path = box.root + "/etc/newsxd/newsxd.conf"
    with open(path, encoding="utf-8") as file:
        text = file.read().replace("size = 64MiB", "size = 64MiB commit-stall = 7s")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    gate = open(box.state + "/gate", "w", encoding="ascii")
    os.chmod(gate.name, 0o644)
    box.ctl("daemon-reload")
    box.ctl("restart", "newsxd")
    publish(box, pin, kpl, 20)
    pid = box.show("MainPID")
    fcntl.flock(gate, fcntl.LOCK_EX)
    child = begin_publish(box, pin, kpl, 21)
    try:
        box.until("the stall is told", lambda: "event=store.stalled" in box.journal())
        check((box.show("MainPID"), "watchdog.held" in box.journal()), (pid, False), "fed while it may get on")
        box.until("systemd loses its patience", lambda: "watchdog" in box.show("Result") or box.show("MainPID") != pid)
        holds("event=watchdog.held" in box.journal() and "Watchdog timeout" in box.journal(), box.journal())
    finally:
        fcntl.flock(gate, fcntl.LOCK_UN)
        child.communicate(timeout=WAIT_S)
    check(child.returncode, 75, "no yes was given: to be tried again")
    box.until_new(pid)
    publish(box, pin, kpl, 21)


def test_a_hung_writer_and_addresses_that_change():
    def scene(box):
        pin, kpl = settle_in(box)
        listen_at(box, 7417, 7418)
        box.ctl("start", "newsxd")
        addresses_change(box, kpl)
        box.ctl("stop", "newsxd")
        listen_at(box, 7417)
        hung_writer(box, pin, kpl)
        box.ctl("stop", "newsxd")
        with open(box.root + "/etc/newsxd/newsxd.conf", "a", encoding="utf-8") as file:
            file.write("junk\n")
        box.ctl("start", "newsxd", ok=False)
        check((box.show("ExecMainStatus"), box.show("NRestarts"), box.show("ActiveState")), ("78", "0", "failed"),
              "a configuration that is wrong is tried once")

    in_a_container(scene)


def host_pid(box):
    """the daemon as this machine numbers it"""
    for path in os.listdir("/proc"):
        try:
            with open("/proc/%s/comm" % path, encoding="ascii") as file:
                if file.read() != "newsxd\n":
                    continue
            if os.readlink("/proc/%s/ns/net" % path) == os.readlink("/proc/%s/ns/net" % box.leader):
                return path
        except OSError:
            continue
    raise Failed("no newsxd runs in there")


def time_to_bark(box, pid):
    """fed for three of its times; then the loop is stopped, and systemd starts another"""
    end = time.monotonic() + 3
    box.until("three seconds", lambda: time.monotonic() > end)
    check((box.show("MainPID"), box.show("ActiveState")), (pid, "active"), "fed")
    box.ctl("kill", "-s", "STOP", "--kill-whom=main", "newsxd")
    box.until_new(pid)
    holds("watchdog" in box.inside("journalctl", "-u", "newsxd", "--no-pager", "-n", "60").stdout.lower(), box.journal())


def build(box, version):
    make_deb(box.root + "/root", version)
    return "/root/newsxd_%s_%s.deb" % (version, run("dpkg", "--print-architecture").stdout.strip())


def make_deb(folder, version):
    run("make", "-s", "-C", ROOT, "deb", "B=" + os.path.relpath(BUILD, ROOT), "DEB_OUT=" + folder,
        "DEB_VERSION=" + version, "DEBEMAIL=newsxd@packages.debian.org")


def test_lintian_has_nothing_to_say():
    """where it is installed; nobody installs it for us, so that no test hangs on its version"""
    if os.environ.get("SAN") or not all(map(shutil.which, ("lintian", "dpkg-deb", "make"))):
        print("no lintian, or a build for a sanitizer\nSKIP")
        return
    with tempfile.TemporaryDirectory(prefix="newsxd-deb.") as folder:
        make_deb(folder, "0.1.0")
        packages = sorted(glob.glob(folder + "/*.deb"))
        check(len(packages), 2, "packages")
        said = run("lintian", "--allow-root", "--fail-on", "error,warning", *packages, ok=False)
        check(said.returncode, 0, said.stdout + said.stderr)


def says(text, *words):
    for word in words:
        holds(re.search(word, text, re.M), "no %r in:\n%s" % (word, text))


def state(box, name):
    return os.path.exists(box.state + "/" + name)


def test_the_package():
    """installed, started, upgraded while partners connect, removed, installed again, purged"""
    def scene(box):
        first, second = build(box, "0.1.0"), build(box, "0.1.0+1")
        box.boot()
        box.inside("dpkg", "-i", first.replace("newsxd_", "newsxctl_"))
        check(box.inside("sh", "-c", "newsxctl --version >&2; ls -d /etc/newsxd /usr/sbin/newsxd 2>/dev/null", ok=False).stdout,
              "", "a partner's machine has no daemon")
        told = box.inside("dpkg", "-i", first).stdout
        says(box.inside("dpkg", "-l", "newsxctl", ok=False).stdout, r"^[ru][nc] +newsxctl ")
        says(told, r"^pin sha256:\S{44}$", r"^spoken (\d{5} ?){12}$", r"^ +newsxd --config \S+ --check && systemctl reload newsxd$")
        pin = re.search(r"^pin (\S+)", told, re.M).group(1)
        box.until("it serves", lambda: box.show("ActiveState") == "active")
        check(box.show("UnitFileState"), "enabled", "at the next boot too")
        check(box.inside("stat", "-c", "%a %U %G", "/etc/newsxd/keys/exchange.key").stdout.strip(), "640 root newsxd", "key")
        check(box.inside("stat", "-c", "%a %U", "/var/lib/newsxd").stdout.strip(), "700 newsxd", "store")

        identity, kpl = key(box.folder, "kpl")
        with open(box.root + "/etc/newsxd/conf.d/kpl.conf", "w", encoding="utf-8") as file:
            file.write('partner kpl { pin = {"%s"} publish = {"kpl.*"} connections = 1000 }\n' % kpl)
        with open(box.root + "/etc/newsxd/newsxd.conf", "a", encoding="utf-8") as file:
            file.write("# the operator's own word\n")
        box.inside("sh", "-c", re.search(r"^ +(newsxd --config .*)$", told, re.M).group(1))
        publish(box, pin, identity, 1)

        pid = box.show("MainPID")
        for _ in range(2):  # again and again: nothing is made anew
            told = box.inside("/var/lib/dpkg/info/newsxd.postinst", "configure", "0.1.0").stdout
            check(told, "", "what it says")
            pid = box.until_new(pid)
        publish(box, pin, identity, 10)

        hammer = Hammer(box, 7417, identity)
        hammer.served(5)
        told = box.inside("dpkg", "-i", "--force-confold", second).stdout
        holds("pin sha256" not in told, "an upgrade makes no key:\n" + told)
        box.until_new(pid)
        hammer.served(5)
        check([line for line in hammer.stop() if line["was"] == "refused"], [], "refused")
        publish(box, pin, identity, 2)  # the same pin
        with open(box.root + "/etc/newsxd/newsxd.conf", encoding="utf-8") as file:
            holds("the operator's own word" in file.read(), "the configuration is the operator's")

        box.ctl("stop", "newsxd")  # the operator did: an upgrade does not start it, and says so
        says(box.inside("dpkg", "-i", "--force-confold", first).stdout, "newsxd does not run; systemctl start newsxd starts it")
        check(box.show("ActiveState"), "inactive", "stopped stays stopped")
        says(box.inside("newsxd", "--config", "/etc/newsxd/newsxd.conf", "--convert").stdout, "nothing to do")
        box.ctl("start", "newsxd")

        says(box.inside("dpkg", "-r", "newsxd").stdout, "store /var/lib/newsxd and the keys /etc/newsxd/keys stay")
        check(box.show("ActiveState"), "inactive", "removed")
        holds(state(box, "store"), "the store stays")
        box.inside("dpkg", "-i", "--force-confold", second)
        box.until("it serves again", lambda: box.show("ActiveState") == "active")
        publish(box, pin, identity, 3)

        says(box.inside("dpkg", "-P", "newsxd").stdout, "removing the store /var/lib/newsxd", "removing the keys /etc/newsxd/keys")
        check(box.show("ActiveState"), "inactive", "purged")
        check(os.listdir(box.state), [], "nothing is left of the store")
        check(box.inside("sh", "-c", "ls -d /etc/newsxd /usr/sbin/newsxd 2>/dev/null", ok=False).stdout, "", "nor of the rest")

    in_a_container(scene)
