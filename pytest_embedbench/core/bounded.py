"""Types of numbers within ``bounds.py``, for whatever is decoded: msgspec refuses other numbers, NaN among them."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from pytest_embedbench.core import bounds

RequestTexts = Annotated[int, Meta(ge=1, le=bounds.MAX_REQUEST_TEXTS)]
RequestsInFlight = Annotated[int, Meta(ge=1, le=bounds.MAX_REQUESTS_IN_FLIGHT)]
BatchTokens = Annotated[int, Meta(ge=1, le=bounds.MAX_BATCH_TOKENS)]
TextTokens = Annotated[int, Meta(ge=1, le=bounds.MAX_TEXT_TOKENS)]
Dimensions = Annotated[int, Meta(ge=1, le=bounds.MAX_DIMENSIONS)]
Parameters = Annotated[int, Meta(ge=0, le=bounds.MAX_PARAMETERS)]
TimeoutSeconds = Annotated[float, Meta(gt=0, le=bounds.MAX_WAIT_SECONDS)]
WaitSeconds = Annotated[float, Meta(ge=0, le=bounds.MAX_WAIT_SECONDS)]
Retries = Annotated[int, Meta(ge=0, le=bounds.MAX_RETRIES)]
RequestsPerMinute = Annotated[float, Meta(ge=bounds.MIN_REQUESTS_PER_MINUTE, le=bounds.MAX_REQUESTS_PER_MINUTE)]
Price = Annotated[float, Meta(ge=0, le=bounds.MAX_PRICE)]
Slowdown = Annotated[float, Meta(gt=0, le=bounds.MAX_SLOWDOWN)]
Confidence = Annotated[float, Meta(ge=bounds.MIN_CONFIDENCE, le=bounds.MAX_CONFIDENCE)]
FieldInt = Annotated[int, Meta(ge=-(2**53), le=2**53)]
"""A whole number in a request's JSON: up to this, every reader gets the same number."""
FieldFloat = Annotated[float, Meta(ge=-1e300, le=1e300)]

Count = Annotated[int, Meta(ge=0, le=bounds.MAX_COUNT)]
"""A count in a stored file."""
Amount = Annotated[float, Meta(ge=-bounds.MAX_AMOUNT, le=bounds.MAX_AMOUNT)]
"""A measured value in a stored file."""
