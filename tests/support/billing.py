"""The example that most tests start from: `acme/payments/billing`, with something in every live table."""

from collections.abc import Callable, Mapping

from sqlalchemy import Engine

from tests.support.world import Deployment, Toolset, World

INVOICE = "tools:function:billing:invoice"
REFUND = "tools:function:billing:refund"
SUMMARY = "tools:prompt:summary"
LEDGER = "resources:function:billing:ledger"
TARIFF = "resources:function:billing:tariff"


def a_full_toolset(engine: Engine, *, organization: str = "acme") -> Toolset:
    """`<organization>/payments/billing`: two tools and two resources of its deployment, and a tool of a prompt."""
    acme = World(engine).organization(organization)
    payments = acme.project("payments")
    payments.deploy(
        tools={INVOICE: {"method": "POST", "retries": 3}, REFUND: {"method": "PUT", "limit": 20}},
        resources={LEDGER: {"uri": "ledger://all"}, TARIFF: {"uri": "tariff://eu"}},
        assets={
            ("function", "billing"): {"runtime": "python:3.12"},
            ("openapiv3", "bank"): {"server": "https://bank.test"},
            ("package", "shared"): {"version": "2.1.0"},
        },
    )
    payments.configure("model", {"name": "large", "temperature": 1})
    payments.configure("limits", [10, 20])
    payments.add_prompt("greeting", prompt="Hello {{name}}", arguments={"name": {"type": "string"}})
    payments.add_prompt("summary", kind="higher_order_tool", tool_urn=SUMMARY, description="Sums up")
    billing = payments.toolset("billing", tools=[INVOICE, REFUND, SUMMARY], resources=[LEDGER, TARIFF])
    billing.edit(description="Invoices and refunds", settings={"timeout": 30, "tags": ["eu", "b2b"]})
    acme.vary(INVOICE, {"name": "make_invoice", "temperature": 0})
    billing.vary(REFUND, {"description": "Pay money back"})
    return billing


def active_deployment(toolset: Toolset) -> Deployment:
    """The project's active deployment, which must be there."""
    deployment = toolset.project.active()
    assert deployment is not None
    return deployment


def edit_tools(billing: Toolset) -> None:
    billing.remove_tool(REFUND)
    billing.move_tool(INVOICE, 12)
    billing.add_tool("tools:function:billing:void", 4)


def edit_resources(billing: Toolset) -> None:
    billing.remove_resource(TARIFF)
    billing.move_resource(LEDGER, 3)
    billing.add_resource("resources:function:billing:rates", 1)


def edit_settings(billing: Toolset) -> None:
    billing.edit(name="Billing 2", description=None, settings={"timeout": 31, "beta": True})


def edit_deployment(billing: Toolset) -> None:
    """In place: what the toolset lists stays provided."""
    deployment = active_deployment(billing)
    deployment.edit_tool(INVOICE, description="Now described", definition={"method": "POST", "retries": 4})
    deployment.define_tool("tools:function:billing:void", {"method": "DELETE"})
    deployment.define_resource("resources:function:billing:rates", {"uri": "rates://"})
    deployment.edit_resource(LEDGER, name="book")
    deployment.edit_asset("function", "billing", sha256="0" * 64)
    deployment.detach("package", "shared")
    deployment.attach("package", "extra", {"version": 1})


def edit_system(billing: Toolset) -> None:
    project = billing.project
    project.configure("model", {"name": "small", "temperature": 1})
    project.unconfigure("limits")
    project.configure("region", "eu")
    project.delete_prompt("greeting")
    project.edit_prompt("summary", prompt="Sum up, briefly.", arguments={"length": {"type": "integer"}})
    project.add_prompt("farewell", engine="jinja")


def edit_global_variations(billing: Toolset) -> None:
    billing.project.organization.vary(INVOICE, {"name": "bill"})
    billing.project.organization.vary(REFUND, {"temperature": 2})


def edit_toolset_variations(billing: Toolset) -> None:
    billing.unvary(REFUND)
    billing.vary(INVOICE, {"description": "Ours"})


# In the order of `built_in_components`; each leaves the other components as they are.
EDITS: Mapping[str, Callable[[Toolset], None]] = {
    "tools": edit_tools,
    "resources": edit_resources,
    "settings": edit_settings,
    "deployment": edit_deployment,
    "system": edit_system,
    "global_variations": edit_global_variations,
    "toolset_variations": edit_toolset_variations,
}
COMPONENTS = tuple(EDITS)


def edit_everything(billing: Toolset) -> None:
    """Change every component: something added, something removed, something changed in each."""
    for edit in EDITS.values():
        edit(billing)
