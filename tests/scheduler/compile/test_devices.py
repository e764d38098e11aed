"""Names of devices."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weftwork.graph.devices import DeviceSpec, merge

SPECS = st.builds(
    DeviceSpec,
    job=st.none() | st.sampled_from(["worker", "ps"]),
    replica=st.none() | st.integers(0, 3),
    task=st.none() | st.integers(0, 3),
    device_type=st.none() | st.sampled_from(["CPU", "GPU"]),
).flatmap(
    lambda s: (
        st.just(s)
        if s.device_type is None
        else st.builds(
            DeviceSpec,
            job=st.just(s.job),
            replica=st.just(s.replica),
            task=st.just(s.task),
            device_type=st.just(s.device_type),
            device_index=st.none() | st.integers(0, 3),
        )
    )
)


@pytest.mark.parametrize(
    ("given_text", "canonical"),
    [
        ("", ""),
        ("/cpu:0", "/device:CPU:0"),
        ("cpu:0", "/device:CPU:0"),
        ("/gpu:*", "/device:GPU:*"),
        ("/GPU:1", "/device:GPU:1"),
        ("/device:GPU:1", "/device:GPU:1"),
        ("/device:gpu:1", "/device:GPU:1"),
        ("/job:worker/replica:0/task:1/device:CPU:0", "/job:worker/replica:0/task:1/device:CPU:0"),
        ("/task:1/job:ps", "/job:ps/task:1"),
        ("/job:w/task:*", "/job:w"),
    ],
)
def test_a_name_has_one_canonical_form(given_text, canonical):
    assert DeviceSpec.from_string(given_text).to_string() == canonical


@given(SPECS)
def test_the_canonical_form_reads_back_as_the_same_device(spec):
    assert DeviceSpec.from_string(spec.to_string()) == spec


@pytest.mark.parametrize(
    ("junk", "name"),
    [
        ("/x:1", "x"),
        ("/cpu:a", "cpu"),
        ("/job", "job"),
        ("/device:CPU:0:1", "device"),
        ("/device:*", "device"),
        ("nonsense", "nonsense"),
    ],
)
def test_an_unknown_part_is_named(junk, name):
    text = re.escape(f"Unknown attribute: '{name}' in '{junk}'")
    with pytest.raises(ValueError, match=f"^{text}$"):
        DeviceSpec.from_string(junk)


def test_two_device_types_contradict_each_other():
    with pytest.raises(ValueError, match="more than one device type"):
        DeviceSpec.from_string("/cpu:0/gpu:0")


def test_fields_may_be_given_by_keyword():
    spec = DeviceSpec(job="ps", task=0, device_type="gpu", device_index=1)
    assert str(spec) == "/job:ps/task:0/device:GPU:1"
    assert (spec.job, spec.replica, spec.task, spec.device_type, spec.device_index) == ("ps", None, 0, "GPU", 1)


@pytest.mark.parametrize(
    ("outer", "inner", "merged"),
    [
        ("/job:w/task:0", "/task:1", "/job:w/task:1"),
        ("/job:w", "/cpu:0", "/job:w/device:CPU:0"),
        ("/job:w/device:GPU:1", "/job:ps", "/job:ps/device:GPU:1"),
        ("/device:GPU:1", "/device:GPU:*", "/device:GPU:1"),
        ("/cpu:0", "", "/device:CPU:0"),
        ("", "", ""),
    ],
)
def test_the_inner_request_wins_field_by_field(outer, inner, merged):
    assert merge(outer, inner) == merged


@given(SPECS, SPECS)
def test_merging_strings_and_specs_is_the_same(outer, inner):
    assert merge(str(outer), str(inner)) == str(outer.make_merged_spec(inner))
