"""The leaderboard: facts from results, ratings and judgments, and the pages that show them."""

from pytest_embedbench.reports.leaderboard.build import build_leaderboard
from pytest_embedbench.reports.leaderboard.facts import Leaderboard
from pytest_embedbench.reports.leaderboard.write import write_leaderboard

__all__ = ["Leaderboard", "build_leaderboard", "write_leaderboard"]
