"""Strict reader of plain checkpoints' settings. A plain checkpoint can run without sentence-transformers.

It is a transformer, pooling, and layers and normalization after it, by sentence-transformers' own classes and with
settings that are all known here. Each setting means what sentence-transformers 6.2 does with it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NamedTuple, TypeVar

import msgspec
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from pytest_embedbench.core.decoding import decode_json
from pytest_embedbench.models.local.pooling import Mode, Pooling

SettingsT = TypeVar("SettingsT")

MODULE_CLASS = re.compile(
    r"sentence_transformers\.(?:models|(?:base|sentence_transformer)\.modules(?:\.[a-z]+)?)"
    r"\.(Transformer|Pooling|Dense|Normalize)"
)
"""Pattern of the classes of a plain checkpoint's modules, by all the names that releases have given them."""

LOAD_OPTIONS: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
"""Arguments with which transformers reads a plain checkpoint: no network, no code of the checkpoint's own."""

ADAPTER_FILE = "adapter_config.json"
"""File in the folder of an adapter, which holds changes to another model's weights."""

PROCESSOR_FILES = {"processor_config.json", "preprocessor_config.json", "video_preprocessor_config.json"}
"""Files of checkpoints whose input is not text alone."""

ACTIVATION_MODULES = ("torch.nn.modules.activation", "torch.nn.modules.linear")
"""Modules of torch that a checkpoint's activation after a linear layer may come from."""

OLD_MODE_NAMES: dict[Mode, str] = {
    "cls": "cls_token",
    "max": "max_tokens",
    "mean": "mean_tokens",
    "mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "weightedmean": "weightedmean_tokens",
    "lasttoken": "lasttoken",
}
"""Mode of pooling -> its name in older releases, in the order in which the results of several stand side by side."""

TEXT_ONLY = {"text": {"method": "forward", "method_output_name": "last_hidden_state"}}
"""``modality_config`` of a transformer that takes only texts; also says which output holds the states."""

VectorName = Literal["sentence_embedding"]


class NotPlainError(Exception):
    """Raised when only sentence-transformers can load a checkpoint."""


class PlainCheckpoint(NamedTuple):
    """Settings of a plain checkpoint, and the weights after pooling."""

    transformer: Path
    max_seq_length: int | None
    prompts: Mapping[str, str | None]
    default_prompt_name: str | None
    truncate_dim: int | None
    """Dimensions of a vector that are to be used, from the first; None for all."""
    pooling: Pooling
    layers_after: list[torch.nn.Module]
    """Layers and normalization after pooling, in order and with their weights, in fp32."""

    @property
    def dimensions(self) -> int:
        """Dimensions of a vector before it is cut to ``truncate_dim``."""
        layers = [module.dimensions for module in self.layers_after if isinstance(module, Dense)]
        return layers[-1] if layers else self.pooling.dimensions


class Dense(torch.nn.Sequential):
    """A linear layer and an activation."""

    def __init__(self, layer: torch.nn.Linear, activation: torch.nn.Module) -> None:
        super().__init__(layer, activation)
        self.dimensions = layer.out_features


class Normalize(torch.nn.Module):
    """Brings vectors to length 1."""

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.normalize(vectors, p=2, dim=-1)


# Fields that are not listed are refused: a setting that is unknown here may change the vectors.
class _Module(msgspec.Struct, forbid_unknown_fields=True):
    type: str
    name: str
    path: str
    idx: int | None = None


class _Model(msgspec.Struct, forbid_unknown_fields=True):
    prompts: dict[str, str | None] = {}
    default_prompt_name: str | None = None
    similarity_fn_name: str | None = None
    truncate_dim: int | None = None
    model_type: Literal["SentenceTransformer"] = "SentenceTransformer"
    version: dict[str, str] = msgspec.field(name="__version__", default={})


class _Transformer(msgspec.Struct, forbid_unknown_fields=True):
    max_seq_length: int | None = None
    do_lower_case: bool = False
    transformer_task: Literal["feature-extraction"] = "feature-extraction"
    modality_config: dict[str, Any] = msgspec.field(default_factory=lambda: TEXT_ONLY)
    module_output_name: Literal["token_embeddings"] = "token_embeddings"


class _Pooling(msgspec.Struct, forbid_unknown_fields=True):
    embedding_dimension: int | None = None
    word_embedding_dimension: int | None = None
    pooling_mode: Mode | tuple[Mode, ...] | None = None
    include_prompt: bool = True
    pooling_mode_cls_token: bool = False
    pooling_mode_max_tokens: bool = False
    pooling_mode_mean_tokens: bool = False
    pooling_mode_mean_sqrt_len_tokens: bool = False
    pooling_mode_weightedmean_tokens: bool = False
    pooling_mode_lasttoken: bool = False

    @property
    def modes(self) -> tuple[Mode, ...]:
        if self.pooling_mode is None:
            chosen = (mode for mode, name in OLD_MODE_NAMES.items() if getattr(self, f"pooling_mode_{name}"))
            return tuple(chosen) or ("mean",)
        return (self.pooling_mode,) if isinstance(self.pooling_mode, str) else self.pooling_mode


class _Dense(msgspec.Struct, forbid_unknown_fields=True):
    in_features: int
    out_features: int
    bias: bool = True
    activation_function: str = f"{ACTIVATION_MODULES[0]}.Tanh"
    module_input_name: VectorName = "sentence_embedding"
    module_output_name: VectorName | None = None
    use_residual: bool = False


class _Normalize(msgspec.Struct, forbid_unknown_fields=True):
    module_input_name: VectorName = "sentence_embedding"
    module_output_name: VectorName | None = None


def plain_checkpoint(folder: Path) -> PlainCheckpoint | None:
    """Return the settings of a checkpoint; None if it is not plain, or its files cannot be read."""
    try:
        return _checkpoint(folder)
    except (NotPlainError, SafetensorError, OSError, ValueError):
        return None  # then sentence-transformers loads it, and reports what is wrong


def _checkpoint(folder: Path) -> PlainCheckpoint:
    model = _settings(folder / "config_sentence_transformers.json", _Model)
    # sentence-transformers raises an error for a default prompt that does not exist.
    _require(model.default_prompt_name in {None, *model.prompts})
    _require(model.truncate_dim is None or model.truncate_dim > 0)
    modules = decode_json((folder / "modules.json").read_bytes(), list[_Module])
    kinds, folders = [_kind(module) for module in modules], [_subfolder(folder, module.path) for module in modules]
    _require(kinds[:2] == ["Transformer", "Pooling"] and not {"Transformer", "Pooling"} & set(kinds[2:]))
    text = _text(folders[0])
    return PlainCheckpoint(
        transformer=folders[0],
        max_seq_length=text.max_seq_length,
        prompts=model.prompts,
        default_prompt_name=model.default_prompt_name,
        truncate_dim=model.truncate_dim,
        pooling=_pooling(folders[1]),
        layers_after=[
            _dense(subfolder) if kind == "Dense" else _normalize(subfolder)
            for kind, subfolder in zip(kinds[2:], folders[2:], strict=True)
        ],
    )


def _require(condition: object) -> None:
    if not condition:
        raise NotPlainError


def _settings(file: Path, kind: type[SettingsT]) -> SettingsT:
    """Return a module's settings; defaults if there is no such file."""
    return decode_json(file.read_bytes() if file.exists() else b"{}", kind)


def _kind(module: _Module) -> str:
    match = MODULE_CLASS.fullmatch(module.type)
    if match is None:
        raise NotPlainError
    return match[1]


def _subfolder(folder: Path, path: str) -> Path:
    # Nothing outside the checkpoint is read: its fingerprint covers only its own files.
    _require(not PurePosixPath(path).is_absolute() and ".." not in PurePosixPath(path).parts)
    return folder / path


def _text(folder: Path) -> _Transformer:
    names = {file.name for file in folder.iterdir()}
    _require(not names & {ADAPTER_FILE, *PROCESSOR_FILES})
    # Older releases gave the same settings other names; sentence-transformers reads those.
    _require(not any(re.fullmatch(r"sentence_(?!bert_).+_config\.json", name) for name in names))
    for file in ("config.json", "tokenizer_config.json"):
        # auto_map names code of the checkpoint's own; a processor class makes more than tokens of its input.
        _require(not {"auto_map", "processor_class"} & _settings(folder / file, dict[str, Any]).keys())
    text = _settings(folder / "sentence_bert_config.json", _Transformer)
    _require(not text.do_lower_case and text.modality_config == TEXT_ONLY)
    return text


def _pooling(folder: Path) -> Pooling:
    settings = _settings(folder / "config.json", _Pooling)
    widths = {settings.embedding_dimension, settings.word_embedding_dimension} - {None}
    _require(settings.modes and len(widths) == 1)
    return Pooling(settings.modes, widths.pop() or 0, settings.include_prompt)


def _dense(folder: Path) -> Dense:
    settings = _settings(folder / "config.json", _Dense)
    _require(not settings.use_residual)
    module, _, name = settings.activation_function.rpartition(".")
    activation = getattr(torch.nn, name, None) if module in ACTIVATION_MODULES else None
    if not (isinstance(activation, type) and issubclass(activation, torch.nn.Module)):
        raise NotPlainError
    weights = load_file(folder / "model.safetensors")
    # Before the layer is made: the settings may ask for one that fits into no memory.
    shape = (settings.out_features, settings.in_features)
    _require("linear.weight" in weights and tuple(weights["linear.weight"].shape) == shape)
    layer = torch.nn.Linear(settings.in_features, settings.out_features, bias=settings.bias)
    _require(weights.keys() == {f"linear.{key}" for key in layer.state_dict()})
    try:
        layer.load_state_dict({key.removeprefix("linear."): weight for key, weight in weights.items()})
        return Dense(layer, activation())
    except (RuntimeError, TypeError):  # other shapes; an activation that has settings of its own
        raise NotPlainError from None


def _normalize(folder: Path) -> Normalize:
    _settings(folder / "config.json", _Normalize)
    return Normalize()
