"""Networks of the model contract run and describe themselves; all others are refused with the reason."""

import math

import numpy as np
import pytest
from onnx_models import write_model

from blur_imu_ros.errors import ImageError, ModelError
from blur_imu_ros.model import providers
from blur_imu_ros.model.spec import UNKNOWN_FLOW_SIGMA_PX
from blur_imu_ros.network import (
    LEAST_INVERSE_DEPTH,
    FlowDepthNetwork,
    FlowRepresentation,
    Provider,
)

NOISE = np.random.default_rng(0).integers(0, 256, (224, 320, 3), np.uint8)


def load(path, **options) -> FlowDepthNetwork:
    return FlowDepthNetwork(path, provider=options.pop("provider", Provider.CPU), threads=1, **options)


@pytest.mark.parametrize("representation", FlowRepresentation)
@pytest.mark.parametrize("stride", [1, 2, 4, 8, 16])
def test_outputs_reach_the_prediction(tmp_path, representation, stride):
    rows, columns = 224 // stride, 320 // stride
    flow = np.random.default_rng(0).normal(size=(2, rows, columns)).astype(np.float32)
    depth = np.linspace(0.1, 2.0, rows * columns, dtype=np.float32).reshape(rows, columns)
    path = write_model(
        tmp_path / "net.onnx",
        stride=stride,
        flow=flow,
        inverse_depth=depth,
        flow_log_sigma=-0.5,
        inverse_depth_log_sigma=-1.5,
        metadata={"flow_representation": representation.value},
    )
    prediction = load(path).predict(NOISE)
    assert np.array_equal(prediction.flow, flow)
    assert np.array_equal(prediction.inverse_depth, depth)
    assert (prediction.flow_log_sigma == -0.5).all()
    assert (prediction.inverse_depth_log_sigma == -1.5).all()
    assert prediction.flow_log_sigma.shape == (rows, columns)
    assert prediction.representation is representation


def test_the_image_reaches_the_network(tmp_path):
    network = load(write_model(tmp_path / "net.onnx", flow=(0.0, 0.0), brightness_gain=51.0))
    image = np.zeros((224, 320, 3), np.uint8)
    image[4:8, 8:12] = 255
    image[100:104, 200:204, 0] = 255
    flow = network.predict(image).flow
    assert flow[0, 1, 2] == pytest.approx(51)
    assert flow[0, 25, 50] == pytest.approx(17)
    assert flow[0].sum() == pytest.approx(68)
    assert not network.predict(np.zeros_like(image)).flow.any()


def test_spec_holds_the_metadata(tmp_path):
    path = write_model(
        tmp_path / "net.onnx", metadata={"covariance_scale": "[1, 2, 3, 4, 5, 6.5]", "min_blur_px": "0.7"}
    )
    spec = load(path).spec
    assert (spec.name, spec.path) == ("net", path)
    assert (spec.width, spec.height, spec.stride, spec.focal_px) == (320, 224, 4, 250.8)
    assert spec.covariance_scale == (1, 2, 3, 4, 5, 6.5)
    assert (spec.independent_fraction, spec.depth_scale_sigma, spec.min_blur_px) == (0.01, 0.1, 0.7)
    assert (spec.training_run, spec.licence) == ("made by a test", "Apache-2.0")
    assert spec.has_depth_sigma
    assert len(spec.sha256) == 64


def test_missing_sigmas_and_calibration_get_defaults_and_notes(tmp_path):
    keys = (
        "independent_fraction",
        "covariance_scale",
        "depth_scale_sigma",
        "min_blur_px",
        "stride",
        "flow_unit",
    )
    depth = np.full((56, 80), 0.5, np.float32)
    depth[:, :40] = -0.1
    path = write_model(
        tmp_path / "net.onnx",
        inverse_depth=depth,
        flow_log_sigma=None,
        inverse_depth_log_sigma=None,
        metadata=dict.fromkeys((*keys, "training_run", "licence")),
    )
    network = load(path)
    prediction = network.predict(NOISE)
    assert (prediction.flow_log_sigma == 0).all()
    assert np.allclose(prediction.inverse_depth_log_sigma[:, 40:], math.log(0.15))
    assert np.allclose(prediction.inverse_depth_log_sigma[:, :40], math.log(0.3 * 0.05))
    assert (prediction.inverse_depth[:, :40] == np.float32(LEAST_INVERSE_DEPTH)).all()
    notes = "\n".join(network.spec.notes)
    for key in (*keys, "flow_log_sigma", "inverse_depth_log_sigma"):
        assert f"no {key}" in notes or f"no output {key}" in notes
    assert network.spec.licence == "unknown"


@pytest.mark.parametrize("sigma", [-1.0, None])
def test_blank_parts_of_an_image_say_nothing(tmp_path, sigma):
    network = load(write_model(tmp_path / "net.onnx", flow_log_sigma=sigma))
    usual = network.predict(NOISE).flow_log_sigma.copy()
    assert (usual == (0 if sigma is None else sigma)).all()
    for level in (0, 90, 255):
        half = NOISE.copy()
        half[:112] = level
        found = network.predict(half).flow_log_sigma
        # A cell beside the border between both is told by its surroundings.
        assert (found[:26] == np.float32(np.log(UNKNOWN_FLOW_SIGMA_PX))).all()
        assert np.array_equal(found[28:], usual[28:])
    spotted = NOISE.copy()
    # Of three cells by three the middle one alone is blank.
    spotted[40:52, 100:112] = 255
    for image in (spotted, NOISE):
        assert np.array_equal(network.predict(image).flow_log_sigma, usual)


def test_extreme_sigmas_are_limited(tmp_path):
    prediction = load(
        write_model(tmp_path / "net.onnx", flow_log_sigma=5000.0, inverse_depth_log_sigma=-300.0)
    ).predict(NOISE)
    assert np.isfinite(np.exp(prediction.flow_log_sigma)).all()
    assert (np.exp(prediction.inverse_depth_log_sigma) > 0).all()


@pytest.mark.parametrize("field", ["flow", "flow_log_sigma", "inverse_depth", "inverse_depth_log_sigma"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_non_finite_output_is_refused_by_name(tmp_path, field, value):
    values = np.zeros((2, 56, 80) if field == "flow" else (56, 80), np.float32)
    values[..., 3, 5] = value
    with pytest.raises(ModelError, match=rf"net.onnx.*[12] of \d+ non-finite values in '{field}'"):
        load(write_model(tmp_path / "net.onnx", **{field: values}))


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"metadata": {"focal_px": None}}, "'focal_px' is missing"),
        ({"metadata": {"focal_px": "wide"}}, "'focal_px' is 'wide'"),
        ({"metadata": {"focal_px": "nan"}}, "'focal_px' is 'nan'"),
        ({"metadata": {"focal_px": "0"}}, "'focal_px' is '0'"),
        ({"metadata": {"stride": "8"}}, "'stride' is 8 but the outputs have stride 4"),
        ({"metadata": {"flow_representation": None}}, "'flow_representation' is missing"),
        ({"metadata": {"flow_representation": "polar"}}, "'polar', not 'signed' or 'double_angle'"),
        ({"metadata": {"flow_unit": "metres"}}, "'flow_unit' is 'metres'"),
        ({"metadata": {"covariance_scale": "1,1,1"}}, "not 6 numbers"),
        ({"metadata": {"covariance_scale": "1,1,1,1,1,-1"}}, "not 6 numbers"),
        ({"metadata": {"independent_fraction": "2"}}, "'independent_fraction' is '2'"),
        ({"metadata": {"error_correlation_px": "-1"}}, "'error_correlation_px' is '-1'"),
        ({"rename": {"image": "input"}}, r"inputs are \['input'\]"),
        ({"rename": {"flow": "motion"}}, r"missing \['flow'\], unknown \['motion'\]"),
        ({"channels_first": True}, r"tensor\(uint8\) \[1, 3, 224, 320\]"),
        ({"float_input": True}, r"tensor\(float\) \[1, 224, 320, 3\]"),
        ({"dynamic": True}, "of fixed size"),
        ({"external_data": True}, "weights lie in another file"),
        ({"domain": "com.example"}, r"outside the ONNX standard \(com.example\)"),
        ({"opset": 9}, "operator set 9 is older"),
        ({"opset": 9999}, "onnxruntime .* cannot load it"),
        ({"stride": 32, "metadata": {"stride": "32"}}, "stride of 1, 2, 4, 8 or 16"),
    ],
)
def test_networks_outside_the_contract_are_refused(tmp_path, broken, message):
    with pytest.raises(ModelError, match=f"net.onnx: .*{message}"):
        load(write_model(tmp_path / "net.onnx", **broken))


def test_external_data_in_an_attribute_of_a_subgraph_is_found(tmp_path):
    import onnx
    from onnx import helper

    path = write_model(tmp_path / "net.onnx")
    model = onnx.load(path)
    hidden = helper.make_tensor("hidden", onnx.TensorProto.FLOAT, [1], [0.0])
    hidden.data_location = onnx.TensorProto.EXTERNAL
    constant = helper.make_node("Constant", [], ["value"], value=hidden)
    branch = helper.make_graph([constant], "branch", [], [helper.make_tensor_value_info("value", 1, [1])])
    model.graph.node.append(
        helper.make_node("If", ["blocks"], ["unused"], then_branch=branch, else_branch=branch)
    )
    onnx.save_model(model, str(path))
    with pytest.raises(ModelError, match="weights lie in another file"):
        load(path)


def test_damaged_files_are_refused(tmp_path):
    whole = write_model(tmp_path / "net.onnx").read_bytes()
    damaged = tmp_path / "damaged.onnx"
    generator = np.random.default_rng(3)
    for data in (
        b"",
        b"garbage",
        b"\x80\x04.",
        bytes(64),
        whole[:100],
        whole[: len(whole) // 2],
        whole[:-1],
        generator.bytes(5000),
    ):
        damaged.write_bytes(data)
        with pytest.raises(ModelError, match=r"damaged\.onnx: "):
            load(damaged)


@pytest.mark.parametrize("image", [NOISE[:-1], NOISE.astype(np.float32), NOISE[..., 0], NOISE[None]])
def test_wrong_input_is_refused(tmp_path, image):
    network = load(write_model(tmp_path / "net.onnx"))
    with pytest.raises(ImageError, match=r"instead of uint8 \[224, 320, 3\]"):
        network.predict(image)


def test_strided_input_is_accepted(tmp_path):
    network = load(write_model(tmp_path / "net.onnx"))
    assert (network.predict(np.full((224, 320, 3), 7, np.uint8)[:, ::-1, ::-1]).flow[0] == 3).all()


def test_a_closed_network_says_so(tmp_path):
    network = load(write_model(tmp_path / "net.onnx"))
    network.close()
    with pytest.raises(ModelError, match="closed"):
        network.predict(NOISE)


def test_auto_runs_somewhere_and_says_where(tmp_path):
    network = load(write_model(tmp_path / "net.onnx"), provider=Provider.AUTO)
    assert "asked for: auto; available: " in network.provider_message
    assert "runs on c" in network.provider_message
    assert network.predict(NOISE).flow[0, 0, 0] == 3


@pytest.mark.parametrize("provider", [Provider.CUDA, Provider.TENSORRT])
def test_an_absent_provider_is_refused_with_the_cure(tmp_path, provider):
    import onnxruntime

    if f"{provider.value}executionprovider" in (
        name.lower() for name in onnxruntime.get_available_providers()
    ):
        pytest.skip(f"this onnxruntime has {provider.value}")
    with pytest.raises(ModelError, match=rf"{provider.value} was asked for but.* only .*cpu.*\[gpu\]"):
        load(write_model(tmp_path / "net.onnx"), provider=provider)


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_provider_that_does_not_start_is_noticed(tmp_path, monkeypatch):
    """ONNX Runtime then runs on the CPU without an error; only its availability is pretended here."""
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has cuda")
    path = write_model(tmp_path / "net.onnx")
    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )
    monkeypatch.setattr(providers, "_GPU_NODES", (str(tmp_path),))
    with pytest.raises(
        ModelError, match=r"cuda was asked for .* did not start \(cpu runs instead\).*nvidia-smi"
    ):
        load(path, provider=Provider.CUDA)
    network = load(path, provider=Provider.AUTO)
    assert "available: cuda, cpu); cuda did not start" in network.provider_message
    assert FlowDepthNetwork("large").spec.name == "blur_imu_640_int8", "that for a CPU, not that for a GPU"


def test_an_output_of_another_size_than_declared_is_refused(tmp_path):
    """Its size comes from the image's values, so only running the graph shows it; memory must not be overrun."""
    import onnx
    from onnx import helper, numpy_helper

    path = write_model(tmp_path / "net.onnx", rename={"inverse_depth": "declared"})
    model = onnx.load(path)
    larger = numpy_helper.from_array(np.array([1, 1, 112, 160], np.int64), "larger")
    model.graph.initializer.append(larger)
    model.graph.node.extend(
        [
            helper.make_node("ReduceMin", ["float_image"], ["least"], keepdims=0),
            helper.make_node("Cast", ["least"], ["whole"], to=onnx.TensorProto.INT64),
            helper.make_node("Sub", ["whole", "whole"], ["nought"]),
            helper.make_node("Add", ["larger", "nought"], ["shape"]),
            helper.make_node("Expand", ["least", "shape"], ["inverse_depth"]),
        ]
    )
    del model.graph.output[2]
    model.graph.output.append(helper.make_tensor_value_info("inverse_depth", 1, [1, 1, 56, 80]))
    onnx.save_model(model, str(path))
    with pytest.raises(ModelError, match=r"net.onnx: .*(failed to run|instead of)"):
        load(path)


def test_an_unbounded_input_is_refused(tmp_path):
    import onnx

    path = write_model(tmp_path / "net.onnx")
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 10**7
    onnx.save_model(model, str(path))
    with pytest.raises(ModelError, match=r"net.onnx: "):
        load(path)
