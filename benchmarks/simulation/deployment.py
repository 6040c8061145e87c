"""Workers at work on requests, as the product does it: `worker/mailbox.py`, `worker/tasks.py`, `operations/sweep.py`.

What is left out: failures, deaths and lost messages, conflicts with apps, and time limits of operations. A retry that a
worker keeps until it is due belongs to all workers here.
"""

import random
from collections import defaultdict, deque
from collections.abc import Collection, Generator, Sequence

import simpy

from benchmarks.simulation.history import Course, History
from benchmarks.simulation.locks import Locks
from benchmarks.simulation.machine import Machine
from benchmarks.simulation.queues import ALL_QUEUES, Message, Queues
from benchmarks.simulation.times import Times
from benchmarks.simulation.trace import Asked
from release_worker.broker.routing import BEHIND_OTHERS, MAINTENANCE
from release_worker.domain.limits import DEFAULTS
from release_worker.domain.queues import Queue
from release_worker.operations.sweep import SweepPolicy

Steps = Generator[simpy.Event, object, None]
Slots = Sequence[Collection[Queue]]


def slots(count: int, queues: Collection[Queue] = ALL_QUEUES) -> Slots:
    """So many processes of workers that serve these queues."""
    return [queues] * count


def simulate(trace: Sequence[Asked], times: Times, crew: Slots, *, seed: int = 0) -> History:
    """What happens if this is asked of these processes, until all is done. The same for the same seed."""
    return _Deployment(trace, times, seed).run(crew)


class _Deployment:
    def __init__(self, trace: Sequence[Asked], times: Times, seed: int) -> None:
        self._env = simpy.Environment()
        self._draw = random.Random(seed)
        self._times = times
        self._machine = Machine(self._env, times)
        self._queues = Queues(self._env)
        self._locks = Locks(self._env)
        self._sweeping = SweepPolicy()
        self._history = History([Course(number, asked) for number, asked in enumerate(trace)])
        self._work = [self._work_of(asked) for asked in trace]
        self._mailboxes: dict[int, deque[Course]] = defaultdict(deque)
        self._published: dict[int, float] = {}  # requests that wait, in the order of the ledger, and when for the last
        self._unfinished = len(trace)
        self._all_done = self._env.event()

    def run(self, crew: Slots) -> History:
        if self._unfinished:
            self._env.process(self._ask())
            self._env.process(self._beat())
            for queues in crew:
                self._env.process(self._slot(queues))
            self._env.run(until=self._all_done)
        self._history.taken = self._queues.taken
        return self._history

    def _work_of(self, asked: Asked) -> float:
        if asked.work is not None:
            return asked.work + max(0.0, self._times.around - self._times.look)
        samples = self._times.rollback if asked.kind == "rollback" else self._times.release
        return max(0.0, self._draw.choice(samples) - self._times.look)

    def _ask(self) -> Steps:
        """Callers write each request into the ledger, and publish its message."""
        for course in self._history.courses:
            yield self._env.timeout(max(0.0, course.asked.at - self._env.now))
            mailbox = self._mailboxes[course.asked.toolset]
            behind = course.asked.bulk or len(mailbox) >= DEFAULTS.crowd
            mailbox.append(course)
            self._published[course.number] = self._env.now
            self._after(self._times.travel, _message(course, behind=behind, said=not behind))

    def _after(self, seconds: float, message: Message) -> None:
        self._env.timeout(seconds).callbacks.append(lambda _: self._queues.put(message))

    def _slot(self, queues: Collection[Queue]) -> Steps:
        """A process of a worker."""
        while True:
            message = yield self._queues.take(queues)
            assert isinstance(message, Message)
            if message.due > self._env.now:
                self._keep(message)
            elif message.expires is None or message.expires > self._env.now:
                yield from self._sweep() if message.request is None else self._task(message, message.request)

    def _keep(self, message: Message) -> None:
        """A retry that is not due lies in its worker, and occupies no process."""
        wait = self._env.timeout(message.due - self._env.now)
        wait.callbacks.append(lambda _: self._queues.put_due(message))

    def _task(self, message: Message, number: int) -> Steps:
        """`wake_up`: take the toolset's lock, at first without waiting if the message says where its row lies."""
        course = self._history.courses[number]
        yield self._machine.work(self._times.before_claim)
        if not course.done and number not in self._history.abandoned:
            toolset = course.asked.toolset
            held = message.said and (yield from self._locks.acquire(toolset, 0.0))
            if not held and not course.done:
                held = yield from self._locks.acquire(toolset, DEFAULTS.lock_wait)
            if held:
                done = yield from self._work_mailbox(course)
                self._locks.release(toolset)
            else:
                done = course.done
            if not done:
                self._retry(message, course)
        yield self._machine.work(self._times.look - self._times.before_claim)

    def _work_mailbox(self, own: Course) -> Generator[simpy.Event, object, bool]:
        """Whether the task's own request is done; if not, its turn was over before."""
        turn_ends = self._env.now + DEFAULTS.turn
        while not own.done:
            course = self._mailboxes[own.asked.toolset][0]
            yield from self._operation(course)
            if not own.done and self._env.now > turn_ends:
                return False
        return True

    def _operation(self, course: Course) -> Steps:
        course.started = self._env.now
        self._published.pop(course.number)
        yield self._machine.work(self._work[course.number])
        course.finished = self._env.now
        course.times_done += 1
        self._mailboxes[course.asked.toolset].popleft()
        self._end()

    def _retry(self, message: Message, course: Course) -> None:
        """Back to the end of its queue, with a growing delay; after the last retry, it is given up."""
        if message.retries >= DEFAULTS.retries:
            self._history.abandoned.append(course.number)
            self._mailboxes[course.asked.toolset].remove(course)
            self._published.pop(course.number)
            self._end()
            return
        full = min(DEFAULTS.longest_delay, DEFAULTS.first_delay * 2.0**message.retries)
        due = self._env.now + full * self._draw.uniform(0.5, 1.0)
        again = Message(
            message.request, message.queue, message.priority, due=due, retries=message.retries + 1, said=message.said
        )
        self._queues.put(again)

    def _end(self) -> None:
        self._unfinished -= 1
        if not self._unfinished:
            self._all_done.succeed()

    def _beat(self) -> Steps:
        while True:
            yield self._env.timeout(DEFAULTS.sweep_interval)
            self._queues.put(Message(None, MAINTENANCE, expires=self._env.now + DEFAULTS.sweep_interval))

    def _sweep(self) -> Steps:
        """Publish the oldest that have waited longer than patience, once more."""
        yield self._machine.work(self._times.look)
        patient_since = self._env.now - self._sweeping.patience
        overdue = [number for number, at in self._published.items() if at < patient_since]
        met: set[int] = set()
        for number in overdue[: self._sweeping.limit]:
            course = self._history.courses[number]
            self._published[number] = self._env.now
            self._queues.put(_message(course, behind=course.asked.toolset in met, said=False))
            met.add(course.asked.toolset)


def _message(course: Course, *, behind: bool, said: bool) -> Message:
    """As `envelope` writes it: a rollback is never put behind."""
    if course.asked.kind == "rollback":
        return Message(course.number, "rollbacks", said=said)
    return Message(course.number, "releases", priority=BEHIND_OTHERS if behind else 0, said=said)
