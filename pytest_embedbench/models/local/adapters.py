"""Adapters (PEFT): changes to the weights of a base model, which is elsewhere."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_embedbench.core.decoding import DecodingError, decode_json
from pytest_embedbench.core.files import is_folder
from pytest_embedbench.errors import ModelError, needs_extra
from pytest_embedbench.models.local.plain_checkpoint import ADAPTER_FILE
from pytest_embedbench.models.references import BASE_KEY
from pytest_embedbench.remote.hub import HUB_ID

if TYPE_CHECKING:
    from pytest_embedbench.models.spec import NamedModel

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.txt")


def adapter_base(model: NamedModel, folder: Path) -> str:
    """Return the base onto which an adapter is loaded; empty for folders that sentence-transformers loads as they are.

    It does so with an adapter that has modules or a tokenizer beside it. PEFT itself saves neither: then pooling and
    tokenizer are those of the base.

    Raises:
        ModelError: PEFT is not installed, or the base is not here.
    """
    where = f"model {model.alias!r}"
    file = next(
        (path for path in (folder / ADAPTER_FILE, *sorted(folder.glob(f"*/{ADAPTER_FILE}"))) if path.is_file()), None
    )
    if file is None:
        return ""
    if find_spec("peft") is None:
        raise needs_extra("adapters", "peft", ModelError, where=f"{where}: {file}")
    try:
        base = str(decode_json(file.read_bytes(), dict[str, Any]).get(BASE_KEY) or "")
    except DecodingError as error:
        raise ModelError(str(error), where=f"{where}: {file}") from None
    if not base or not (is_folder(Path(base)) or HUB_ID.fullmatch(base)):
        problem = f"{file}: its base is not here: {base!r}" if base else f"{file} names no base"
        fix = f"write the folder or Hub id of the base as {BASE_KEY}"
        raise ModelError(problem, where=where, fix=f"{fix} (folders begin at the working folder)")
    alone = not any((folder / name).is_file() for name in ("modules.json", *TOKENIZER_FILES))
    return base if alone else ""
