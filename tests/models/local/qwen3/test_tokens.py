"""Tokens are Qwen's: those of the package's own encoder, and the end token after them."""

from __future__ import annotations

import random
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.qwen3_checkpoint import PROMPT

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from pytest_embedbench.models.local.sentence_transformer import SentenceTransformerModel

END = 151643

TEXTS = [
    "",
    " ",
    "x",
    "The quick brown fox doesn't jump over 12 lazy dogs; they've slept since 1987.",
    "天空为什么是蓝色的。因为空气散射短波长的阳光。",
    "東京は日本の首都です。서울은 대한민국의 수도이다.",
    "Почему небо голубое? لماذا السماء زرقاء؟ आकाश नीला क्यों है?",
    "🚀🌍 👩‍👩‍👧‍👦 ❤️ 🇳🇴",
    "naïve café: e\u0301 is é after normalization, Å too (\u212b)",
    "def f(xs: list[int]) -> int:\n    return sum(x ** 2 for x in xs)  # squares\n\n\nprint(f([1, 2, 3]))\n",
    "SELECT * FROM t WHERE a>=10 AND b!='x';\t-- comment",
    "3.14159 1,000,000 0x1F 2026-11-25 ½ ٣ Ⅷ",
    "  two  blanks \t\ttabs\r\n\r\nlines\n   \n",
    "https://example.org/a?b=c&d=%20#e user@example.org",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa ................ -----------",
    "DON'T I'LL We'd",
    "\x00\x07\u200b\ufeff",
    "<|im_start|>user\nhello<|im_end|><|endoftext|>",
]


@pytest.mark.parametrize("text", TEXTS)
def test_ids_are_those_of_the_package(qwen3: SentenceTransformerModel, qwen_tokens: Any, text: str) -> None:
    (prepared,) = qwen3.prepare([text], "document")
    assert prepared.payload == [*qwen_tokens.encode(text), END]
    assert prepared.length == len(prepared.payload)


def test_ids_of_random_mixtures_are_those_of_the_package(qwen3: SentenceTransformerModel, qwen_tokens: Any) -> None:
    source = random.Random(7)
    letters = "".join(TEXTS[:-1])
    texts = ["".join(source.choices(letters, k=source.randrange(1, 60))) for _ in range(2000)]
    for text, prepared in zip(texts, qwen3.prepare(texts, "document"), strict=True):
        assert prepared.payload == [*qwen_tokens.encode(text), END], repr(text)


def test_the_vocabulary_is_qwen3s(tokenizer: Tokenizer) -> None:
    assert tokenizer.get_vocab_size() == 151669
    known = {
        "<|endoftext|>": END,
        "<|im_start|>": 151644,
        "<|im_end|>": 151645,
        "<tool_call>": 151657,
        "</think>": 151668,
    }
    assert {token: tokenizer.token_to_id(token) for token in known} == known


def test_a_texts_own_tokens_are_counted_without_prompt_and_end(
    qwen3: SentenceTransformerModel, qwen_tokens: Any
) -> None:
    texts = TEXTS[2:-1]  # no special tokens in them
    documents, queries = qwen3.prepare(texts, "document"), qwen3.prepare(texts, "query")
    for text, document, query in zip(texts, documents, queries, strict=True):
        own = len(qwen_tokens.encode(text))
        assert (document.own_tokens, document.length) == (own, own + 1)
        asked = qwen_tokens.encode(PROMPT + text)
        assert query.payload == [*asked, END]
        ends = accumulate(len(qwen_tokens.decoder[token]) for token in asked)
        assert query.own_tokens == sum(end > len(PROMPT) for end in ends)


@pytest.mark.parametrize(
    ("query", "pieces"),
    [
        ("how does", [":", "how", " does"]),
        (" how does", [":", " how", " does"]),
        ("1999", [":", "1", "9", "9", "9"]),
        ("x", [":x"]),
    ],
)
def test_the_querys_first_word_follows_the_prompt_without_a_space(
    qwen3: SentenceTransformerModel, qwen_tokens: Any, query: str, pieces: list[str]
) -> None:
    """A space after ``Query:`` would be another token, which the model was not trained with."""
    (prepared,) = qwen3.prepare([query], "query")
    found = [qwen_tokens.decode(token) for token in prepared.payload]
    assert found[found.index("Query") :] == ["Query", *pieces, "<|endoftext|>"]


def test_a_text_that_is_cut_keeps_its_end_token(qwen3: SentenceTransformerModel, qwen_tokens: Any) -> None:
    text = "word " * 9000
    document, query = (qwen3.prepare([text], role)[0] for role in ("document", "query"))
    assert document.payload == [*qwen_tokens.encode(text)[:8191], END]
    assert query.payload == [*qwen_tokens.encode(PROMPT + text)[:8191], END]
