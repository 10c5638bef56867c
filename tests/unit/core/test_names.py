"""Model names: which spellings mean the same model (facts on Ollama, 2.7)."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreman.core.queues import canonical_name, is_cloud_name

SPELLINGS = {
    "m": "m:latest",
    "M": "m:latest",
    "m:latest": "m:latest",
    "m:LATEST": "m:latest",
    "m:local": "m:latest",
    "M:Local": "m:latest",
    "  m \n": "m:latest",
    "library/m": "m:latest",
    "Library/M": "m:latest",
    "registry.ollama.ai/library/m": "m:latest",
    "Registry.Ollama.AI/library/m:latest": "m:latest",
    "m:7b": "m:7b",
    "m:7b:local": "m:7b",
    "library/m:7B": "m:7b",
    "me/m": "me/m:latest",
    "registry.ollama.ai/me/m:1": "me/m:1",
    "hf.co/me/M-GGUF:Q4_K_M": "hf.co/me/m-gguf:q4_k_m",
    "hf.co/library/m": "hf.co/library/m:latest",
    # The last colon is a tag's only when it stands after the last slash.
    "localhost:5000/me/m": "localhost:5000/me/m:latest",
    "localhost:5000/me/m:7b": "localhost:5000/me/m:7b",
    "_m": "_m:latest",
    "llama3.2": "llama3.2:latest",
    "all-minilm_2": "all-minilm_2:latest",
    "m" * 80: "m" * 80 + ":latest",
    "m:" + "t" * 80: "m:" + "t" * 80,
    "n" * 80 + "/m": "n" * 80 + "/m:latest",
    "h" * 350 + "/n/m": "h" * 350 + "/n/m:latest",
    # Ollama's parser takes a URL of a registry as well.
    "https://hf.co/me/m": "hf.co/me/m:latest",
}

INVALID = [
    "", " ", "/", ":", "m:", ":7b", "/m", "m/", "a//m", "a/b/c/d", "m m", "m!", "ü", "m:7b:x",
    "me:7b/m:1:2", "-m", ".m", "m:-x", "m:.x", "-n/m", "n.s/m", "hf.co/n.s/m", "m" * 81,
    "m:" + "t" * 81, "n" * 81 + "/m", "h" * 351 + "/n/m", "m\0", "m\n7",
    "\u212a",  # KELVIN SIGN: its lower case is an ASCII k, Ollama reads bytes
    "m:local:local", "\x1fm",
]  # fmt: skip


@pytest.mark.parametrize(("name", "canonical"), SPELLINGS.items())
def test_all_spellings_of_a_model_have_one_canonical_name(name: str, canonical: str) -> None:
    assert canonical_name(name) == canonical


@pytest.mark.parametrize("name", INVALID)
def test_a_name_that_ollama_calls_invalid_has_no_canonical_name(name: str) -> None:
    assert canonical_name(name) is None


part = st.text(string.ascii_letters + string.digits + "_", min_size=1, max_size=12)
pieces = st.sampled_from(
    ["m", "M", "7b", "local", "latest", "library", "registry.ollama.ai", ":", "/", ".", "-", " "]
)
names = st.lists(pieces, max_size=8).map("".join) | st.text(max_size=40)


@given(name=names)
def test_a_canonical_name_is_its_own_canonical_name(name: str) -> None:
    canonical = canonical_name(name)

    if canonical is not None:
        assert canonical_name(canonical) == canonical


@given(model=part, tag=part, data=st.data())
def test_case_and_defaults_that_are_written_out_change_nothing(
    model: str, tag: str, data: st.DataObject
) -> None:
    prefix = data.draw(st.sampled_from(["", "library/", "registry.ollama.ai/library/"]))
    suffix = data.draw(st.sampled_from(["", ":local"]))
    change = data.draw(st.sampled_from([str.upper, str.lower, str.title]))
    full = f"{prefix}{model}:{tag}{suffix}"

    assert canonical_name(change(full)) == canonical_name(f"{model}:{tag}")


@pytest.mark.parametrize(
    "name", ["m:cloud", "M:CLOUD", " m:cloud ", "m:20b-cloud", "m:20b-Cloud", "me/m:cloud"]
)
def test_a_cloud_name_needs_no_gpu_of_ours(name: str) -> None:
    assert is_cloud_name(name)


@pytest.mark.parametrize(
    "name",
    ["", "m", "cloud", "m-cloud", "cloud:latest", "m:cloudy", "localhost:5000/me/m-cloud"],
)
def test_a_name_that_only_looks_like_a_cloud_name_is_a_model_of_ours(name: str) -> None:
    assert not is_cloud_name(name)
