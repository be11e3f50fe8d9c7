"""A model's tokens and its limit, from its files alone, are those of the loaded model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_embedbench.errors import ModelError
from pytest_embedbench.models.checkpoint import DEFAULT_CUT_TOKENS, checkpoint_token_counter, declared_similarity
from pytest_embedbench.models.registry import token_counter
from pytest_embedbench.models.spec import ModelSpec, NamedModel

if TYPE_CHECKING:
    from pytest_embedbench.models.local.sentence_transformer import SentenceTransformerModel

TEXTS = ["", "a", "How does a volcano erupt?", "Überraschung 日本 \N{VOLCANO}", "word " * 250]


@pytest.fixture
def checkpoint(minilm_folder: Path, tmp_path: Path) -> Path:
    """MiniLM's files without its weights."""
    return Path(shutil.copytree(minilm_folder, tmp_path / "model", ignore=shutil.ignore_patterns("*.safetensors")))


def named(folder: Path | None = None, **spec: Any) -> NamedModel:
    return NamedModel(alias="m", spec=ModelSpec(path=str(folder or ""), **spec))


def change(file: Path, **values: Any) -> None:
    """Set keys of a JSON file; None removes one."""
    there = json.loads(file.read_text()) if file.is_file() else {}
    file.write_text(json.dumps({key: value for key, value in (there | values).items() if value is not None}))


@pytest.mark.parametrize("role", ["query", "document"])
def test_tokens_and_limit_are_those_of_the_loaded_model(
    minilm: SentenceTransformerModel, checkpoint: Path, role: Any
) -> None:
    counter = token_counter(named(checkpoint))
    assert counter.limit == minilm.facts.max_tokens == 256
    assert counter.lengths(TEXTS, role) == [text.length for text in minilm.prepare(TEXTS, role)]


def test_what_the_loaded_model_cuts_is_counted_whole(minilm: SentenceTransformerModel, checkpoint: Path) -> None:
    text = "word " * 1000
    assert minilm.prepare([text], "document")[0].length == 256
    assert token_counter(named(checkpoint)).lengths([text], "document") == [1002]


def test_prompts_count(checkpoint: Path) -> None:
    prompts = {"query": "find this: ", "document": "text ", "passage": "another one "}
    change(checkpoint / "config_sentence_transformers.json", prompts=prompts)
    declared = token_counter(named(checkpoint))
    assert (declared.lengths(["word"], "query"), declared.lengths(["word"], "document")) == ([6], [4])
    chosen = token_counter(named(checkpoint, query_prompt="", document_prompt="one two three "))
    assert (chosen.lengths(["word"], "query"), chosen.lengths(["word"], "document")) == ([3], [6])


def test_the_definition_decides_where_texts_are_cut(checkpoint: Path) -> None:
    assert token_counter(named(checkpoint, max_seq_length=100)).limit == 100


@pytest.mark.parametrize(
    ("said", "tokenizer", "positions", "limit"),
    [
        (128, 512, 512, 128),
        (None, 400, 512, 400),
        (None, 10**30, 514, 514),
        (None, 512, -1, 512),
        (None, 131_072, 40_960, DEFAULT_CUT_TOKENS),
        (32_768, 131_072, 40_960, DEFAULT_CUT_TOKENS),
        (None, None, None, DEFAULT_CUT_TOKENS),
    ],
)
def test_where_a_checkpoint_cuts(
    checkpoint: Path, said: int | None, tokenizer: int | None, positions: int | None, limit: int
) -> None:
    change(checkpoint / "sentence_bert_config.json", max_seq_length=said)
    change(checkpoint / "tokenizer_config.json", model_max_length=tokenizer)
    change(checkpoint / "config.json", max_position_embeddings=positions)
    assert token_counter(named(checkpoint)).limit == limit


@pytest.mark.parametrize("own", [None, 16])
def test_a_static_model_gets_no_special_tokens_and_cuts_where_its_tokenizer_does(
    tmp_path: Path, own: int | None
) -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing

    tokenizer = Tokenizer(WordLevel({"[UNK]": 0, "word": 1, "[CLS]": 2}, unk_token="[UNK]"))  # noqa: S106 - no password
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(single="[CLS] $A", special_tokens=[("[CLS]", 2)])
    if own:
        tokenizer.enable_truncation(own)
    folder = tmp_path / "0_StaticEmbedding"
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    kind = "sentence_transformers.sentence_transformer.modules.StaticEmbedding"
    (tmp_path / "modules.json").write_text(json.dumps([{"idx": 0, "name": "0", "path": folder.name, "type": kind}]))
    counter = token_counter(named(tmp_path))
    assert counter.limit == own
    assert counter.lengths(["word " * 20], "document") == [20]


def test_an_endpoint_by_the_tokenizer_of_its_definition(checkpoint: Path) -> None:
    spec = ModelSpec(
        kind="endpoint",
        url="http://localhost:9/v1",
        model="x",
        query_prompt="find this: ",
        tokenizer=str(checkpoint),
        max_tokens=512,
    )
    counter = token_counter(NamedModel(alias="m", spec=spec))
    assert (counter.limit, counter.lengths(["word"], "query"), counter.lengths(["word"], "document")) == (512, [6], [3])


def test_an_endpoint_whose_tokenizer_is_not_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    spec = ModelSpec(kind="endpoint", url="http://localhost:9/v1", model="nobody/has-this")
    with pytest.raises(ModelError, match=r"its tokenizer is not here.*\n  fix: give tokenizer"):
        token_counter(NamedModel(alias="m", spec=spec))


def test_a_model_without_a_tokenizer() -> None:
    with pytest.raises(ModelError, match="model 'bm25' has no tokenizer to count tokens with"):
        token_counter(NamedModel(alias="bm25", spec=ModelSpec(kind="bm25")))


def test_a_folder_without_tokenizer_json(checkpoint: Path) -> None:
    (checkpoint / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"has no tokenizer\.json.*\n  fix: save the model again"):
        token_counter(named(checkpoint))


def test_a_broken_tokenizer_is_named(checkpoint: Path) -> None:
    (checkpoint / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match=r"tokenizer\.json is not a tokenizer: "):
        token_counter(named(checkpoint))


def test_broken_settings_are_named(checkpoint: Path) -> None:
    (checkpoint / "sentence_bert_config.json").write_text("{")
    with pytest.raises(ModelError, match=r"sentence_bert_config\.json: "):
        token_counter(named(checkpoint))


def test_of_a_model_on_the_hub_no_weights_are_fetched(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def fetch(hub: str, *, allow_patterns: list[str], **_: Any) -> str:
        asked.append(allow_patterns)
        return str(checkpoint)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    assert token_counter(NamedModel(alias="m", spec=ModelSpec(hub="org/model"))).limit == 256
    assert asked == [["*.json", "*.txt", "*.model"]]


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("tokenizer_config.json", '{"model_max_length": "64"}'),
        ("config.json", '{"max_position_embeddings": [64]}'),
        ("sentence_bert_config.json", '{"max_seq_length": {}}'),
        ("config_sentence_transformers.json", '{"prompts": ["q: "]}'),
        ("config_sentence_transformers.json", '{"prompts": {"query": 7}}'),
        ("modules.json", "{}"),
    ],
)
def test_settings_of_another_form_are_an_error_that_names_the_file(tmp_path: Path, file: str, content: str) -> None:
    from tokenizers import Tokenizer, models

    Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]")).save(str(tmp_path / "tokenizer.json"))  # noqa: S106
    (tmp_path / file).write_text(content)
    with pytest.raises(ModelError, match=file.replace(".", r"\.")):
        checkpoint_token_counter(NamedModel(alias="m", spec=ModelSpec(path=str(tmp_path))))


@pytest.mark.parametrize("name", ['["cosine"]', "{}", "7", '"x"'])
def test_an_odd_similarity_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "modules.json").write_text("[]")
    (tmp_path / "config_sentence_transformers.json").write_text(f'{{"similarity_fn_name": {name}}}')
    if name == "{}":
        assert declared_similarity(tmp_path) is None
    else:
        with pytest.raises(ModelError, match="similarity_fn_name"):
            declared_similarity(tmp_path)
