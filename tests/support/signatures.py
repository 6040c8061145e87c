"""Signatures as their source says them, a parameter a line: the same text with every Python."""

import ast
import inspect
from collections.abc import Iterator
from types import ModuleType
from typing import Any


def public_surface(module: ModuleType) -> Iterator[str]:
    """Lines: each name that the module exports, and the signatures of its functions and methods."""
    for name in sorted(_exported(module)):
        yield from _described(f"{module.__name__}.{name}", getattr(module, name))
        yield ""


def public_methods(documented: type) -> dict[str, list[str]]:
    """The lines of the signature of each public method of a class, those of what it is made from first."""
    package = documented.__module__.split(".")[0]
    return {
        statement.name: list(_function(statement, statement.name, bound=True))
        for part in reversed(documented.mro())
        if part.__module__.split(".")[0] == package
        for statement in ast.iter_child_nodes(_definition(part))
        if isinstance(statement, ast.FunctionDef) and _is_public(statement.name)
    }


def _exported(module: ModuleType) -> list[str]:
    """Those of `__all__`; of a module that has none, its own classes and functions."""
    own = [name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__]
    return list(getattr(module, "__all__", filter(_is_public, own)))


def _described(name: str, exported: Any) -> Iterator[str]:
    if not (inspect.isclass(exported) or inspect.isfunction(exported)):
        yield f"{name}: {_kind_of(exported)}"
        return
    definition = _definition(exported)
    if isinstance(definition, ast.FunctionDef):
        yield from _function(definition, name)
    elif isinstance(definition, ast.ClassDef) and inspect.isclass(exported):
        yield from _class(definition, name)
        for base in _asking_classes(exported):
            yield from _members(_definition(base))


def _definition(exported: Any) -> ast.stmt:
    (definition,) = ast.parse(inspect.getsource(exported)).body
    return definition


def _asking_classes(exported: type) -> list[type]:
    """The classes that a client is put together from, which nobody names."""
    return [base for base in exported.__mro__[1:] if base.__module__.startswith("release_worker.client.")]


def _kind_of(exported: Any) -> str:
    """An alias says what it stands for; of any other object the type is what callers rely on."""
    is_alias = hasattr(exported, "__origin__")
    return str(exported) if is_alias else f"{type(exported).__module__}.{type(exported).__qualname__}"


def _class(definition: ast.ClassDef, name: str) -> Iterator[str]:
    yield from (f"@{ast.unparse(decorator)}" for decorator in definition.decorator_list)
    bases = ", ".join(ast.unparse(base) for base in definition.bases)
    yield f"class {name}({bases})" if bases else f"class {name}"
    yield from _members(definition)


def _members(definition: ast.stmt) -> Iterator[str]:
    assert isinstance(definition, ast.ClassDef)
    for statement in definition.body:
        match statement:
            case ast.FunctionDef() if _is_public(statement.name):
                yield from (f"    {line}" for line in _function(statement, statement.name, bound=True))
            case ast.AnnAssign(target=ast.Name(id=field)) if _is_public(field):
                yield f"    {ast.unparse(statement)}"


def _is_public(name: str) -> bool:
    return not name.startswith("_") or (name.startswith("__") and name.endswith("__"))


def _function(definition: ast.FunctionDef, name: str, *, bound: bool = False) -> Iterator[str]:
    """A function's lines; `bound`: without `self` or `cls`, which callers do not give."""
    yield from (f"@{ast.unparse(decorator)}" for decorator in definition.decorator_list)
    returned = f" -> {_annotation(definition.returns)}" if definition.returns else ""
    parameters = list(_parameters(definition.args))[1 if bound else 0 :]
    if not parameters:
        yield f"{name}(){returned}"
        return
    yield f"{name}("
    yield from (f"    {parameter}," for parameter in parameters)
    yield f"){returned}"


def _parameters(arguments: ast.arguments) -> Iterator[str]:
    positional = [*arguments.posonlyargs, *arguments.args]
    without_default = len(positional) - len(arguments.defaults)
    defaults = [*[None] * without_default, *arguments.defaults]
    for place, (argument, default) in enumerate(zip(positional, defaults, strict=True)):
        yield _parameter(argument, default)
        if place + 1 == len(arguments.posonlyargs):
            yield "/"
    if arguments.vararg:
        yield f"*{ast.unparse(arguments.vararg)}"
    elif arguments.kwonlyargs:
        yield "*"
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield _parameter(argument, default)
    if arguments.kwarg:
        yield f"**{ast.unparse(arguments.kwarg)}"


def _parameter(argument: ast.arg, default: ast.expr | None) -> str:
    said = argument.arg if argument.annotation is None else f"{argument.arg}: {_annotation(argument.annotation)}"
    return said if default is None else f"{said} = {ast.unparse(default)}"


def _annotation(annotation: ast.expr) -> str:
    """Without the quotes of what is only imported for types."""
    return str(annotation.value) if isinstance(annotation, ast.Constant) else ast.unparse(annotation)
