"""The state that every pair starts from, small and full of ties: what each operation may do depends on the others."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Engine

from tests.support.operations import release
from tests.support.world import Toolset, World

A = "tools:function:f:a"
S = "tools:function:f:s"  # listed by all
B = "tools:function:b:b"
X = "tools:function:x:x"  # provided by the older deployment only
Y = "tools:function:y:y"  # provided by the newer deployment only
P = "tools:prompt:p:p"  # provided by a template that is deleted
Q = "tools:prompt:q:q"
R = "resources:function:f:r"


@dataclass(frozen=True)
class Scene:
    """`acme/shop/one`, which most actions are about, its staged copy `draft`, its neighbour `two`, and `acme/far/far`
    of another project."""

    toolsets: dict[str, Toolset]
    names: dict[UUID, str]  # of the rows that a row may refer to

    @property
    def ids(self) -> dict[str, UUID]:
        """What a statement of an app calls the rows."""
        return {name: row_id for row_id, name in self.names.items()}


def build(engine: Engine) -> Scene:
    """`one` and `two` have history, and live state that no release holds.

    - Release 2 of `one` lists Y, release 1 of `two` has the deployment without it: each can be restored, not both.
    - What release 1 of `one` lists, X and P, nothing provides now.
    - `draft` is edited otherwise than `one` is, and was never released.
    - Release 3 of `one` alone refers to the source state that the next release of `two` will need.
    """
    acme = World(engine).organization("acme")
    shop, elsewhere = acme.project("shop"), acme.project("elsewhere")
    older = shop.deploy(
        tools=dict.fromkeys((A, S, B, X), 1),
        resources={R: 1},
        assets={("function", "f"): 1, ("function", "b"): 1},
    )
    shop.configure("k", 1)
    shop.add_prompt("p", kind="higher_order_tool", tool_urn=P)
    shop.add_prompt("q", kind="higher_order_tool", tool_urn=Q)
    acme.vary(S, {"g": 1})
    acme.vary(Y, {"g": 1})
    one = shop.toolset("one", tools=[A, X, S, P], resources=[R])
    two = shop.toolset("two", tools=[S, B, Q])
    far = elsewhere.toolset("far", tools=[S])
    one.vary(A, {"t": 1})
    for toolset in (one, two, far):
        release(engine, toolset)

    newer = shop.deploy(
        tools={A: 1, S: 1, B: 2, Y: 1},
        resources={R: 1},
        assets={("function", "f"): 1, ("function", "b"): 2, ("function", "y"): 1},
    )
    shop.delete_prompt("p")
    acme.vary(Y, {"g": 2})
    one.remove_tool(X)
    one.remove_tool(P)
    one.add_tool(Y, 4)
    release(engine, one)
    release(engine, two)

    shop.edit_prompt("q", prompt="edited")
    release(engine, one)
    shop.configure("k", 2)
    one.vary(A, {"t": 2})
    release(engine, one)

    shop.configure("k", 1)
    one.remove_tool(Y)
    one.edit(description="edited")
    two.move_tool(B, 0)
    draft = shop.toolset("draft", tools=[S, A])
    draft.edit(parent_toolset_id=one.id)
    draft.vary(S, {"draft": 1})
    toolsets = {"one": one, "two": two, "far": far, "draft": draft}
    named = {"acme": acme.id, "shop": shop.id, "elsewhere": elsewhere.id, "older": older.id, "newer": newer.id}
    named |= {slug: toolset.id for slug, toolset in toolsets.items()}
    return Scene(toolsets, {row_id: name for name, row_id in named.items()})
