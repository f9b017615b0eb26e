"""A broker process of a test's own, which may be killed and started again on the same folder and port."""
import random
import re
import signal
import socket
import subprocess
import threading
import time

READY = re.compile(rb"ready on (\S+:\d+)")
PATIENCE_S = 60


def free_port():
    """A port below those that the kernel gives to outgoing connections: while the broker is down, none of its clients may be
    given the broker's own port."""
    for port in random.sample(range(20_000, 32_000), 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise AssertionError("no free port found")


class Server:
    def __init__(self, program, folder, settings=()):
        port = free_port()
        self.bootstrap = f"127.0.0.1:{port}"
        own = (f"listeners=PLAINTEXT://{self.bootstrap}", f"log.dirs={folder}/data", "ottla.http.listener=")
        sets = (*own, *settings)
        self.command = [program, "server", *(part for s in sets for part in ("--set", s))]
        self.log = open(f"{folder}/server.log", "ab")
        self.process = None

    def start(self):
        """Starts it; gives the seconds until its ready line."""
        start, told, ready = time.monotonic(), threading.Event(), []
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=self.log)

        def follow(output):
            for line in output:
                self.log.write(line)
                self.log.flush()
                if READY.search(line):
                    ready.append(line)
                    told.set()
            told.set()  # nothing will come any more

        threading.Thread(target=follow, args=(self.process.stdout,), daemon=True).start()
        assert told.wait(PATIENCE_S), f"not ready within {PATIENCE_S} s"
        assert ready, f"ended with status {self.process.wait(PATIENCE_S)} before it was ready"
        return time.monotonic() - start

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        """Asks it to stop; gives its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)
