"""What the checks look at: the servers that the settings name, and what their workers answer."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from release_worker.broker.address import Broker
from release_worker.broker.consumers import Consumer, consumers
from release_worker.broker.facts import ServerFacts, server_facts
from release_worker.domain.database import Database
from release_worker.errors import BrokerUnavailable
from release_worker.settings import Settings, given_settings

ANSWER_WITHIN = 2.0  # seconds; workers that are slower count as not there


@dataclass(frozen=True)
class Deployment:
    """`now` is the clock of this host; `group` the role whose rights are needed, if that is said."""

    settings: Settings
    now: Callable[[], float] = time.time
    group: str | None = None
    _asking: threading.Lock = field(default_factory=threading.Lock)
    _answers: list[Sequence[Consumer] | BrokerUnavailable] = field(default_factory=list)

    @property
    def broker(self) -> Broker:
        """Raises NotConfigured."""
        return Broker.of(self.settings)

    def database(self) -> Database:
        """Raises NotConfigured."""
        return self.settings.database

    def consumers(self) -> Sequence[Consumer]:
        """The workers that answer; asked once, for all checks. Raises BrokerUnavailable."""
        with self._asking:
            if not self._answers:
                self._answers.append(self._asked())
        match self._answers[0]:
            case BrokerUnavailable() as error:
                raise BrokerUnavailable(error.message, **error.details)
            case answered:
                return answered

    def broker_is_away(self) -> bool:
        """Whether no worker could be asked: so no message can be published."""
        try:
            self.consumers()
        except BrokerUnavailable:
            return True
        return False

    def _asked(self) -> Sequence[Consumer] | BrokerUnavailable:
        try:
            return consumers(self.broker, within=ANSWER_WITHIN)
        except BrokerUnavailable as error:
            return error

    def redis_servers(self) -> Mapping[str, Broker]:
        """The Redis servers by what they are for, in kombu's form; one server may stand for several."""
        settings = self.settings
        urls = {"broker": settings.broker_url, "locks": settings.lock_url, "results": settings.result_backend}
        read = {use: given_settings(broker_url=url).broker_url for use, url in urls.items() if _is_plain(url)}
        behind = {use: url for use, url in urls.items() if url is not None and url.startswith("sentinel:")}
        servers = {use: Broker(url, settings.sentinel) for use, url in {**read, **behind}.items() if url is not None}
        return {use: server for use, server in servers.items() if server.is_redis}

    def redis_facts(self) -> Sequence[tuple[str, ServerFacts]]:
        """Of each Redis server once, with what it is for. Raises BrokerUnavailable."""
        found: dict[str, tuple[list[str], ServerFacts]] = {}
        for use, server in self.redis_servers().items():
            facts = server_facts(server, self.settings.limits)
            found.setdefault(facts.identity, ([], facts))[0].append(use)
        return [(" and ".join(uses), facts) for uses, facts in found.values()]


def _is_plain(url: str | None) -> bool:
    return url is not None and not url.startswith("sentinel:")
