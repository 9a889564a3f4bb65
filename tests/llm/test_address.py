"""The key of a server goes nowhere else."""

from tema_lib.llm.address import server_key


def test_openais_key_goes_to_openai_only(monkeypatch):
    monkeypatch.delenv("TEMA_API_KEY", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    assert server_key("https://api.openai.com/v1") == "sk-openai"
    for url in (
        "http://api.openai.com/v1",
        "https://api.openai.com.example/v1",
        "http://127.0.0.1:8000/v1",
    ):
        assert server_key(url) == ""
    monkeypatch.setenv("TEMA_API_KEY", "mine")
    assert (
        server_key("https://api.openai.com/v1") == server_key("http://127.0.0.1:8000/v1") == "mine"
    )
