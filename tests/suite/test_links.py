"""Links in definitions are addresses of the web, or an error when the suite is read."""

from __future__ import annotations

import pytest

from pytest_embedbench.errors import ConfigurationError
from pytest_embedbench.models.spec import ModelSpec
from pytest_embedbench.suite.kinds import checked_kind
from pytest_embedbench.suite.links import check_links


@pytest.mark.parametrize(
    "address",
    ["javascript:alert(1)", "//host/page", "www.host.org", "ftp://host/file", "https://", "https://[::1", "not a url"],
)
def test_what_is_no_address_of_the_web_names_its_key(address: str) -> None:
    with pytest.raises(ConfigurationError, match="is not an address that begins with https") as caught:
        check_links({"reference": address}, "embedbench.toml: datasets.facts")
    assert caught.value.where == "embedbench.toml: datasets.facts.reference"
    with pytest.raises(ConfigurationError) as caught:
        checked_kind(ModelSpec(path="x", source=address), "embedbench.toml: models.m")
    assert caught.value.where == "embedbench.toml: models.m.source"


@pytest.mark.parametrize("address", ["", "https://host.org/page?x=1#y", "HTTP://host", "http://[::1]:80/"])
def test_addresses_of_the_web_pass(address: str) -> None:
    check_links({"source": address}, "here")
    assert checked_kind(ModelSpec(path="x", source=address), "here").source == address
