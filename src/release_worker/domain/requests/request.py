"""What every kind of request has, and every result."""

from typing import Any, ClassVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from release_worker.domain import canonical_json
from release_worker.domain.queues import Queue
from release_worker.domain.requests.fields import Name, Toolset


class Result(BaseModel):
    """What a request came to. It is stored in the ledger and returned by the task."""

    # A worker of a later release may say more than this client knows: callers are upgraded after workers.
    model_config = ConfigDict(frozen=True, extra="ignore")

    toolset_id: UUID

    @classmethod
    def names(cls) -> dict[str, str]:
        """What each field is called in the ledger and in JSON: a keyword of Python cannot be the name of a field."""
        return {name: field.serialization_alias or name for name, field in cls.model_fields.items()}


class Request(BaseModel):
    """What every task takes. Unknown fields and wrong types are refused, never converted.

    Each kind is a subclass with a docstring, which is what its task says of itself.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    # Its task is `release_worker.<kind>`; its operation and the client's method have this name, too.
    kind: ClassVar[str]
    queue: ClassVar[Queue]
    result: ClassVar[type[Result]]
    # The order in which a task reads positional arguments: that of the public signature when the kind came. A later
    # field does not join them: it is given by its name.
    positional: ClassVar[tuple[str, ...]]
    # Fields that hold the number of a release, which must not be pruned while the request waits.
    names_releases: ClassVar[tuple[str, ...]] = ()

    # Fields that came later than the kind. They are left out while they have their defaults, so that workers of the
    # release before understand the request.
    later: ClassVar[tuple[str, ...]] = ()

    toolset: Toolset
    actor: Name
    # The slug or id of the caller's organization: a toolset of another is as good as not there.
    organization: Name | None = None
    idempotency_key: Name | None = None

    def payload(self) -> dict[str, Any]:
        """What the ledger stores."""
        return {name: value for name, value in self.arguments().items() if name != "idempotency_key"}

    def arguments(self) -> dict[str, Any]:
        """What its task is called with."""
        fields = type(self).model_fields
        unused = {name for name in self.later if getattr(self, name) == fields[name].default}
        return self.model_dump(mode="json", exclude=unused)

    def asks_the_same(self, other: "Request") -> bool:
        """Whether both ask for the same of a toolset, however each of them names it."""
        return not self.differing(other)

    def differing(self, other: "Request") -> list[str]:
        """The names of the fields in which they ask for different things, however each of them names its toolset;
        `kind` alone if they are of two kinds."""
        if self.kind != other.kind:
            return ["kind"]
        naming = {"toolset", "organization", "idempotency_key"}
        ours, theirs = (one.model_dump(mode="json", exclude=naming) for one in (self, other))
        return [name for name in ours if canonical_json.dumps(ours[name]) != canonical_json.dumps(theirs[name])]

    def names_the_same(self, other: "Request") -> bool:
        """Whether both name their toolset in the same words."""
        return (self.toolset, self.organization) == (other.toolset, other.organization)

    def only_reads(self) -> bool:
        """Whether it writes nothing but its own end. It then needs no locks, but one snapshot."""
        return False

    def reads_records_alone(self) -> bool:
        """Whether it only reads, and nothing of live state but which toolset is meant."""
        return False
