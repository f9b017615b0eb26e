"""Members of groups in threads of their own, as in real programs: a rebalance needs all of them to go on at the same time."""
import queue
import threading

from checks import PATIENCE_S, until
from clients import Refused

POLL_S = 0.2


class Member:
    """Polls one consumer without a pause, and keeps what it was given. Leaves its group at the end of `with`."""

    def __init__(self, client, joining):
        self.seen = []
        self._calls, self._goes_on = queue.SimpleQueue(), True
        self._thread = threading.Thread(target=self._run, args=(client, joining), daemon=True)
        self._thread.start()

    def _run(self, client, joining):
        try:
            with client.consumer(joining) as consumer:
                while self._goes_on:
                    while not self._calls.empty():
                        self._answer(lambda call: call(consumer))
                    seen = consumer.next(POLL_S)
                    if seen:
                        self.seen.append(seen)
        except Refused as e:
            refusal = e

            def refuse(_):
                raise refusal

            while self._goes_on:
                self._answer(refuse)

    def _answer(self, how):
        call, answer = self._calls.get()
        try:
            answer.put((how(call), None))
        except Exception as e:
            answer.put((None, e))

    def ask(self, call):
        """What `call` gives for the consumer, in its thread, between two polls. Raises the refusal that has ended the consumer."""
        answer = queue.SimpleQueue()
        self._calls.put((call, answer))
        try:
            result, error = answer.get(timeout=PATIENCE_S)
        except queue.Empty:
            raise AssertionError(f"a member has not answered within {PATIENCE_S} s") from None
        if error:
            raise error
        return result

    def owned(self):
        return self.ask(lambda consumer: consumer.owned())

    def values(self):
        return [seen.record.value for seen in self.seen]

    def leave(self):
        self._goes_on = False
        self._calls.put((lambda consumer: None, queue.SimpleQueue()))
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), f"a member has not left its group within {PATIENCE_S} s"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.leave()


def shared(members, partitions):
    """Waits until the members own all partitions, each one's share as large as the next one's; gives the shares."""
    shares = []

    def settled():
        shares[:] = [member.owned() for member in members]
        sizes = [len(share) for share in shares]
        return sum(sizes) == len(partitions) and set().union(*shares) == set(partitions) and max(sizes) - min(sizes) <= 1

    try:
        until(settled, f"{len(members)} members share {len(partitions)} partitions")
    except AssertionError as e:
        raise AssertionError(f"{e}; the last shares are {shares}") from None
    return shares
