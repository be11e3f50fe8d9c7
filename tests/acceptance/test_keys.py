"""A key that a server returns is in nothing that a session shows or writes, in no form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.key_forms import FORMS, KEY, shows

if TYPE_CHECKING:
    import pytest

    from tests.acceptance.conftest import Project
    from tests.conftest import FakeServer


def test_a_server_that_echoes_its_headers_shows_no_key(
    project: Project, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.data()
    project.write(
        "embedbench.toml",
        f"""
        [embedbench]
        models = ["served"]
        datasets = ["facts"]

        [models.served]
        kind = "endpoint"
        model = "some-model"
        url = "{server.url}"
        api_key_env = "SERVED_KEY"
        """,
    )
    monkeypatch.setenv("SERVED_KEY", KEY)
    body = " ".join(FORMS.values())
    server.behave(default={"kind": "status", "status": 401, "body": body, "echo": True})
    result = project.run("--showlocals", "--junitxml=junit.xml", "-v")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*HTTP 401: [[]API key[]] *"])
    assert server.seen()[0]["authorization"] == f"Bearer {KEY}"
    assert not shows(result.stdout.str() + result.stderr.str())
    files = [path for path in project.folder.rglob("*") if path.is_file()]
    assert project.folder / "junit.xml" in files
    assert not [path for path in files if shows(path.read_bytes().decode(errors="replace"))]
