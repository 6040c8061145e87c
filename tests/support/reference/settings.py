"""The settings: names, what they mean, defaults, and the rules between limits."""

from release_worker.domain.limits import RULES
from release_worker.settings import PREFIX, Settings, given_settings
from tests.support.reference.markdown import code, document, table

ABOUT = """
Settings are variables of the environment. Nothing else is read from there. The same limits belong to every worker,
beat and Flower of a broker: limits that do not fit together are refused with the reason.
"""
RULES_ABOUT = """
The first column must be at most the second, with the numbers of this deployment. Names that are no settings are
fixed, or are derived from those that are: `domain/limits.py` has them all.
"""


def page() -> str:
    rows = [
        [
            code(str(field.validation_alias or f"{PREFIX}{name.upper()}")),
            field.description or "",
            _default(name, field.default),
        ]
        for name, field in Settings.model_fields.items()
    ]
    rules = (
        [f"{f'{rule.times} * ' if rule.times > 1 else ''}({' + '.join(rule.terms)})", rule.at_most, rule.reason]
        for rule in RULES
    )
    return document(
        "Settings",
        ABOUT,
        table("setting", "what", "default", rows=rows),
        "## Which limits fit together",
        RULES_ABOUT,
        table("this", "is at most", "because", rows=rules),
    )


def _default(name: str, default: object) -> str:
    limits = given_settings().limits
    derived = getattr(limits, name.removesuffix("_seconds"), None)
    if default is None and derived is not None:
        return code(f"{derived:g}")
    return "none" if default is None else code(str(default).lower())
