"""A file system that is really full: a small tmpfs or ext4 of our own, in a mount namespace of our own. Root only."""
import os
import subprocess
import sys

from kit import NEWSXD, WAIT_S, Exchange, Failed, ROOT
from newsx import Link, story
from test_recovery import ALL, PARTNERS, TO, store_photo, subscriber

HERE = os.path.dirname(os.path.abspath(__file__))


def alone(name, module="test_full"):
    """runs the function again where it may mount; False when that cannot be had"""
    if os.environ.get("NEWSX_ALONE") == name:
        return True
    if os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode != 0:
        print("no mount namespace of our own here: SKIP")
        return False
    code = "import sys; sys.path.insert(0, %r); import %s; %s.%s()" % (HERE, module, module, name)
    got = subprocess.run(["unshare", "-m", "--propagation", "private", sys.executable, "-c", code], cwd=ROOT, check=False,
                         env={**os.environ, "NEWSX_ALONE": name})
    if got.returncode != 0:
        raise Failed("%s failed" % name)
    return False


def mount(x, size):
    """an ext4 at the store's place, or a tmpfs where loops are not to be had"""
    store, image = os.path.join(x.folder, "disk"), os.path.join(x.folder, "image")
    os.mkdir(store)
    with open(image, "wb") as file:
        file.truncate(size)
    made = subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], capture_output=True, check=False)
    if made.returncode == 0 and subprocess.run(["mount", "-o", "loop", image, store], capture_output=True,
                                               check=False).returncode == 0:
        return store
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%d" % size, "tmpfs", store], check=True)
    return store


def fill(folder):
    """to the last octet"""
    with open(os.path.join(folder, "ballast"), "wb", buffering=0) as file:
        for piece in (1 << 20, 4096, 1):
            try:
                while file.write(b"x" * piece) == piece:
                    pass
            except OSError:
                pass


def on_disk(x, folder, size):
    x.size = size
    x.configure()
    with open(x.config, encoding="utf-8") as file:
        text = file.read()
    x.configure = lambda: None  # it is written by hand from here on
    with open(x.config, "w", encoding="utf-8") as file:
        file.write(text.replace('directory = "store"', 'directory = "%s/store"' % folder))


def test_creation_on_a_small_disk_refuses_in_words():
    if not alone("test_creation_on_a_small_disk_refuses_in_words"):
        return
    x = Exchange(PARTNERS, ALL)
    try:
        folder = mount(x, 320 << 20)
        on_disk(x, folder, "512MiB")  # the stories' part alone would find room
        for _ in range(2):
            got = subprocess.run([NEWSXD, "--config", x.config], text=True, capture_output=True, timeout=WAIT_S, check=False)
            if got.returncode == 0 or "No space left on device" not in got.stderr:
                raise Failed("it should say that there is no room: %s" % (got,))
        left = sum(os.path.getsize(os.path.join(at, name)) for at, _, names in os.walk(os.path.join(folder, "store"))
                   for name in names)
        if left > 1 << 20:
            raise Failed("a refused creation left %d octets" % left)
    finally:
        x.close()
        subprocess.run(["umount", os.path.join(x.folder, "disk")], check=False)


def test_a_disk_that_others_filled():
    """the store has its room already: stories, photos and settling go on; a restart, too"""
    if not alone("test_a_disk_that_others_filled"):
        return
    x = Exchange(PARTNERS, ALL)
    try:
        folder = mount(x, 320 << 20)
        on_disk(x, folder, "64MiB")
        x.start()
        fill(folder)
        for turn in range(2):
            with Link(x.port, x.keys["kpl"].identity) as link, subscriber(x) as sub:
                for n in range(100):
                    if link.answer(link.publish(story("urn:full:%d:%d" % (turn, n), body_text="x" * 3000), TO)) != "stored":
                        raise Failed("not stored")
                store_photo(link, "urn:full:photo:%d" % turn, os.urandom(300_000))
                for _ in range(101):
                    sub.ack(sub.receive()[0]["id"])
            x.log("item.delivered", count=101 * (turn + 1))
            port = x.port
            x.stop()
            with open(x.config, encoding="utf-8") as file:
                text = file.read()
            with open(x.config, "w", encoding="utf-8") as file:
                file.write(text.replace("127.0.0.1:0", "127.0.0.1:%d" % port))
            if turn == 0:
                x.restart()
        x.verify()
    finally:
        x.close()
        subprocess.run(["umount", os.path.join(x.folder, "disk")], check=False)


def test_a_log_on_a_full_disk():
    """the log goes to a file that takes no more: nobody waits for it"""
    if not os.path.exists("/dev/full"):
        print("no /dev/full here: SKIP")
        return
    with Exchange(PARTNERS, ALL) as x:
        port = x.port
        x.stop()
        with open("/dev/full", "wb", buffering=0) as full:
            process = subprocess.Popen([NEWSXD, "--config", x.config], stderr=full, stdin=subprocess.DEVNULL)
        try:
            for _ in range(200):
                try:
                    link = Link(port, x.keys["kpl"].identity)
                    break
                except OSError:
                    if process.poll() is not None:
                        raise Failed("it ended with %s" % process.returncode) from None
                    subprocess.run(["sleep", "0.05"], check=True)  # its log, which would say it, is what is broken
            for n in range(50):
                if link.answer(link.publish(story("urn:log:%d" % n), TO)) != "stored":
                    raise Failed("not stored")
            link.close()
            process.terminate()
            if process.wait(WAIT_S) != 0:
                raise Failed("it ended with %s" % process.returncode)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait(WAIT_S)
        x.verify()
