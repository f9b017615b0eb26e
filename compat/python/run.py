"""Runs tests against a broker: each in a process of its own, so that a client that hangs costs one test.

    run.py [--bootstrap HOST:PORT] [--server PROGRAM] [--run NAME] [--only TEXT] GROUP...

Prints `PASS name 0.12s` or `FAIL name: reason`, and last `N passed, N failed, N skipped`.
"""
import argparse
import logging
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

import checks

LIMIT_S = 60
KILL_LIMIT_S = 300
LOG_LINES = 60
AT_ONCE = 4  # of the tests of groups, which mostly wait


def clients():
    from clients.aio import Aiokafka
    from clients.confluent import Confluent
    from clients.kafkapython import KafkaPython

    return [Confluent, Aiokafka, KafkaPython]


def client_tests(args):
    import across

    def bind(check, client):
        return f"{client.name}.{check.__name__}", lambda ctx: check(client(ctx.bootstrap), ctx)

    fitting = [(check, client) for client in clients() for check in checks.CHECKS if check.__name__ not in client.cannot]
    return [bind(check, client) for check, client in fitting] + across.pairs(clients())


def group_tests(args):
    import groups
    from clients.confluent import ConfluentNextGeneration

    def bind(check, client):
        return f"{client.name}.{check.__name__}", lambda ctx: check(client(ctx.bootstrap), ctx)

    everyone = [*clients(), ConfluentNextGeneration]
    fitting = [(check, client) for check in groups.CHECKS for client in everyone if check.__name__ not in client.cannot]
    together = [groups.in_one_group("in_three_languages", clients()),
                groups.in_one_group("in_both_protocols", [*clients(), ConfluentNextGeneration])]
    return [bind(check, client) for check, client in fitting] + together


def after_java_tests(args):
    import across

    return across.after_java(clients())


def hostile_tests(args):
    import group_configs
    import hostile
    import hostile_groups

    return [(f"{module.__name__}.{t.__name__}", t) for module in (hostile, group_configs, hostile_groups) for t in module.TESTS]


def kill_tests(args):
    import kill
    import kill_groups
    import web

    def bind(module, test):
        return f"{module.__name__}.{test.__name__}", lambda ctx: test(ctx, args.server, args.ready_s)

    return [bind(module, test) for module in (kill, kill_groups, web) for test in module.TESTS]


GROUPS = {"clients": client_tests, "groups": group_tests, "after_java": after_java_tests, "hostile": hostile_tests, "kill": kill_tests}


def child(pipe, test, context):
    """Runs one test and sends the reason of its failure, or None."""
    os.setpgid(0, 0)
    logging.getLogger().addHandler(logging.NullHandler())  # clients complain of what the tests bring about
    try:
        test(context)
        pipe.send(None)
    except BaseException as e:
        traceback.print_exc()
        pipe.send(" ".join(f"{type(e).__name__}: {e}".split())[:800])
    sys.stderr.flush()
    os._exit(0)  # without waiting for the threads of clients


class Running:
    """A test in its process."""

    def __init__(self, name, test, args, limit):
        self.name, self.limit, self.start = name, limit, time.monotonic()
        self.folder = tempfile.TemporaryDirectory(prefix="ottla-compat-")
        context = checks.Context(args.bootstrap, args.run, name, self.folder.name)
        fork = multiprocessing.get_context("fork")
        self.pipe, theirs = fork.Pipe(duplex=False)
        self.process = fork.Process(target=child, args=(theirs, test, context))
        self.process.start()
        theirs.close()

    def time_left(self):
        return max(self.start + self.limit - time.monotonic(), 0)

    def end(self):
        """Tells how it ended, and whether well. Without a word from it its time is up."""
        try:
            reason = self.pipe.recv() if self.pipe.poll() else f"no end within {self.limit} s"
        except EOFError:
            reason = "the test's process died"
        try:
            os.killpg(self.process.pid, signal.SIGKILL)  # and the brokers that it started
        except ProcessLookupError:
            self.process.kill()
        self.process.join()
        if reason is None:
            print(f"PASS {self.name} {time.monotonic() - self.start:.2f}s", flush=True)
        else:
            print(f"FAIL {self.name}: {reason}", flush=True)
            print_logs(self.folder.name)
        self.folder.cleanup()
        return reason is None


def run(tests, args, limit, at_once):
    """Runs so many tests at a time; gives for each whether it passed."""
    waiting, running, ends = list(reversed(tests)), [], []
    while waiting or running:
        while waiting and len(running) < at_once:
            running.append(Running(*waiting.pop(), args, limit))
        told = multiprocessing.connection.wait([r.pipe for r in running], min(r.time_left() for r in running))
        for ended in [r for r in running if r.pipe in told or r.time_left() == 0]:
            ends.append(ended.end())
            running.remove(ended)
    return ends


def print_logs(folder):
    """The ends of the logs of the brokers that a failed test started."""
    for log in Path(folder).glob("*.log"):
        lines = log.read_text(errors="replace").splitlines()[-LOG_LINES:]
        print(f"--- {log.name}, its last {len(lines)} lines", *lines, "---", sep="\n", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bootstrap", default="127.0.0.1:9092")
    parser.add_argument("--server", help="the program that the kill tests start as `PROGRAM server --set KEY=VALUE...`")
    parser.add_argument("--ready-s", type=float, default=3, help="how soon it must be ready again after kill -9")
    parser.add_argument("--run", default=f"compat-{os.getpid()}", help="begins the name of every topic")
    parser.add_argument("--only", default="", help="run the tests with this text in their name")
    parser.add_argument("group", nargs="+", choices=GROUPS)
    args = parser.parse_args()

    ends = []
    for group in args.group:
        tests = [(name, test) for name, test in GROUPS[group](args) if args.only in name]
        ends += run(tests, args, KILL_LIMIT_S if group == "kill" else LIMIT_S, AT_ONCE if group == "groups" else 1)
    print(f"{sum(ends)} passed, {len(ends) - sum(ends)} failed, 0 skipped")
    return 0 if all(ends) else 1


if __name__ == "__main__":
    sys.exit(main())
