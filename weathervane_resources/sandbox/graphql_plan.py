"""From a GraphQL document to a plan that picks fields out of plain dictionaries. No vendor and no HTTP.

graphql-core reads, checks and coerces; picking is ours, because a page of orders has thousands of fields.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import ceil, log2
from typing import Any

from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLObjectType,
    OperationDefinitionNode,
    get_named_type,
)
from graphql.execution.collect_fields import collect_fields, collect_sub_fields
from graphql.execution.values import get_argument_values, get_variable_values

from weathervane_resources.sandbox.shopify_schema import checked, schema

_UNBOUNDED = 250


@dataclass(frozen=True)
class Field:
    """One selected field; `fields` is None for a leaf."""

    alias: str
    name: str
    arguments: Mapping[str, Any]
    fields: tuple[Field, ...] | None
    is_connection: bool
    cost: int

    def child(self, name: str) -> Field | None:
        """Return the selected field of this name."""
        return next((field for field in self.fields or () if field.name == name), None)


@dataclass(frozen=True)
class _Reader:
    document: DocumentNode
    variables: dict[str, Any]

    def fields(self, owner: GraphQLObjectType, grouped: Mapping[str, list[Any]]) -> tuple[Field, ...]:
        return tuple(self._field(owner, alias, nodes) for alias, nodes in grouped.items())

    def _field(self, owner: GraphQLObjectType, alias: str, nodes: list[Any]) -> Field:
        name = nodes[0].name.value
        if name == "__typename":
            return Field(alias, name, {}, None, is_connection=False, cost=0)
        definition = owner.fields[name]
        kind = get_named_type(definition.type)
        arguments = get_argument_values(definition, nodes[0], self.variables)
        if nodes[0].selection_set is None:
            return Field(alias, name, arguments, None, is_connection=False, cost=0)
        fields = self._below(kind, nodes)
        is_connection = kind.name.endswith("Connection")
        below = sum(field.cost for field in fields)
        cost = 2 + ceil(_size(arguments.get("first")) * max(below, 1)) if is_connection else 1 + below
        if kind.name.endswith("Edge") or name in ("nodes", "pageInfo"):
            cost = below + (name == "nodes")
        return Field(alias, name, arguments, fields, is_connection, cost)

    def _below(self, kind: Any, nodes: list[Any]) -> tuple[Field, ...]:
        """Return the fields below; those of an interface are read as if it were each of its types in turn."""
        types = [kind] if isinstance(kind, GraphQLObjectType) else schema().get_possible_types(kind)
        found: dict[str, Field] = {}
        for one in types:
            grouped = collect_sub_fields(schema(), self._fragments(), self.variables, one, nodes)
            found |= {field.alias: field for field in self.fields(one, grouped)}
        return tuple(found.values())

    def _fragments(self) -> dict[str, FragmentDefinitionNode]:
        parts = self.document.definitions
        return {part.name.value: part for part in parts if isinstance(part, FragmentDefinitionNode)}

    def roots(self, operation: OperationDefinitionNode) -> tuple[Field, ...]:
        owner = schema().get_root_type(operation.operation)
        if owner is None:
            msg = f"Schema is not configured for {operation.operation.value}s."
            raise GraphQLError(msg)
        fragments = self._fragments()
        return self.fields(owner, collect_fields(schema(), fragments, self.variables, owner, operation.selection_set))


def _size(first: int | None) -> float:
    """Return the weight of a page: less than its length, as the vendor's; the exact formula is not published."""
    return 2 * log2((first or _UNBOUNDED) + 1)


def plan(text: str, variables: Mapping[str, Any], operation_name: str | None = None) -> tuple[Field, ...]:
    """Return what a document asks for at its root. Raises: GraphQLError."""
    document = checked(text)
    operations = [part for part in document.definitions if isinstance(part, OperationDefinitionNode)]
    named = [part for part in operations if operation_name in (None, part.name and part.name.value)]
    if len(named) != 1:
        msg = "An operation name is required" if named else f"No operation named {operation_name!r}"
        raise GraphQLError(msg)
    values = get_variable_values(schema(), named[0].variable_definitions or (), dict(variables))
    if isinstance(values, list):
        raise values[0]
    return _Reader(document, values).roots(named[0])


def picker(field: Field) -> Callable[[Any], Any]:
    """Return what picks the selected part of a value; a list behind a connection becomes a page of it."""
    if field.fields is None:
        return _itself
    of_object, size = fields_picker(field.fields), field.arguments.get("first") or _UNBOUNDED

    def pick(value: Any) -> Any:
        if value is None:
            return None
        if isinstance(value, list):
            return (
                of_object(connection(value[:size], value)) if field.is_connection else [of_object(one) for one in value]
            )
        return of_object(value)

    return pick


def fields_picker(fields: Iterable[Field]) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """Return what picks the selected fields of an object: read once, for a file of orders picks a million."""
    parts = [(field.alias, field.name, None if field.fields is None else picker(field)) for field in fields]

    def pick(value: Mapping[str, Any]) -> dict[str, Any]:
        get = value.get
        return {alias: get(name) if below is None else below(get(name)) for alias, name, below in parts}

    return pick


def _itself(value: Any) -> Any:
    return value


def connection(page: list[Any], everything: list[Any]) -> dict[str, Any]:
    """Return a short list as a connection; its cursors are positions."""
    cursors = [str(position) for position in range(len(page))]
    edges = [{"cursor": cursor, "node": node} for cursor, node in zip(cursors, page, strict=True)]
    info = {"hasNextPage": len(page) < len(everything), "hasPreviousPage": False}
    ends = {"startCursor": cursors[0], "endCursor": cursors[-1]} if cursors else {}
    return {"nodes": page, "edges": edges, "pageInfo": {**info, **ends}}
