"""One config object per command: defaults, then a YAML file, then `-s key=value`, checked as a whole.

In: a YAML file of at most 256 KB and overrides. Out: a frozen object, or one sentence that names the key, its
value and what was expected. The YAML is a strict subset: no aliases (so no bombs), no tags, no key twice, and
`no`, `2024-01-01` and `1:30` stay text. Price: the pure-Python parser, 50 ms for 100 rules.
"""

import datetime
import difflib
import enum
import os
import re
import types
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self, Union, get_args, get_origin

import yaml

# Its plugins are looked for in every installed package at the first model: 50 ms for something nobody here has.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

from pydantic import BaseModel, ConfigDict, ValidationError

from runkit.docstrings import docstrings
from runkit.errors import UsageError

MAX_CONFIG_BYTES = 256 * 1024
_ITEM_NAMES = ("signal", "name")  # how one item of a list is called in `-s rules.top_2gram.max=0.3`
_LINE_BREAK = re.compile("[\r\x85\u2028\u2029\ufeff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
_YAML_CORE = "tag:yaml.org,2002:"
_FLOAT = r"[-+]?([0-9][0-9_]*\.[0-9_]*|\.[0-9]+)([eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+"
_SCALARS = {  # what a plain word means, and with which characters it may begin
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?(0|[1-9][0-9_]*)|0x[0-9a-fA-F]+", list("-+0123456789")),
    "float": (_FLOAT + r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", list("-+0123456789.")),
}


class Config(BaseModel):
    """Base of every command's config: frozen, an unknown key is an error, a field's docstring is its help."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        defer_build=True,  # most commands import more configs than they load
        allow_inf_nan=False,  # JSON has neither, so a resolved config could not be read back
        protected_namespaces=(),  # `model_path` is a natural name here
    )

    @classmethod
    def load(
        cls,
        path: Path | None = None,
        overrides: Sequence[str] = (),
        defaults: Mapping[str, Any] | None = None,
    ) -> Self:
        """`defaults` < the file < `overrides` ("a.b=1", the value read as YAML), checked as one."""
        data = plain(defaults or {})
        if path is not None:
            _merge(data, read_yaml(path))
        chosen = [_split_override(text) for text in overrides]
        for key, value in chosen:
            _assign(data, cls, key.split("."), value, (cls, key))
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise UsageError(_sentence(cls, error, data, path, [key for key, _ in chosen])) from error

    def conflict(self, first: str, second: str, rule: str) -> ValueError:
        """What a validator raises when two fields do not fit: names both, their values and the rule."""
        return ValueError(f"`{first}` = {getattr(self, first)!r} and `{second}` = {getattr(self, second)!r}: {rule}")


class Setting(NamedTuple):
    """One line of a config's help."""

    key: str
    type: str
    default: str
    text: str


def describe(cls: type[BaseModel], prefix: str = "") -> list[Setting]:
    """Every key that can be set, in the order of the class; an item of a list is shown as `<signal>`."""
    settings, texts = [], docstrings(cls)
    for name, field in cls.model_fields.items():
        key = prefix + name
        inner = [] if prefix.count(".") > 8 else _inner_models(field.annotation)  # a config may hold itself
        if not inner or inner[0][0] != "":
            value = "required" if field.is_required() else plain(field.get_default(call_default_factory=True))
            default = short(_to_yaml(value, flow=True).removesuffix("...\n").strip())
            text = " ".join((field.description or texts.get(name, "")).split())
            settings.append(Setting(key, _type_text(field.annotation, field.metadata), default, text))
        for part, model in inner:
            settings += describe(model, f"{key}{part}.")
    return settings


def plain(value: Any) -> Any:
    """JSON-like copy whose order depends on the values alone (sets are sorted), to be hashed and written."""
    if isinstance(value, BaseModel):
        return {name: plain(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted((plain(item) for item in value), key=lambda item: (str(type(item)), str(item)))
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, enum.Enum):
        return plain(value.value)
    if isinstance(value, (PurePath, datetime.date, datetime.time)):
        return str(value)
    return value


def dump_yaml(config: BaseModel | Mapping[str, Any]) -> str:
    """The resolved config as YAML that `read_yaml` and any other reader read back to the same values."""
    return _to_yaml(plain(config), flow=False)


def read_yaml(path: Path) -> dict[str, Any]:
    """A config file as a dict; every fault of the file is one sentence with its place."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_CONFIG_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise UsageError(f"Cannot read the config {path}: {reason}; give an existing YAML file.") from error
    if len(raw) > MAX_CONFIG_BYTES:
        raise UsageError(f"{path} is larger than {MAX_CONFIG_BYTES // 1024} KB; a config is a short YAML file.")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}, byte {error.start}: not UTF-8; a config is YAML in UTF-8.") from error
    data = {} if (parsed := _parse(text, str(path))) is None else parsed
    if not isinstance(data, dict):
        raise UsageError(f"{path} does not hold keys and values; a config looks like `key: value`.")
    return data


class _Loader(yaml.SafeLoader):
    """The strict subset; see the module's docstring."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (typeshed has it so)
    yaml_constructors: ClassVar[dict[Any, Any]] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if getattr(event, "anchor", None) is not None:
            raise _fault("&x and *x are not allowed; quote a value that begins with & or *", event)
        return super().compose_node(parent, index)

    def strict_mapping(self, node: Any) -> Iterator[dict[str, Any]]:
        mapping: dict[str, Any] = {}
        yield mapping
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise _fault("a key must be text", key_node)
            key = self.strict_text(key_node)
            if key in mapping:
                raise _fault(f"the key `{key}` stands twice", key_node)
            mapping[key] = self.construct_object(value_node, deep=True)

    def strict_text(self, node: Any) -> str:
        if _SURROGATE.search(node.value):
            raise _fault("half a character (\\ud800-\\udfff)", node)
        return str(node.value)


def _fault(problem: str, place: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=place.start_mark)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True

    def text(self, value: str) -> yaml.ScalarNode:
        # Only double quotes escape these; in the other styles PyYAML loses them or folds them to a space.
        return self.represent_scalar(_YAML_CORE + "str", value, '"' if _LINE_BREAK.search(value) else None)


def _prepare_yaml() -> None:
    for name, (pattern, first_characters) in _SCALARS.items():
        whole = re.compile(f"(?:{pattern})\\Z")
        for yaml_class in (_Loader, _Dumper):  # the dumper quotes what either YAML 1.1 or ours would misread
            yaml_class.add_implicit_resolver(_YAML_CORE + name, whole, first_characters)
    for tag in (None, *(_YAML_CORE + name for name in ("null", "bool", "int", "float", "seq"))):
        _Loader.yaml_constructors[tag] = yaml.SafeLoader.yaml_constructors[tag]
    _Loader.add_constructor(_YAML_CORE + "map", _Loader.strict_mapping)
    _Loader.add_constructor(_YAML_CORE + "str", _Loader.strict_text)

    _Dumper.add_representer(str, _Dumper.text)


_prepare_yaml()


def _parse(text: str, where: str) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)  # a SafeLoader with fewer constructors
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark is not None else ""
        problem = " ".join(str(error.problem or error.context).split())
        raise UsageError(f"{where}{line}: {problem}; correct the YAML.") from error
    except yaml.reader.ReaderError as error:
        line = str(text.count("\n", 0, int(error.position)) + 1)
        raise UsageError(f"{where}, line {line}: a control character; a config is YAML in UTF-8.") from error
    except RecursionError as error:
        raise UsageError(f"{where} is nested too deeply; a config has a few levels.") from error
    except ValueError as error:  # a number of more than 4,300 digits
        raise UsageError(f"{where}: {error}; correct the YAML.") from error


def _to_yaml(value: Any, flow: bool) -> str:
    options: dict[str, Any] = {"sort_keys": False, "allow_unicode": True, "width": 10_000}
    return str(yaml.dump(value, Dumper=_Dumper, default_flow_style=flow, **options))


def _split_override(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or "" in key.split("."):
        raise UsageError(f"-s {text!r} is not `key=value`; write for example -s seed=1; `settings` lists the keys.")
    if len(value) > MAX_CONFIG_BYTES:
        raise UsageError(f"The value of -s {key} is larger than {MAX_CONFIG_BYTES // 1024} KB; use --config.")
    return key, _parse(value, f"-s {key}={short(value)}")


def _merge(base: dict[str, Any], over: Mapping[str, Any]) -> None:
    """Mappings are merged key by key; anything else, lists too, is replaced."""
    for key, value in over.items():
        old = base.get(key)
        if isinstance(old, dict) and isinstance(value, Mapping):
            _merge(old, value)
        else:
            base[key] = value


_Target = tuple[type[BaseModel], str]  # the config and the whole key, for the sentence when it points nowhere


def _assign(node: Any, kind: Any, parts: list[str], value: Any, target: _Target) -> None:
    """Set `parts` below `node`, filling in the defaults of the class on the way down."""
    head, rest = parts[0], parts[1:]
    if isinstance(node, list):
        places: list[Any] = _named_items(node, parts, target)
        inner = _item_annotation(kind)
    else:
        fields = {name: field for model in _models(kind) for name, field in model.model_fields.items()}
        if fields and head not in fields:
            raise UsageError(f"-s: {_unknown_key(*target, parts, list(fields))}")
        if not fields and kind is not None and not _models(_item_annotation(kind)):
            head, rest = ".".join(parts), []  # the keys of a plain mapping are names, which may hold dots
        places = [head]
        inner = fields[head].annotation if fields else _item_annotation(kind)
        if rest and node.get(head) is None:
            default = plain(fields[head].get_default(call_default_factory=True)) if fields else None
            node[head] = default if isinstance(default, (dict, list, str, int, float)) else {}
    for place in places:
        if not rest:
            node[place] = value
        elif isinstance(node[place], (dict, list)):
            _assign(node[place], inner, rest, value, target)
        else:
            raise UsageError(f"-s {target[1]}: `{head}` is {node[place]!r}, which has no part `{rest[0]}`.")


def _named_items(items: list[Any], parts: list[str], target: _Target) -> list[int]:
    head = parts[0]
    if re.fullmatch(r"[0-9]{1,9}", head):
        if int(head) < len(items):
            return [int(head)]
        raise UsageError(f"-s {target[1]}: there is no item {head}; the list has {len(items)}, the first is 0.")
    names = [_item_name(item) for item in items]
    found = [index for index, name in enumerate(names) if name == head]
    if not found:
        raise UsageError(f"-s: {_unknown_key(*target, parts, sorted({name for name in names if name}))}")
    return found


def _item_name(item: Any) -> str:
    return next((str(item[key]) for key in _ITEM_NAMES if isinstance(item, dict) and key in item), "")


def _unknown_key(cls: type[BaseModel], key: str, parts: Sequence[str] = (), known: Sequence[str] = ()) -> str:
    """Names the keys that look like it: `known` of its first wrong part, else any key of the config."""
    everywhere = [setting.key for setting in describe(cls)]
    before = key.removesuffix(".".join(parts))
    similar = difflib.get_close_matches(parts[0], known) if parts else []
    near = [".".join([before + name, *parts[1:]]) for name in similar]
    if not near:
        tails = {name.split(".")[-1]: name for name in reversed(everywhere)}
        near = [tails[tail] for tail in difflib.get_close_matches(key.split(".")[-1], tails)]
        near += difflib.get_close_matches(key, everywhere)
    shown = list(dict.fromkeys(near))[:3] or [before + name for name in known or everywhere][:8]
    names = ", ".join(f"`{name}`" for name in shown)
    return f"unknown key `{key}`; " + (f"did you mean {names}?" if near else f"known here: {names}.")


def _sentence(
    cls: type[BaseModel], error: ValidationError, data: Any, path: Path | None, overridden: Sequence[str]
) -> str:
    """The first fault in full, and the keys of the others."""
    faults: dict[str, list[Any]] = {}
    for fault in error.errors(include_url=False):
        faults.setdefault(_key_of(fault["loc"], data, fault["type"]), []).append(fault)
    key, same = next(iter(faults.items()))
    by_flag = any(f"{key}.".startswith(f"{name}.") for name in overridden)
    where = "-s: " if by_flag else f"{path}: " if path is not None else ""
    kind, value = same[0]["type"], same[0]["input"]
    expected = " or ".join(dict.fromkeys(_expected(fault) for fault in same))
    if kind == "extra_forbidden":
        text = _unknown_key(cls, key)
    elif kind == "missing":
        text = f"`{key}` is missing; add it."
    elif kind == "value_error" and isinstance(value, (Mapping, BaseModel)):
        text = f"{key + ': ' if key else ''}{expected}."
    else:
        text = f"`{key}` = {short(repr(value))}: expected {expected}."
    others = list(faults)[1:4]
    return where + text + (f" Also wrong: {', '.join(f'`{name}`' for name in others)}." if others else "")


def _expected(fault: Any) -> str:
    own = fault["ctx"]["error"] if fault["type"] == "value_error" else fault["msg"]
    text = re.sub("^(?:Input|List|Dictionary|String) should (?:be|have|match) ", "", str(own).rstrip("."))
    return text.replace(" after validation", "")


def _key_of(loc: tuple[int | str, ...], data: Any, kind: str) -> str:
    """The dotted key; pydantic also puts the branches of a union into `loc`, which no user has written."""
    parts: list[str] = []
    node = data
    for part in loc:
        if isinstance(node, dict) and part in node:
            node = node[part]
            parts.append(str(part))
        elif isinstance(node, list) and isinstance(part, int) and part < len(node):
            node = node[part]
            parts.append(_item_name(node) or str(part))
    return ".".join([*parts, str(loc[-1])] if kind == "missing" else parts)


def _unwrap(annotation: Any) -> list[Any]:
    """The members of a union, without Annotated."""
    if get_origin(annotation) is Annotated:
        return _unwrap(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [member for argument in get_args(annotation) for member in _unwrap(argument)]
    return [annotation]


def _models(annotation: Any) -> list[type[BaseModel]]:
    return [kind for kind in _unwrap(annotation) if isinstance(kind, type) and issubclass(kind, BaseModel)]


def _item_annotation(annotation: Any) -> Any:
    """What a list or dict holds; Any when the annotation does not say."""
    for kind in _unwrap(annotation):
        arguments = get_args(kind)
        if get_origin(kind) in (list, tuple, set, frozenset, Sequence):
            return arguments[0]
        if get_origin(kind) in (dict, Mapping):
            return arguments[1]
    return Any


def _inner_models(annotation: Any) -> list[tuple[str, type[BaseModel]]]:
    """Nested models and the part of the key that leads there: "" directly, ".<name>" in a list or dict."""
    found = [("", model) for model in _models(annotation)]
    for model in _models(_item_annotation(annotation)):
        found.append((f".<{next((name for name in _ITEM_NAMES if name in model.model_fields), 'key')}>", model))
    return found


def short(text: str) -> str:
    """`text` cut to the 60 characters that a sentence can carry."""
    return text if len(text) <= 60 else text[:57] + "..."


def _type_text(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    names = []
    for kind in _unwrap(annotation):
        origin, arguments = get_origin(kind), get_args(kind)
        if origin is Literal:
            names += [str(argument) for argument in arguments]
        elif origin is not None:
            inner = ", ".join(_type_text(argument) for argument in arguments if argument is not Ellipsis)
            names.append(f"{getattr(origin, '__name__', str(origin))}[{inner}]")
        else:
            names.append("null" if kind in (None, type(None)) else getattr(kind, "__name__", str(kind)))
    signs = [(limit, name, sign) for limit in metadata for name, sign in _SIGNS.items() if hasattr(limit, name)]
    limits = [f" {sign} {getattr(limit, name)}" for limit, name, sign in signs]
    return " | ".join(dict.fromkeys(names)) + "".join(limits)
