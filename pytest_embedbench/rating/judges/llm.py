"""A language model as judge: for a query and two models' lists it says, in both orders, which list is better."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import msgspec

from pytest_embedbench.datasets.types import Dataset
from pytest_embedbench.errors import ConfigurationError
from pytest_embedbench.rating.judges.entries import Entry, by_dataset, sample_queries
from pytest_embedbench.rating.judges.log import JudgmentLog, question
from pytest_embedbench.rating.judges.prompt import PROMPT, SCHEMA, messages, read_verdict, sha256, shortened
from pytest_embedbench.rating.judgments import Judgment, Outcome, Side, Trial
from pytest_embedbench.remote.chat import Chat
from pytest_embedbench.remote.client import Endpoint
from pytest_embedbench.remote.errors import AnswerError, EndpointError
from pytest_embedbench.remote.settings import EndpointSettings

SAME = "both lists show the same texts: a tie without asking"
ORDERS: tuple[Side, Side] = ("a", "b")


class JudgeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked, of which model: ``queries`` and ``seed`` choose questions, the others are part of each one."""

    model: str
    k: int = 10
    """Documents of each list that the judge sees."""
    max_chars: int = 1000
    """Characters of each document that it sees."""
    queries: int | None = 20
    """Of each dataset, the same for every pair of models; None is all."""
    seed: int = 0

    @property
    def judge(self) -> str:
        """The judge's name: equal exactly when the same question would be put in the same way to the same model."""
        return f"llm {self.model} top {self.k} chars {self.max_chars} prompt {PROMPT}"


@dataclass(frozen=True)
class Question:
    """One query with the lists of two models; ``blank`` is the judgment without its outcome."""

    blank: Judgment
    query: str
    texts: Mapping[Side, Sequence[str]]

    def messages(self, first: Side, *, again: bool = False) -> list[dict[str, str]]:
        second: Side = "b" if first == "a" else "a"
        return messages(self.query, self.texts[first], self.texts[second], again=again)


@dataclass
class Account:
    """What one run of the judge did, and what the server counted for it, failed questions included."""

    made: int = 0
    resumed: int = 0
    same: int = 0
    """Made without asking, since both lists were the same."""
    failures: list[str] = field(default_factory=list)
    """Why questions have no judgment, one each."""
    requests: int = 0
    """Answers that came; the server did not count the tokens of ``uncounted`` of them."""
    uncounted: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    request_seconds: float = 0.0
    note: str = ""
    """What the server refused."""


def questions(entries: Iterable[Entry], datasets: Mapping[str, Dataset], settings: JudgeSettings) -> Iterator[Question]:
    """Every sampled query with every two models, dataset by dataset and query by query.

    Args:
        entries: stored results with their runs; judged by nobody is fine.
        datasets: by fingerprint, at least those of the entries.
        settings: the sample, and what is shown.

    Raises:
        ResultError: the results cannot be compared.
    """
    for name, group in by_dataset(entries).items():
        dataset = datasets[group[0].dataset.fingerprint]
        chosen = sample_queries(dataset.ranked_queries, settings.queries, settings.seed, dataset.fingerprint)
        position = {doc: index for index, doc in enumerate(dataset.doc_ids)}
        for query in chosen:
            tops = {entry.model: entry.top(query, settings.k) for entry in group}
            shown = {
                model: [shortened(dataset.doc_texts[position[doc]], settings.max_chars) for doc in top]
                for model, top in tops.items()
            }
            for a, b in combinations(group, 2):
                blank = Judgment(
                    dataset=name,
                    query_id=query,
                    model_a=a.model,
                    model_b=b.model,
                    outcome="tie",
                    judge=settings.judge,
                    top_a=tops[a.model],
                    top_b=tops[b.model],
                    run_a=a.run_sha256,
                    run_b=b.run_sha256,
                )
                yield Question(blank, dataset.query_text[query], {"a": shown[a.model], "b": shown[b.model]})


def open_questions(asked: Sequence[Question], log: JudgmentLog) -> list[Question]:
    """The questions that the log does not answer.

    Raises:
        ConfigurationError: the log answers one of them for other lists or other texts.
    """
    answered = {question(judgment): judgment for judgment in log.judgments}
    left = []
    for each in asked:
        earlier = answered.get(question(each.blank))
        if earlier is None:
            left.append(each)
        elif not _same_question(each, earlier):
            blank = each.blank
            where = f"query {blank.query_id!r} of {blank.dataset}, {blank.model_a} and {blank.model_b}"
            problem = f"{where}: judged earlier with other lists or texts"
            raise ConfigurationError("the file of judgments", problem, "models or data have changed: use another file")
    return left


def _same_question(each: Question, earlier: Judgment) -> bool:
    if (earlier.top_a, earlier.top_b) != (each.blank.top_a, each.blank.top_b):
        return False
    return all(
        trial.prompt_sha256 in {sha256(each.messages(trial.first_shown, again=again)) for again in (False, True)}
        for trial in earlier.trials
    )


async def judge(
    asked: Sequence[Question],
    log: JudgmentLog,
    endpoint_settings: EndpointSettings,
    settings: JudgeSettings,
    *,
    account: Account,
    progress: Callable[[], object] = lambda: None,
) -> None:
    """Put questions to the model; each judgment is in the log as soon as it is made.

    A question without a readable answer gets no judgment; ``account.failures`` says why. ``progress`` is called after
    each question.

    Raises:
        EndpointError: no further request can succeed. What was judged until then is in the log.
    """
    async with Endpoint(endpoint_settings) as endpoint:
        jury = _Jury(Chat(endpoint, settings.model, SCHEMA), log, account)
        waiting = iter(asked)

        async def work() -> None:
            for each in waiting:  # shared: each worker takes the next one
                await jury.decide(each)
                progress()

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(endpoint_settings.concurrency, len(asked))):
                    group.create_task(work())
        except ExceptionGroup as group_of_errors:
            raise group_of_errors.exceptions[0] from None
        finally:
            account.note = jury.chat.fallback


class _Jury:
    """Decides questions one by one; several may be under way at once."""

    def __init__(self, chat: Chat, log: JudgmentLog, account: Account) -> None:
        self.chat, self._log, self._account = chat, log, account

    async def decide(self, each: Question) -> None:
        if each.texts["a"] == each.texts["b"]:
            self._log.append(msgspec.structs.replace(each.blank, note=SAME))
            self._account.made += 1
            self._account.same += 1
            return
        try:
            one, other = [await self._trial(each, first) for first in ORDERS]
        except (EndpointError, ValueError) as error:
            if isinstance(error, EndpointError) and error.fatal:
                raise
            blank = each.blank
            place = f"{blank.dataset}, query {blank.query_id}, {blank.model_a} and {blank.model_b}"
            self._account.failures.append(f"{place}: {error}")
            return
        outcome: Outcome = one.outcome if one.outcome == other.outcome else "tie"
        self._log.append(msgspec.structs.replace(each.blank, outcome=outcome, trials=(one, other)))
        self._account.made += 1

    async def _trial(self, each: Question, first: Side) -> Trial:
        """Ask in one order.

        Raises:
            ValueError, AnswerError: no answer could be read, also when asked once more.
            EndpointError: no answer came.
        """
        try:
            return await self._ask(each, first, again=False)
        except (ValueError, AnswerError):
            return await self._ask(each, first, again=True)

    async def _ask(self, each: Question, first: Side, *, again: bool) -> Trial:
        prompt = each.messages(first, again=again)
        answer = await self.chat.ask(prompt)
        self._account.requests += 1
        self._account.uncounted += not answer.prompt_tokens
        self._account.prompt_tokens += answer.prompt_tokens
        self._account.completion_tokens += answer.completion_tokens
        self._account.request_seconds += answer.seconds
        verdict = read_verdict(answer.text)
        second: Side = "b" if first == "a" else "a"
        outcomes: dict[str, Outcome] = {"first": first, "second": second, "tie": "tie"}
        return Trial(
            first_shown=first,
            outcome=outcomes[verdict.verdict],
            reason=verdict.reason,
            prompt_sha256=sha256(prompt),
            reply=answer.text,
            prompt_tokens=answer.prompt_tokens,
            completion_tokens=answer.completion_tokens,
        )
