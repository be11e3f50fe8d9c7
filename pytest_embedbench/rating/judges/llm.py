"""Judge by a language model: for a query and two models' lists, shown in both orders, it says which is better."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import msgspec

from pytest_embedbench.datasets.types import Dataset
from pytest_embedbench.errors import ConfigurationError
from pytest_embedbench.rating.judges.entries import Entry, by_dataset, sample_queries
from pytest_embedbench.rating.judges.log import JudgmentLog, question_key
from pytest_embedbench.rating.judges.prompt import PROMPT, SCHEMA, messages, read_verdict, sha256, shortened
from pytest_embedbench.rating.judgments import JudgedSide, JudgeTrial, Judgment, Preference
from pytest_embedbench.remote.chat import Chat
from pytest_embedbench.remote.client import Endpoint
from pytest_embedbench.remote.errors import AnswerError, EndpointError
from pytest_embedbench.remote.settings import EndpointSettings

SAME_TEXTS_NOTE = "both lists show the same texts: a tie without asking"
"""Note of a judgment that needed no request."""
ORDERS: tuple[JudgedSide, JudgedSide] = ("a", "b")
"""The side shown first, in each of the two requests of a question."""


class JudgeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of the judge: ``queries`` and ``seed`` choose questions, the others are part of each question."""

    model: str
    """The judging model's name at the endpoint."""
    k: int = 10
    """Documents shown of each list."""
    max_chars: int = 1000
    """Characters shown of each document."""
    queries: int | None = 20
    """Queries of each dataset, the same for every pair of models; None is all."""
    seed: int = 0

    @property
    def judge(self) -> str:
        """The judge's name; equal names mean that the same model gets the same question in the same words."""
        return f"llm {self.model} top {self.k} chars {self.max_chars} prompt {PROMPT}"


@dataclass(frozen=True)
class Question:
    """One query with the lists of two models; ``blank`` is the judgment to fill in."""

    blank: Judgment
    query: str
    texts: Mapping[JudgedSide, Sequence[str]]

    def messages(self, first: JudgedSide, *, again: bool = False) -> list[dict[str, str]]:
        """Return the chat messages that show the list of ``first`` first."""
        second: JudgedSide = "b" if first == "a" else "a"
        return messages(self.query, self.texts[first], self.texts[second], again=again)


@dataclass
class Account:
    """Counts of one run of the judge: judgments, requests, and the server's tokens; failed questions are included."""

    judged: int = 0
    """Judgments of this run."""
    resumed: int = 0
    """Judgments that the file already held."""
    same: int = 0
    """Judgments without a request, since both lists were the same."""
    failures: list[str] = field(default_factory=list)
    """For each question without a judgment, the reason."""
    requests: int = 0
    """Requests that were answered."""
    uncounted: int = 0
    """Answers whose tokens the server did not count."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    request_seconds: float = 0.0
    note: str = ""
    """A feature of requests that the server refused; the run did without it."""


def questions(entries: Iterable[Entry], datasets: Mapping[str, Dataset], settings: JudgeSettings) -> Iterator[Question]:
    """Yield every sampled query with every two models, dataset by dataset and query by query.

    Args:
        entries: stored results with their runs; relevance judgments are not needed.
        datasets: by fingerprint, at least those of the entries.
        settings: the sample of queries, and how much is shown.

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
                # The outcome is filled in by the judge; "tie" only because the field has no default.
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


def open_questions(wanted: Sequence[Question], log: JudgmentLog) -> list[Question]:
    """Return the questions that the log does not answer.

    Raises:
        ConfigurationError: the log answers one of them for other lists or other texts.
    """
    answered = {question_key(judgment): judgment for judgment in log.judgments}
    unanswered = []
    for question in wanted:
        blank = question.blank
        earlier = answered.get(question_key(blank))
        if earlier is None:
            unanswered.append(question)
        elif not _same_question(question, earlier):
            where = f"query {blank.query_id!r} of {blank.dataset}, {blank.model_a} and {blank.model_b}"
            problem = f"{where}: judged earlier with other lists or texts"
            raise ConfigurationError("the file of judgments", problem, "models or data have changed: use another file")
    return unanswered


def _same_question(question: Question, earlier: Judgment) -> bool:
    """Whether the earlier judgment was made from the same lists and the same prompts."""
    if (earlier.top_a, earlier.top_b) != (question.blank.top_a, question.blank.top_b):
        return False
    # An answer may be to the first question, or to the one that is asked if that answer could not be read.
    return all(
        trial.prompt_sha256 in {sha256(question.messages(trial.first_shown, again=again)) for again in (False, True)}
        for trial in earlier.trials
    )


async def judge(
    wanted: Sequence[Question],
    log: JudgmentLog,
    endpoint_settings: EndpointSettings,
    settings: JudgeSettings,
    *,
    account: Account,
    progress: Callable[[], object] = lambda: None,
) -> None:
    """Ask the model every question; each judgment is in the log as soon as it is made.

    A question without a readable answer gets no judgment, and ``account.failures`` gets the reason.

    Args:
        wanted: the questions.
        log: where judgments are added.
        endpoint_settings: the server, and how many requests may be in flight.
        settings: the judge.
        account: is updated with the counts of this run.
        progress: called after each question.

    Raises:
        EndpointError: no further request can succeed. Earlier judgments are in the log.
    """
    async with Endpoint(endpoint_settings) as endpoint:
        jury = _Jury(Chat(endpoint, settings.model, SCHEMA), log, account)
        waiting = iter(wanted)

        async def work() -> None:
            for question in waiting:  # shared: each worker takes the next question
                await jury.decide(question)
                progress()

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(endpoint_settings.concurrency, len(wanted))):
                    group.create_task(work())
        except ExceptionGroup as errors:  # callers expect the plain error
            raise errors.exceptions[0] from None
        finally:
            account.note = jury.chat.fallback


class _Jury:
    """Decide questions; several may be in flight at once."""

    def __init__(self, chat: Chat, log: JudgmentLog, account: Account) -> None:
        self.chat, self._log, self._account = chat, log, account

    async def decide(self, question: Question) -> None:
        """Ask in both orders and log the judgment, or note why there is none.

        Raises:
            EndpointError: no further request can succeed.
        """
        blank = question.blank
        if question.texts["a"] == question.texts["b"]:
            self._log.append(msgspec.structs.replace(blank, note=SAME_TEXTS_NOTE))
            self._account.judged += 1
            self._account.same += 1
            return
        try:
            trials = [await self._trial(question, first) for first in ORDERS]
        except (EndpointError, ValueError) as error:
            if isinstance(error, EndpointError) and error.fatal:  # e.g. a wrong key: every question would fail
                raise
            where = f"{blank.dataset}, query {blank.query_id}, {blank.model_a} and {blank.model_b}"
            self._account.failures.append(f"{where}: {error}")
            return
        # A verdict that changes with the order is no preference.
        outcomes = {trial.outcome for trial in trials}
        outcome: Preference = outcomes.pop() if len(outcomes) == 1 else "tie"
        self._log.append(msgspec.structs.replace(blank, outcome=outcome, trials=tuple(trials)))
        self._account.judged += 1

    async def _trial(self, question: Question, first: JudgedSide) -> JudgeTrial:
        """Ask in one order, and once more if the answer cannot be read.

        Raises:
            ValueError, AnswerError: the second answer could not be read either.
            EndpointError: no answer came.
        """
        try:
            return await self._ask(question, first, again=False)
        except (ValueError, AnswerError):
            return await self._ask(question, first, again=True)

    async def _ask(self, question: Question, first: JudgedSide, *, again: bool) -> JudgeTrial:
        prompt = question.messages(first, again=again)
        answer = await self.chat.ask(prompt)
        # Counted before the answer is read: unreadable answers cost tokens too.
        self._account.requests += 1
        self._account.uncounted += not answer.prompt_tokens
        self._account.prompt_tokens += answer.prompt_tokens
        self._account.completion_tokens += answer.completion_tokens
        self._account.request_seconds += answer.seconds
        verdict = read_verdict(answer.text)
        second: JudgedSide = "b" if first == "a" else "a"
        outcomes: dict[str, Preference] = {"first": first, "second": second, "tie": "tie"}
        return JudgeTrial(
            first_shown=first,
            outcome=outcomes[verdict.verdict],
            reason=verdict.reason,
            prompt_sha256=sha256(prompt),
            reply=answer.text,
            prompt_tokens=answer.prompt_tokens,
            completion_tokens=answer.completion_tokens,
        )
