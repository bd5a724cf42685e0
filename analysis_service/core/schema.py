"""The JSON Schema (draft-07) that editors use, made from the same tables as the parser."""

from collections.abc import Mapping
from typing import Any

from analysis_service.core.shape import PLUGIN_NAME
from analysis_service.core.wire import API_VERSION, DOCUMENTS
from analysis_service.core.wire_providers import OURS, PLUGIN, PROVIDERS
from analysis_service.core.wire_types import (
    Anything,
    Boolean,
    Field,
    Integer,
    IntOrString,
    ListOf,
    MapOf,
    Number,
    Object,
    ProviderUnion,
    Text,
    Type,
)

Schema = dict[str, Any]
DRAFT = "http://json-schema.org/draft-07/schema#"
_PROVIDER = "Provider"
_TAG = "\\{\\{"


def json_schema() -> Schema:
    """One schema for all kinds of documents: the `kind` decides."""
    definitions: Schema = {}
    kinds = [_document(kind, shape, definitions) for kind, shape in DOCUMENTS.items()]
    definitions[_PROVIDER] = _union(definitions)
    return {
        "$schema": DRAFT,
        "title": "Tidegate analysis documents",
        "type": "object",
        "required": ["apiVersion", "kind"],
        "properties": {"apiVersion": {"const": API_VERSION}, "kind": {"enum": list(DOCUMENTS)}},
        "allOf": kinds,
        "definitions": dict(sorted(definitions.items())),
    }


def _document(kind: str, shape: Object, definitions: Schema) -> Schema:
    reference = _schema(shape, definitions)
    definitions[shape.name]["properties"]["kind"] = {"const": kind}
    definitions[shape.name]["properties"]["apiVersion"] = {"const": API_VERSION}
    return {"if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]}, "then": reference}


def _union(definitions: Schema) -> Schema:
    known = {name: _described(_schema(shape, definitions), name) for name, shape in PROVIDERS.items()}
    plugins = {"type": "object", "properties": known, "minProperties": 1, "maxProperties": 1,
               "propertyNames": {"pattern": f"^(?:{PLUGIN_NAME.pattern})$"}}  # fmt: skip
    return {
        "type": "object",
        "properties": {**known, PLUGIN: plugins},
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }


def _described(schema: Schema, name: str) -> Schema:
    return {"allOf": [schema], "description": f"{name} (not in Argo)" if name in OURS else name}


def _schema(shape: Type, definitions: Schema) -> Schema:
    if isinstance(shape, Object):
        if shape.name not in definitions:
            definitions[shape.name] = {}  # entered first: a comparison holds providers, which hold comparisons
            definitions[shape.name] = _object(shape, definitions)
        return {"$ref": f"#/definitions/{shape.name}"}
    if isinstance(shape, ListOf):
        return {"type": "array", "items": _schema(shape.item, definitions)}
    if isinstance(shape, MapOf):
        return {"type": "object", "additionalProperties": _schema(shape.item, definitions)}
    if isinstance(shape, ProviderUnion):
        return {"$ref": f"#/definitions/{_PROVIDER}"}
    return _scalar(shape)


def _object(shape: Object, definitions: Schema) -> Schema:
    schema: Schema = {
        "type": "object",
        "additionalProperties": False,
        "properties": {name: _field(field, definitions) for name, field in shape.fields.items()},
    }
    required = [name for name, field in shape.fields.items() if field.required]
    if required:
        schema["required"] = required
    if shape.one_of:
        schema["oneOf"] = [{"required": [name]} for name in shape.one_of]
    return schema


def _field(field: Field, definitions: Schema) -> Schema:
    schema = _schema(field.type, definitions)
    doc = field.doc + (f" (default: {field.default})" if field.default else "")
    if field.ours:
        doc += "; not in Argo"
    # draft-07 ignores what stands beside a $ref
    return {"allOf": [schema], "description": doc} if "$ref" in schema else {**schema, "description": doc}


def _scalar(shape: Type) -> Schema:
    if isinstance(shape, Text):
        return _text(shape)
    if isinstance(shape, Integer):
        bounds: Mapping[str, int] = {"minimum": shape.minimum, "maximum": shape.maximum}
        return {"type": "integer", **{key: value for key, value in bounds.items() if abs(value) < 1 << 62}}
    if isinstance(shape, Number):
        return {"type": ["number", "string"]} if shape.text else {"type": "number"}
    if isinstance(shape, Boolean):
        return {"type": "boolean"}
    if isinstance(shape, IntOrString):
        return {"type": ["integer", "string"]}
    if isinstance(shape, Anything) and shape.mapping:
        return {"type": "object"}
    return {}


def _text(shape: Text) -> Schema:
    if shape.enum and shape.tags:
        return {"type": "string", "anyOf": [{"enum": list(shape.enum)}, {"pattern": _TAG}]}
    return {"type": "string", "enum": list(shape.enum)} if shape.enum else {"type": "string"}
