"""Tokens, hosts and origins."""

from __future__ import annotations

import base64
import resource

import pytest

from parammem.errors import ConfigError, ServiceError
from parammem.service.access import is_from_a_page, is_local, presented
from parammem.service.listening import allow_many_connections, checked_token, listen, upstream_key


@pytest.mark.parametrize(
    "headers",
    [
        {"x-parammem-token": "secret", "authorization": "Bearer sk-upstream"},
        {"authorization": "Bearer secret"},
        {"authorization": "bearer  secret "},
    ],
)
def test_token_is_read_where_it_may_stand(headers):
    assert presented(headers) == "secret"


@pytest.mark.parametrize("given", ["", "Bearer", "Digest x", "Basic " + base64.b64encode(b"anyone:secret").decode()])
def test_what_is_no_token_is_none(given):
    assert presented({"authorization": given}) == ""


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8010", "localhost:1", "[::1]:8010", "a.localhost"])
def test_this_machine(host):
    assert is_local(host)


@pytest.mark.parametrize("host", ["", "evil.example", "127.0.0.1.evil.example", "0.0.0.0", "[::", "localhost.x"])
def test_other_machines(host):
    assert not is_local(host)


def test_pages_of_other_hosts():
    here = {"host": "127.0.0.1:8010"}
    assert not is_from_a_page(here)
    assert not is_from_a_page({**here, "origin": "http://127.0.0.1:8010"})
    assert is_from_a_page({**here, "origin": "null"})
    assert is_from_a_page({**here, "origin": "https://evil.example"})


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "example.org"])
def test_other_hosts_need_a_token(host, monkeypatch):
    monkeypatch.delenv("PARAMMEM_TOKEN", raising=False)
    with pytest.raises(ConfigError, match="PARAMMEM_TOKEN"):
        checked_token(host, "PARAMMEM_TOKEN")
    monkeypatch.setenv("PARAMMEM_TOKEN", "t" * 32)
    assert checked_token(host, "PARAMMEM_TOKEN") == "t" * 32


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_this_machine_needs_none(host, monkeypatch):
    monkeypatch.delenv("PARAMMEM_TOKEN", raising=False)
    assert checked_token(host, "PARAMMEM_TOKEN") == ""


def test_a_short_token_is_refused(monkeypatch):
    monkeypatch.setenv("PARAMMEM_TOKEN", "secret")
    with pytest.raises(ConfigError, match="16 or more"):
        checked_token("127.0.0.1", "PARAMMEM_TOKEN")


def test_a_key_that_is_named_must_be_there(monkeypatch):
    monkeypatch.delenv("UPSTREAM_KEY", raising=False)
    assert upstream_key("") == ""
    with pytest.raises(ConfigError, match="UPSTREAM_KEY"):
        upstream_key("UPSTREAM_KEY")


def test_a_port_that_is_taken_is_named():
    with listen("127.0.0.1", 0) as taken, pytest.raises(ServiceError, match="cannot listen on 127"):
        listen("127.0.0.1", taken.getsockname()[1])


def test_as_many_connections_as_the_system_allows():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, before[1]), before[1]))
    try:
        allow_many_connections()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
