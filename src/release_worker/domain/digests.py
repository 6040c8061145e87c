"""How the digests of a release are put together.

Each component's content has a digest; a row's digest covers those of the components that it stores, and a release's
covers its rows'. None covers a row id or a time, so state restored into new rows has the digest that it had. The digest
of a

- toolset version is that of `{"tools": d, "resources": d, "settings": d}`;
- source state, of `{"deployment": d, "system": d}`, with `digest(null)` for a project without a deployment;
- variation version, of the configuration, `{urn: config}`;
- release, of `{"toolset_version": d, "source_state": d, "global_variations": d, "toolset_variations": d}`, with null
  for a part that it has not, and with `"components": {name: d}` besides if there are plug-ins.

The contents themselves are: for `tools` and `resources` `{"urns": […], "positions": […]}` in position order; for
`settings` `{"name", "description", "settings"}`; for the others the stored JSON as it stands.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from release_worker.domain import canonical_json

TOOLSET_VERSION = ("tools", "resources", "settings")
SOURCE_STATE = ("deployment", "system")
VARIATIONS = ("global_variations", "toolset_variations")
BUILT_IN = TOOLSET_VERSION + SOURCE_STATE + VARIATIONS
PARTS = ("toolset_version", "source_state", *VARIATIONS)

NOTHING = canonical_json.digest(None)


@dataclass(frozen=True, slots=True)
class StateDigests:
    """The digest of every component's content; None if there is no content (no deployment, no variations)."""

    components: Mapping[str, str | None]

    def __getitem__(self, component: str) -> str | None:
        return self.components.get(component)

    @property
    def toolset_version(self) -> str:
        return canonical_json.digest({name: self[name] for name in TOOLSET_VERSION})

    @property
    def source_state(self) -> str:
        return canonical_json.digest({name: self[name] or NOTHING for name in SOURCE_STATE})

    @property
    def plug_ins(self) -> dict[str, str]:
        return {name: digest for name, digest in self.components.items() if digest and name not in BUILT_IN}

    @property
    def release(self) -> str:
        return release_digest(
            toolset_version=self.toolset_version,
            source_state=self.source_state,
            global_variations=self["global_variations"],
            toolset_variations=self["toolset_variations"],
            plug_ins=self.plug_ins,
        )


def release_digest(
    *,
    toolset_version: str | None,
    source_state: str | None,
    global_variations: str | None,
    toolset_variations: str | None,
    plug_ins: Mapping[str, str],
) -> str:
    """The digest of a release from those of its parts."""
    parts: dict[str, object] = {
        "toolset_version": toolset_version,
        "source_state": source_state,
        "global_variations": global_variations,
        "toolset_variations": toolset_variations,
    }
    if plug_ins:
        parts["components"] = dict(plug_ins)
    return canonical_json.digest(parts)
