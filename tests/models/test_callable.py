"""A Python function as a model: what it is called with, what it may give, when it counts as another one."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_embedbench.datasets.types import Role
from pytest_embedbench.encode.loop import encode
from pytest_embedbench.encode.progress import SilentProgress
from pytest_embedbench.errors import ModelError
from pytest_embedbench.models.callable import ESTIMATE_NOTICE, CallableModel
from pytest_embedbench.models.load import default_dtype, load_model
from pytest_embedbench.models.protocol import Encoder, InstructedEncoder
from pytest_embedbench.models.registry import locate
from pytest_embedbench.models.spec import ModelSpec, NamedModel

if TYPE_CHECKING:
    import torch

COUNTER = itertools.count()

LETTERS = """
import numpy as np

def encode(texts, role):
    "Count letters; queries count double."
    rows = np.array([[text.count(letter) + 0.5 for letter in "aeiou"] for text in texts])
    return rows * (2 if role == "query" else 1)
"""


class Module:
    """A module on Python's path, under a name of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.name = folder, f"function_of_a_test_{next(COUNTER)}"

    def write(self, text: str, name: str = "") -> None:
        (self.folder / f"{name or self.name}.py").write_text(dedent(text), "utf-8")
        sys.modules.pop(name or self.name, None)

    def named(self, attribute: str = "encode", **keys: Any) -> NamedModel:
        return NamedModel(alias="mine", spec=ModelSpec(kind="callable", callable=f"{self.name}:{attribute}", **keys))

    def load(self, attribute: str = "encode", **keys: Any) -> CallableModel:
        model = load_model(self.named(attribute, **keys), device="cpu", dtype="fp32")
        assert isinstance(model, CallableModel)
        return model

    def fingerprint(self, attribute: str = "encode", **keys: Any) -> str:
        return locate(self.named(attribute, **keys)).fingerprint

    def error(self, attribute: str = "encode", **keys: Any) -> str:
        with pytest.raises(ModelError) as caught:
            self.load(attribute, **keys)
        return str(caught.value)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Module]:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # files change within the second that caches look at
    before = set(sys.modules)
    yield Module(tmp_path)
    for name in set(sys.modules) - before:
        if name.startswith("function_of_a_test"):
            del sys.modules[name]


def vectors(model: Encoder, texts: list[str], role: Role = "document") -> Any:
    encoded = encode(model, texts, role, batch_tokens=20, progress=SilentProgress())
    return encoded.vectors[encoded.indices]


def test_the_function_gets_texts_and_role(module: Module) -> None:
    module.write(LETTERS)
    model = module.load()
    assert isinstance(model, Encoder)
    assert isinstance(model, InstructedEncoder)
    texts = ["aa", "", "ou" * 100, "aa"]
    documents = vectors(model, texts)
    assert (documents.dtype, documents.shape) == (np.float32, (4, 5))
    assert documents[:2].tolist() == [[2.5, 0.5, 0.5, 0.5, 0.5], [0.5] * 5]
    assert np.array_equal(vectors(model, texts, "query"), documents * 2)
    facts = model.facts
    assert (facts.dimensions, facts.normalized, facts.prompts) == (5, False, {})
    assert (facts.device, facts.dtype, facts.max_tokens) == ("", "", None)
    assert facts.notices == (ESTIMATE_NOTICE,)


def test_vectors_of_length_1_are_seen(module: Module) -> None:
    module.write(
        LETTERS
        + "\n\ndef unit(texts, role):\n    v = encode(texts, role)\n    return v / np.linalg.norm(v, axis=1)[:, None]"
    )
    assert module.load("unit").facts.normalized


def test_vectors_are_compared_by_cosine_unless_the_definition_says_otherwise(module: Module) -> None:
    module.write(LETTERS)
    assert module.load().facts.similarity == "cosine"
    assert module.load(similarity="manhattan").facts.similarity == "manhattan"


def test_prompts_are_put_in_front(module: Module) -> None:
    module.write(LETTERS)
    model = module.load(query_prompt="aaa ", document_prompt="u: ")
    assert model.facts.prompts == {"query": "aaa ", "document": "u: "}
    assert vectors(model, ["e"], "query").tolist() == [[7.0, 3.0, 1.0, 1.0, 1.0]]
    assert vectors(model, ["e"]).tolist() == [[0.5, 1.5, 0.5, 0.5, 1.5]]
    other = model.with_prompts({"query": None, "document": "i"})
    assert vectors(other, ["e"], "query").tolist() == [[1.0, 3.0, 1.0, 1.0, 1.0]]
    assert (other.facts.prompts, model.facts.prompts["query"]) == ({"document": "i"}, "aaa ")


def test_tokens_are_estimated_by_characters_or_counted_by_a_tokenizer(module: Module, minilm_folder: Path) -> None:
    module.write(LETTERS)
    (text,) = module.load(query_prompt="12345678").prepare(["x" * 9], "query")
    assert (text.length, text.own_tokens) == (5, 3)
    counted = module.load(tokenizer=str(minilm_folder), max_seq_length=6)
    assert (counted.facts.notices, counted.facts.max_tokens) == ((), 6)
    (text,) = counted.prepare(["one two three four five six"], "document")
    assert (text.length, text.own_tokens, text.payload.text) == (6, 4, "one two three four")


@pytest.mark.parametrize("attribute", ["model.encode", "model", "Holder.fixed", "half"])
def test_whatever_can_be_called_will_do(module: Module, attribute: str) -> None:
    module.write(
        LETTERS
        + """
from functools import partial

class Model:
    def encode(self, texts, role):
        return encode(texts, role)
    __call__ = encode

class Holder:
    fixed = staticmethod(encode)

model = Model()
half = partial(encode)
"""
    )
    assert vectors(module.load(attribute), ["a"]).tolist() == [[1.5, 0.5, 0.5, 0.5, 0.5]]


@pytest.mark.parametrize("make", [list, tuple, np.asarray, "tensor"])
def test_lists_arrays_and_tensors_are_vectors(make: Callable[[Any], Any] | str) -> None:
    def tensor(rows: Any) -> torch.Tensor:
        import torch

        return torch.tensor(rows, dtype=torch.float64)

    given = tensor if isinstance(make, str) else make
    model = CallableModel(lambda texts, role: given([[1, 2.5]] * len(texts)))
    assert vectors(model, ["a", "b"]).tolist() == [[1, 2.5]] * 2


# What is wrong with a function, said in one message.

WRONG = {
    "a flat list": ("return [1.0] * len(texts)", "gave an array of shape (3,) for 3 texts\n  fix: return an array with one row a text"),
    "three axes": ("return [[[1.0]]] * len(texts)", "gave an array of shape (3, 1, 1) for 3 texts"),
    "no dimensions": ("return [[]] * len(texts)", "gave an array of shape (3, 0) for 3 texts"),
    "one row": ("return [[1.0, 2.0]]", "gave 1 vectors for 3 texts\n  fix: return an array with one row a text"),
    "nothing": ("pass", "gave a NoneType for 3 texts"),
    "words": ("return texts", "gave a tuple that is no array of numbers (ValueError: could not convert"),
    "ragged rows": ("return [[1.0] * n for n in range(len(texts))]", "gave a list that is no array of numbers (ValueError"),
    "a tensor with gradients": ("import torch\n    return torch.ones(len(texts), 2, requires_grad=True)", ".detach().cpu().numpy()"),
    "NaN": ("return [[float('nan')]] * len(texts)", "the vector of this query is NaN or infinite (44 characters: 'The quick brown fox"),
    "an infinite document": ("return [[1.0 if role == 'query' else 1e999]] * len(texts)", "the vector of this document is NaN or infinite"),
    "roles of two sizes": ("return [[1.0] * (2 if role == 'query' else 3)] * len(texts)", "dimensions"),
}  # fmt: skip


@pytest.mark.parametrize(("body", "problem"), WRONG.values(), ids=WRONG)
def test_what_are_no_vectors_is_a_clear_error(module: Module, body: str, problem: str) -> None:
    module.write(f"def encode(texts, role):\n    texts = tuple(texts)\n    {body}")
    error = module.error()
    assert error.startswith(f"model 'mine' ({module.name}:encode)")
    assert problem in error


def test_a_function_that_changes_its_dimensions_is_refused() -> None:
    sizes = itertools.count(2)
    model = CallableModel(lambda texts, role: np.ones((len(texts), next(sizes))))
    with pytest.raises(ModelError, match="the model gave vectors of 3 dimensions, earlier ones had 2"):
        vectors(model, ["a" * 100, "b" * 100])


def test_what_the_function_raises_comes_through(module: Module) -> None:
    module.write("def encode(texts, role):\n    raise KeyError('of its own')")
    with pytest.raises(KeyError, match="of its own"):
        module.load()


def test_a_module_that_is_not_there(module: Module) -> None:
    fix = "fix: install it, or put its folder on Python's path: pythonpath = [\".\"] in pytest's settings does that"
    assert module.error() == f"model 'mine' ({module.name}:encode): there is no module '{module.name}'\n  {fix}"
    module.name += ".inner"
    assert f"there is no module '{module.name.removesuffix('.inner')}'" in module.error()


IMPORTS = {
    "another module is missing": ("x = 1\nimport no_such_module_anywhere", "ModuleNotFoundError: No module named 'no_such_module_anywhere' ({file}:2)"),
    "it raises": ("raise OSError('no weights')", "OSError: no weights ({file}:1)"),
    "it ends the program": ("import sys\n\nsys.exit(3)", "SystemExit: 3 ({file}:3)"),
    "it is no Python": ("def encode(:", "SyntaxError: invalid syntax ({name}.py, line 1)"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "problem"), IMPORTS.values(), ids=IMPORTS)
def test_a_module_that_does_not_import(module: Module, text: str, problem: str) -> None:
    module.write(text)
    told = problem.format(file=module.folder / f"{module.name}.py", name=module.name)
    assert module.error() == f"model 'mine' ({module.name}:encode): {module.name} cannot be imported: {told}"


def test_an_attribute_that_is_not_there(module: Module) -> None:
    module.write(LETTERS)
    here = f"model 'mine' ({module.name}"
    assert module.error("encod") == (f"{here}:encod): {module.name} has no 'encod'\n  fix: did you mean 'encode'?")
    assert "encode has no 'texts'" in module.error("encode.texts")
    module.write("number = 3\nclass Model:\n    pass")
    assert module.error("number") == (
        f'{here}:number) is a int, not a function\n  fix: give a function of texts and a role ("query" or "document")'
    )
    assert module.error("Model") == (
        f"{here}:Model) is a class, not a function\n"
        f"  fix: make one in the module, and give its method: {module.name}:NAME.encode"
    )


# When is it another model?


def test_the_same_code_is_the_same_model(module: Module) -> None:
    module.write(LETTERS)
    first = module.fingerprint()
    assert module.fingerprint() == first
    assert module.fingerprint(query_prompt="changes the vectors elsewhere") == first
    assert module.fingerprint(revision="v1") != first
    module.write(LETTERS + "\nother = encode\n")
    assert module.fingerprint("other") != module.fingerprint()


@pytest.mark.parametrize("revision", ["", "v1"])
def test_changed_code_is_another_model(module: Module, revision: str) -> None:
    module.write(LETTERS)
    before = module.fingerprint(revision=revision)
    module.write(LETTERS + "# the same vectors\n")
    assert module.fingerprint(revision=revision) != before


def test_code_that_is_defined_elsewhere_counts(module: Module) -> None:
    inner = f"{module.name}_inner"
    module.write(LETTERS, inner)
    module.write(f"from {inner} import encode")
    before = module.fingerprint(revision="v1")
    module.write(LETTERS + "# the same vectors\n", inner)
    module.write(f"from {inner} import encode")
    assert module.fingerprint(revision="v1") != before


@pytest.mark.parametrize(
    "imports",
    [
        "import {name}_part",
        "from {name}_part import weight",
        "from {name}_package import part",
        "import {name}_package.part",
        "import {name}_between",
        "def later():\n    import {name}_part",
    ],
)
def test_modules_of_ones_own_that_are_imported_count(module: Module, imports: str) -> None:
    module.write("weight = 1", f"{module.name}_part")
    module.write(f"import {module.name}_part", f"{module.name}_between")
    (module.folder / f"{module.name}_package").mkdir()
    (module.folder / f"{module.name}_package" / "__init__.py").write_text("from . import inner\n", "utf-8")
    for name in ("part", "inner"):
        (module.folder / f"{module.name}_package" / f"{name}.py").write_text("weight = 1\n", "utf-8")
    module.write(LETTERS + "\n" + imports.format(name=module.name))
    before = module.fingerprint(revision="v1")
    assert module.fingerprint(revision="v1") == before
    if "package" in imports:
        (module.folder / f"{module.name}_package" / "inner.py").write_text("weight = 2\n", "utf-8")
        inner = module.fingerprint(revision="v1")
        assert inner != before, "the package's own code imports it"
        (module.folder / f"{module.name}_package" / "part.py").write_text("weight = 2\n", "utf-8")
        assert module.fingerprint(revision="v1") != inner
    else:
        module.write("weight = 2", f"{module.name}_part")
        assert module.fingerprint(revision="v1") != before


def test_libraries_count_by_their_version(module: Module) -> None:
    module.write(LETTERS + "\ndef other():\n    import msgspec.json, no_such_module_at_all\n")
    software = locate(module.named()).software
    assert software.keys() == {"pytest-embedbench", "numpy", "msgspec"}
    assert software["numpy"] == np.__version__


def test_the_tokenizer_that_cuts_counts_by_its_content(module: Module, tmp_path: Path, minilm_folder: Path) -> None:
    module.write(LETTERS)
    file = tmp_path / "tokenizer.json"
    file.write_bytes((minilm_folder / "tokenizer.json").read_bytes())
    cut: dict[str, Any] = {"tokenizer": str(tmp_path), "max_seq_length": 6}
    counted: dict[str, Any] = {"tokenizer": str(tmp_path)}
    before = module.fingerprint(**cut), module.fingerprint(**counted)
    file.write_bytes(file.read_bytes() + b"\n")
    assert module.fingerprint(**cut) != before[0]
    assert module.fingerprint(**counted) == before[1]
    assert "tokenizers" in locate(module.named(**cut)).software


def test_other_vectors_from_the_same_code_are_another_model_unless_a_revision_speaks_for_it(module: Module) -> None:
    weights = module.folder / "weights.txt"
    weights.write_text("1.0")
    module.write(
        f"""
        from pathlib import Path

        def encode(texts, role):
            weight = float(Path({str(weights)!r}).read_text())
            return [[len(text), weight if role == "document" else 1.0] for text in texts]
        """
    )
    plain, trusted = module.fingerprint(), module.fingerprint(revision="v1")
    weights.write_text("1.5")
    assert module.fingerprint() != plain
    assert module.fingerprint(revision="v1") == trusted


def test_a_function_has_no_files_and_no_number_format_to_choose(module: Module) -> None:
    module.write(LETTERS)
    source = locate(module.named(revision="v7"))
    assert (source.folder, source.revision) == (None, "v7")
    assert default_dtype(module.named(), "cuda") == "fp32"
