"""Runs tests against a broker: each in a process of its own, so that a client that hangs costs one test.

    run.py [--bootstrap HOST:PORT] [--server PROGRAM] [--run NAME] [--only TEXT] GROUP...

Prints `PASS name 0.12s` or `FAIL name: reason`, and last `N passed, N failed, N skipped`.
"""
import argparse
import multiprocessing
import os
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

LIMIT_S = 60
KILL_LIMIT_S = 300
LOG_LINES = 60


def clients():
    from clients.aio import Aiokafka
    from clients.confluent import Confluent
    from clients.kafkapython import KafkaPython

    return [Confluent, Aiokafka, KafkaPython]


def client_tests(args):
    import across
    import checks

    def bind(check, client):
        return f"{client.name}.{check.__name__}", lambda ctx: check(client(ctx.bootstrap), ctx)

    fitting = [(check, client) for client in clients() for check in checks.CHECKS if check.__name__ not in client.cannot]
    return [bind(check, client) for check, client in fitting] + across.pairs(clients())


def after_java_tests(args):
    import across

    return across.after_java(clients())


def hostile_tests(args):
    import hostile

    return [(f"hostile.{t.__name__}", t) for t in hostile.TESTS]


def kill_tests(args):
    import kill

    return [(f"kill.{t.__name__}", lambda ctx, t=t: t(ctx, args.server, args.ready_s)) for t in kill.TESTS]


GROUPS = {"clients": client_tests, "after_java": after_java_tests, "hostile": hostile_tests, "kill": kill_tests}


def child(pipe, test, context):
    """Runs one test and sends the reason of its failure, or None."""
    os.setpgid(0, 0)
    try:
        test(context)
        pipe.send(None)
    except BaseException as e:
        traceback.print_exc()
        pipe.send(" ".join(f"{type(e).__name__}: {e}".split())[:800])
    sys.stderr.flush()
    os._exit(0)  # without waiting for the threads of clients


def run_one(test, context, limit):
    ours, theirs = multiprocessing.get_context("fork").Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=child, args=(theirs, test, context))
    process.start()
    theirs.close()
    try:
        return ours.recv() if ours.poll(limit) else f"no end within {limit} s"
    except EOFError:
        return "the test's process died"
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)  # and the brokers that it started
        except ProcessLookupError:
            process.kill()
        process.join()


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

    import checks

    passed = failed = 0
    for group in args.group:
        for name, test in GROUPS[group](args):
            if args.only not in name:
                continue
            start = time.monotonic()
            with tempfile.TemporaryDirectory(prefix="ottla-compat-") as folder:
                context = checks.Context(args.bootstrap, args.run, name, folder)
                reason = run_one(test, context, KILL_LIMIT_S if group == "kill" else LIMIT_S)
                if reason is None:
                    passed += 1
                    print(f"PASS {name} {time.monotonic() - start:.2f}s", flush=True)
                else:
                    failed += 1
                    print(f"FAIL {name}: {reason}", flush=True)
                    print_logs(folder)
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
