"""Names of models in settings, and the way back from a queue to its model."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreman.core.queues import (
    JobClass,
    Residency,
    canonical_name,
    class_queue,
    model_names,
    queue_model,
)


def test_names_become_canonical_and_each_comes_once() -> None:
    assert model_names(" Qwen3, nomic-embed-text:v1.5 ,library/qwen3:latest,") == (
        "qwen3:latest",
        "nomic-embed-text:v1.5",
    )


@pytest.mark.parametrize("text", ["a b", "ok,a:", "../etc", "x:cloud", "gpt-oss:120b-cloud"])
def test_a_name_that_no_target_could_load_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no name of a model|runs elsewhere"):
        model_names(text)


names = st.from_regex(r"([a-z0-9_][a-z0-9_.-]{0,19}/)?[a-z0-9_][a-z0-9_.-]{0,19}(:[a-z0-9_]{1,9})?")


@given(
    name=names, options=st.sampled_from(["", '{"num_ctx":1}']), job_class=st.sampled_from(JobClass)
)
def test_a_queue_names_its_model(name: str, options: str, job_class: JobClass) -> None:
    model = canonical_name(name)

    if model is not None:
        assert queue_model(class_queue(Residency(model, options).queue, job_class)) == model


def test_a_queue_whose_name_was_cut_names_no_model() -> None:
    model = "host.example:5000/" + "n" * 80 + "/" + "m" * 80 + ":" + "t" * 80

    assert queue_model(Residency(model).queue) is None
