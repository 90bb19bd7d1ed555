"""Whether a schema may follow another one: the rules of docs/contract.md, "Versions", for two JSON Schemas.

Pure. Covers the keywords of our generated schemas; an unknown one fails, so that no rule is passed over in silence.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

Side = Literal["taken", "sent"]
"""`taken`: requests, which new daemons get from old callers. `sent`: replies, which old readers get from new daemons.
"""

Schema = Mapping[str, Any]
WORDS: Final = frozenset(
    "title description default examples $schema $id $defs contentEncoding format discriminator".split()
)
UPPER: Final = ("maximum", "maxLength", "maxItems", "exclusiveMaximum")
LOWER: Final = ("minimum", "minLength", "minItems", "exclusiveMinimum")
ALTERNATIVES: Final = ("anyOf", "oneOf")
STRUCTURE: Final = "type enum const properties required items additionalProperties $ref".split()
KNOWN: Final = WORDS | {*UPPER, *LOWER, *ALTERNATIVES, *STRUCTURE}


def breaks(old: Schema, new: Schema, side: Side) -> list[str]:
    """Every change that breaks a reader of `old`, as a sentence; empty when `new` may follow."""
    return sorted(set(_Comparison(old, new, side).of(old, new, "")))


class _Comparison:
    """Two documents, each the place where its references lead."""

    def __init__(self, old: Schema, new: Schema, side: Side) -> None:
        self._old, self._new, self._side = old, new, side

    def of(self, old: Schema, new: Schema, at: str) -> Iterator[str]:
        """Compare two schemas at one place."""
        old, new = _followed(old, self._old), _followed(new, self._new)
        for name in {*old, *new} - KNOWN:
            yield f"{at}: {name} is a keyword without a rule here"
        if any(key in schema and "properties" not in schema for schema in (old, new) for key in ALTERNATIVES):
            yield from self._alternatives(old, new, at)
            return
        if old.get("type") != new.get("type"):
            yield f"{at}: was {old.get('type')}, is {new.get('type')}"
            return
        yield from self._values(old, new, at)
        yield from self._bounds(old, new, at)
        yield from self._members(old, new, at)
        if isinstance(old.get("items"), Mapping) and isinstance(new.get("items"), Mapping):
            yield from self.of(old["items"], new["items"], f"{at}[]")

    def _alternatives(self, old: Schema, new: Schema, at: str) -> Iterator[str]:
        """Each way that was known must still be taken, or each way that is sent must have been known."""
        before, after = _ways(old), _ways(new)
        needed, offered = (before, after) if self._side == "taken" else (after, before)
        for way in needed:
            found = [list(self.of(*((way, other) if self._side == "taken" else (other, way)), at)) for other in offered]
            if [] not in found:
                yield min(found, key=len, default=[f"{at}: a way is gone"])[0]

    def _values(self, old: Schema, new: Schema, at: str) -> Iterator[str]:
        before, after = _allowed(old), _allowed(new)
        needed, offered = (before, after) if self._side == "taken" else (after, before)
        if offered is not None and (needed is None or not needed <= offered):
            yield f"{at}: values were {_shown(before)}, are {_shown(after)}"

    def _bounds(self, old: Schema, new: Schema, at: str) -> Iterator[str]:
        for name in (*UPPER, *LOWER):
            sign = 1 if name in UPPER else -1
            before, after = (sign * schema[name] if name in schema else float("inf") for schema in (old, new))
            if (after < before) if self._side == "taken" else (after > before):
                yield f"{at}: {name} was {old.get(name)}, is {new.get(name)}"

    def _members(self, old: Schema, new: Schema, at: str) -> Iterator[str]:
        before, after = old.get("properties", {}), new.get("properties", {})
        for name in before:
            if name not in after:
                yield f"{at}.{name} is gone"
            else:
                yield from self.of(before[name], after[name], f"{at}.{name}")
        given, wanted, told = (_needs(old), _needs(new), "is required now")
        if self._side == "sent":
            given, wanted, told = wanted, given, "may be missing now"
        for have in given:
            yield from (f"{at}.{name} {told}" for name in min((need - have for need in wanted), key=len))
        if self._side == "sent" and old.get("additionalProperties") is False and set(after) - set(before):
            yield f"{at}: old readers refuse what they do not know"


def _followed(schema: Schema, document: Schema) -> Schema:
    reference = schema.get("$ref")
    if reference is None:
        return schema
    found: Any = document
    for part in str(reference).removeprefix("#/").split("/"):
        found = found[part]
    return _followed(found, document)


def _needs(schema: Schema) -> list[set[str]]:
    """The members that must be there.

    One set for each way, where an object lists which members go together.
    """
    always = set(schema.get("required", ()))
    return [always | set(way.get("required", ())) for key in ALTERNATIVES for way in schema.get(key, ())] or [always]


def _ways(schema: Schema) -> list[Schema]:
    for key in ALTERNATIVES:
        if key in schema:
            return list(schema[key])
    return [schema]


def _allowed(schema: Schema) -> set[Any] | None:
    """The values that a schema allows; None when there is no list of them."""
    if "const" in schema:
        return {schema["const"]}
    return set(schema["enum"]) if "enum" in schema else None


def _shown(values: set[Any] | None) -> str:
    return "any" if values is None else ", ".join(sorted(map(str, values)))
