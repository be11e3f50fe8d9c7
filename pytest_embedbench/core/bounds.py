"""Bounds of the numbers that users, files and servers give.

They are far beyond what makes sense, and far below what takes all memory, never ends or overflows. ``bounded.py`` has
the types that check them.
"""

from __future__ import annotations

MAX_REQUEST_TEXTS = 10_000
"""Texts of one request, or of one batch."""
MAX_REQUESTS_IN_FLIGHT = 10_000
"""Requests in flight at once; each has a thread or a connection of this process."""
MAX_BATCH_TOKENS = 100_000_000
"""Tokens of one batch."""
MAX_TEXT_TOKENS = 10_000_000
"""Tokens of one text: ten times the longest context of today."""
MAX_DIMENSIONS = 1_000_000
"""Dimensions of a vector."""
MAX_PARAMETERS = 10**15
"""Parameters of a model."""
MAX_WAIT_SECONDS = 604_800.0
"""Seconds of a week: a time-out, a patience, a wait."""
MAX_PROFILE_SECONDS = 86_400.0
"""Seconds of a day; a load profile measures a side for no longer."""
MAX_RETRIES = 1_000_000
"""Retries of a session."""
MIN_REQUESTS_PER_MINUTE, MAX_REQUESTS_PER_MINUTE = 0.01, 100_000_000.0
"""Pace of requests: one in 100 minutes, and more than any process sends."""
MAX_REQUESTS_PER_SECOND = 1_000_000
"""Rate of an open loop; far above what one process can send."""
MAX_PRICE = 1_000_000.0
"""US dollars of a million tokens."""
MAX_SLOWDOWN = 1_000.0
"""Ratio of two models' times."""
MIN_CONFIDENCE, MAX_CONFIDENCE = 0.01, 0.999_999
"""Confidence of intervals and comparisons; closer to 1 than this, no sample is large enough."""
MAX_ROUNDS = 100_000
"""Rounds of a bootstrap; each keeps a rating of every model."""
MAX_SEED = 2**32 - 1
"""Seed of a random generator."""
MAX_SHOWN_QUERIES = 100_000
"""Queries that a page shows, or that a judge is asked about."""
MAX_DEPTH = 100_000
"""Documents of a ranking, and so the largest cut-off of a metric; no collection is judged so deep."""
MAX_CHARACTERS = 10_000_000
"""Characters of a text that a prompt quotes."""
MAX_DAYS = 36_500.0
"""Days of a hundred years."""
MAX_COUNT = 10**15
"""A count in a stored file, e.g. of bytes or tokens."""
MAX_AMOUNT = 1e15
"""A measured value in a stored file, and with a minus sign the smallest one."""
