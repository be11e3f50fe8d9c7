"""The texts that probes encode: short, plain and different from each other."""

from __future__ import annotations

ANSWERS = {
    "why is the sky blue": "Air scatters short wavelengths of sunlight more than long ones, so the sky looks blue.",
    "how do vaccines protect people": "A vaccine trains the immune system to recognize a germ before an infection.",
    "what causes earthquakes": "Plates of rock in the crust stick along a fault, then slip and shake the ground.",
    "how is cheese made": "Milk is curdled with rennet, the whey is drained, and the curd is salted and aged.",
    "what does a central bank do": "It sets interest rates and controls the supply of money to keep prices stable.",
    "how do airplanes fly": "Wings push air downwards as a plane moves forward, which lifts it off the runway.",
    "who wrote romeo and juliet": "The tragedy about two young lovers in Verona is a play by William Shakespeare.",
    "how do bees make honey": "Workers collect nectar from flowers and dry it in the hive's wax cells.",
    "what is the capital of japan": "Tokyo, the seat of the Japanese government, has fourteen million inhabitants.",
    "how does a refrigerator work": "A compressor circulates a coolant that takes heat from inside to the back.",
    "why do leaves turn red in autumn": "Trees break down chlorophyll when days grow short, and other pigments show.",
    "how to train for a marathon": "Runners add distance every week, rest between long runs, and taper at last.",
}  # fmt: skip
"""Questions, each with its answer; no answer fits another question."""

PROBE_TEXTS = (*ANSWERS, *ANSWERS.values())

LONG_TEXT = " ".join(ANSWERS.values())
"""A longer text than any of those, to stand beside them in a batch; about 200 tokens."""

ODD_TEXTS = {
    "empty": "",
    "blank": "   \t ",
    "one letter": "a",
    "Chinese": "天空为什么是蓝色的",
    "Arabic": "لماذا السماء زرقاء؟",
    "Hindi": "आकाश नीला क्यों है?",
    "emoji": "🚀🌍 👩‍👩‍👧‍👦 ❤️",
    "control characters": "line one\r\nline two\x00\x07\x1b[31m\u200b\ufeff",
    "combining marks": "Z\u0351\u036b\u0343\u034da\u0300\u0301l\u0334g\u0335o\u0336",
    "one long word": "x" * 3000,
    "very long": LONG_TEXT * 20,
}
"""Texts that real corpora hold beside plain sentences, by what is unusual about them."""

WORDS = (
    "time", "year", "people", "way", "day", "man", "thing", "woman", "life", "child", "world", "school", "state",
    "family", "student", "group", "country", "problem", "hand", "part", "place", "case", "week", "company", "system",
    "program", "question", "work", "night", "point", "home", "water", "room", "mother", "area", "money", "story",
    "fact", "month", "lot", "right", "study", "book", "eye", "job", "word", "business", "issue", "side", "kind",
    "head", "house", "service", "friend", "father", "power", "hour", "game", "line", "end", "member", "law", "car",
    "city", "name", "team", "minute", "idea", "body", "back", "parent", "face", "level", "office", "door",
)  # fmt: skip
"""Common words, each one token in most vocabularies; ``OTHER_WORDS`` has none of them."""

OTHER_WORDS = ("violet", "hammer", "desert", "singing", "frozen", "tiger", "silver", "pepper")
"""Words that replace a part of a text made of ``WORDS``, to see whether the vector moves."""
