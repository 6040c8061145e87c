"""The broker's queues: rollbacks, releases, maintenance, each with the messages behind others after the rest."""

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import simpy

from release_worker.broker.routing import BEHIND_OTHERS, QUEUE_NAMES
from release_worker.domain.queues import Queue


@dataclass(frozen=True, slots=True)
class Message:
    """Wakes a worker for a request; without a request, for the sweep. A retry is not worked before `due`. `said`: it
    names its toolset, so that a worker need not look at the row first. After `expires`, it is dropped."""

    request: int | None
    queue: Queue
    priority: int = 0
    due: float = 0.0
    retries: int = 0
    said: bool = True
    expires: float | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """A message that a worker took from a queue, and how many rollbacks that it serves waited at this moment."""

    at: float
    message: Message
    rollbacks_waiting: int


class Queues:
    """A worker takes the first message of the first queue that has one: as kombu's BRPOP, all queues of a priority
    before the next priority. Retries that a worker has received already go first when they are due."""

    def __init__(self, env: simpy.Environment) -> None:
        self._env = env
        self._lists: dict[tuple[int, Queue], deque[Message]] = {
            (priority, queue): deque() for priority in (0, BEHIND_OTHERS) for queue in QUEUE_NAMES
        }
        self._due: deque[Message] = deque()
        self._takers: deque[tuple[simpy.Event, Collection[Queue]]] = deque()
        self.taken: list[Taken] = []

    def put(self, message: Message) -> None:
        self._lists[message.priority, message.queue].append(message)
        self._serve()

    def put_due(self, message: Message) -> None:
        """A retry that a worker has kept until its time."""
        self._due.append(message)
        self._serve()

    def take(self, queues: Collection[Queue]) -> simpy.Event:
        """Happens, with the message, when there is one on these queues."""
        taker = self._env.event()
        self._takers.append((taker, queues))
        self._serve()
        return taker

    def _serve(self) -> None:
        unserved: deque[tuple[simpy.Event, Collection[Queue]]] = deque()
        while self._takers:
            taker, queues = self._takers.popleft()
            message = self._next(queues)
            if message is None:
                unserved.append((taker, queues))
            else:
                taker.succeed(message)
        self._takers = unserved

    def _next(self, queues: Collection[Queue]) -> Message | None:
        for place, message in enumerate(self._due):
            if message.queue in queues:
                del self._due[place]
                return message
        for (_, queue), waiting in self._lists.items():
            if queue in queues and waiting:
                message = waiting.popleft()
                rollbacks = len(self._lists[0, "rollbacks"]) if "rollbacks" in queues else 0
                self.taken.append(Taken(self._env.now, message, rollbacks))
                return message
        return None


ALL_QUEUES: Sequence[Queue] = QUEUE_NAMES
