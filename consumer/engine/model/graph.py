"""Whisper's encoder as an OpenVINO graph on the CPU: the only file that imports openvino (lazily: it may be absent).

Builds the graph from the weights of a ctranslate2 model, compiles it and runs it from many threads. Never decides
whether it should be used (encoder.py does).
"""

import importlib
import queue
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Literal

import numpy as np

from sttd.consumer.engine.model.model_file import Floats
from sttd.consumer.engine.model.weights import EncoderFile, EncoderUnavailable, Matrix
from sttd.consumer.errors import first_line

Precision = Literal["bf16", "int8", "f32"]

EPSILON: Final = 1e-5  # of the layer norms, in ctranslate2 as in the original
# activations are rounded to int8 in groups of so many: one large value does not coarsen the others
GROUPS: Final = (128, 64, 32)


def library() -> Any:
    """Import openvino. Raises `EncoderUnavailable` when it is not installed or does not load."""
    # By default the import of openvino reports itself to its makers over the network (through openvino_telemetry, which
    # its wheel brings). None here makes that import fail, for which openvino has a silent stand-in.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # documented: None halts the import
    try:
        return importlib.import_module("openvino")
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name == "openvino"
        raise EncoderUnavailable(
            "openvino is not installed" if missing else f"openvino does not load: {first_line(error)}"
        ) from error


def version() -> str:
    """OpenVINO's full version, build included. Raises `EncoderUnavailable` as `library` does."""
    return str(library().__version__)


class CompiledEncoder:
    """The encoder, ready to run: `slots` calls at a time, one core each.

    Its methods block and release the interpreter.
    """

    def __init__(self, file: EncoderFile, precision: Precision, slots: int) -> None:
        """Build and compile, in about the time that one encode takes.

        `file`: the weights; `precision`: of the arithmetic; `slots`: calls at a time. Raises `EncoderUnavailable`.
        """
        openvino = library()
        self.name: Final = f"OpenVINO {'.'.join(openvino.__version__.split('.')[:2])} encoder"
        self.precision: Final = precision
        self._window = (file.mels, 2 * file.positions)
        self._encoded = (file.positions, file.width)
        self._tensor = openvino.Tensor
        # In a thread that ends with it: OpenVINO gives the thread it first compiles in an alternate signal stack, and
        # frees that stack with the last compiled model, wherever that happens. The next signal in a thread that still
        # had it would be a SIGSEGV.
        with ThreadPoolExecutor(1, "sttd-compile") as once:
            requests = once.submit(self._compiled, openvino, file, precision, slots).result()
        # A request of its own for each call, and OpenVINO's own threads to run it (start_async): a plain infer() would
        # run in the caller's thread, and OpenVINO then shares out its compiled copies by thread, two busy threads on
        # one copy.
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for request in requests:
            self._idle.put(request)

    @staticmethod
    def _compiled(openvino: Any, file: EncoderFile, precision: Precision, slots: int) -> list[Any]:
        """A request for each slot; each keeps the compiled model alive."""
        try:
            compiled = openvino.Core().compile_model(
                _Builder(file, precision).model(), "CPU", _configuration(file, precision, slots)
            )
            if precision == "bf16":
                refuse_slow_products(_product_kernels(compiled))
            return [compiled.create_infer_request() for _ in range(slots)]
        except (RuntimeError, MemoryError) as error:
            raise EncoderUnavailable(f"OpenVINO does not compile the encoder: {first_line(error)}") from error

    def takes(self, shape: tuple[int, ...]) -> bool:
        """Whether mel bands of this shape are whole windows of 30 s. The graph is compiled for those alone.

        A graph for any length is 2 % slower on those and takes 33 MiB more (base); other lengths are rare.
        """
        return shape[1:] == self._window

    def encode(self, mel: Floats) -> Floats:
        """Whole windows, shape (windows, bands, 3000) -> (windows, 1500, width), in an array of its own.

        More than `slots` calls at a time wait for each other. Raises `EncoderUnavailable` when OpenVINO fails.
        """
        encoded = np.empty((mel.shape[0], *self._encoded), np.float32)
        request = self._idle.get()
        try:
            for index in range(mel.shape[0]):
                self._run(request, mel[index : index + 1], encoded[index : index + 1])
        except (RuntimeError, MemoryError) as error:
            raise EncoderUnavailable(f"OpenVINO does not encode: {first_line(error)}") from error
        finally:
            self._idle.put(request)
        return encoded

    def _run(self, request: Any, mel: Floats, encoded: Floats) -> None:
        request.set_output_tensor(self._tensor(encoded, shared_memory=True))
        request.start_async({0: np.ascontiguousarray(mel)}, share_inputs=True)
        request.wait()


def _configuration(file: EncoderFile, precision: Precision, slots: int) -> dict[str, Any]:
    group = next((size for size in GROUPS if file.width % size == 0), GROUPS[-1])
    return {
        "NUM_STREAMS": slots,
        "INFERENCE_NUM_THREADS": slots,
        "ENABLE_CPU_PINNING": False,  # ctranslate2's threads run beside them, and other processes on the same cores
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": group if precision == "int8" else 0,
    }


def _product_kernels(compiled: Any) -> list[str]:
    """The names of the kernels that compute the matrix products, such as `brgemm_avx512_amx_bf16`."""
    facts = [node.get_rt_info() for node in compiled.get_runtime_model().get_ordered_ops()]
    products = [fact for fact in facts if "layerType" in fact and fact["layerType"].astype(str) == "FullyConnected"]
    return [str(fact["primitiveType"].astype(str)) for fact in products]


def refuse_slow_products(kernels: Sequence[str]) -> None:
    """Raises `EncoderUnavailable` for bfloat16 products without AMX.

    `kernels`: their names. The CPU's flags are no proof: with oneDNN capped below AMX it is `jit_gemm_bf16`, and
    one encode took more than 20 s instead of 0.2.
    """
    if not kernels or not all("amx" in kernel for kernel in kernels):
        found = ", ".join(sorted(set(kernels))) or "none"
        raise EncoderUnavailable(f"OpenVINO computes no bfloat16 with AMX here (kernels: {found})")


class _Builder:
    """Puts the graph together, layer by layer, for one whole window."""

    def __init__(self, file: EncoderFile, precision: Precision) -> None:
        self._file = file
        self._int8 = precision == "int8"
        self._openvino = library()
        self._op = importlib.import_module("openvino.opset13")

    def model(self) -> Any:
        op, file = self._op, self._file
        mel = op.parameter([1, file.mels, 2 * file.positions], np.float32, name="mel")
        flow = self._convolution(mel, "conv1", stride=1)
        flow = self._convolution(flow, "conv2", stride=2)
        flow = op.add(op.transpose(flow, [0, 2, 1]), op.constant(file.vector("position_encodings/encodings")[None]))
        for layer in range(file.layers):
            flow = op.add(flow, self._attention(flow, f"layer_{layer}/self_attention"))
            flow = op.add(flow, self._feed_forward(flow, f"layer_{layer}/ffn"))
        return self._openvino.Model([self._norm(flow, "layer_norm")], [mel], "encoder")

    def _convolution(self, flow: Any, name: str, *, stride: int) -> Any:
        op = self._op
        flow = op.convolution(flow, op.constant(self._file.matrix(f"{name}/weight").floats()), [stride], [1], [1], [1])
        return op.gelu(op.add(flow, op.constant(self._file.vector(f"{name}/bias").reshape(1, -1, 1))), "erf")

    def _attention(self, flow: Any, name: str) -> Any:
        op, heads, width, length = self._op, self._file.heads, self._file.width, self._file.positions
        flow = self._linear(self._norm(flow, f"{name}/layer_norm"), f"{name}/linear_0")
        flow = op.transpose(
            op.reshape(flow, [1, length, 3, heads, width // heads], special_zero=False), [2, 0, 3, 1, 4]
        )
        query, key, value = (op.squeeze(part, [0]) for part in op.split(flow, 0, 3).outputs())
        flow = op.scaled_dot_product_attention(query, key, value, causal=False)
        flow = op.reshape(op.transpose(flow, [0, 2, 1, 3]), [1, length, width], special_zero=False)
        return self._linear(flow, f"{name}/linear_1")

    def _feed_forward(self, flow: Any, name: str) -> Any:
        flow = self._linear(self._norm(flow, f"{name}/layer_norm"), f"{name}/linear_0")
        return self._linear(self._op.gelu(flow, "erf"), f"{name}/linear_1")

    def _norm(self, flow: Any, name: str) -> Any:
        op, file = self._op, self._file
        flow = op.mvn(flow, [2], normalize_variance=True, eps=EPSILON, eps_mode="inside_sqrt")
        return op.add(
            op.multiply(flow, op.constant(file.vector(f"{name}/gamma"))), op.constant(file.vector(f"{name}/beta"))
        )

    def _linear(self, flow: Any, name: str) -> Any:
        op = self._op
        weights = self._weights(self._file.matrix(f"{name}/weight"))
        return op.add(op.matmul(flow, weights, False, True), op.constant(self._file.vector(f"{name}/bias")))

    def _weights(self, matrix: Matrix) -> Any:
        """With int8, kept as they are: OpenVINO recognizes `int8 * step` and multiplies in integers."""
        op = self._op
        if not self._int8:
            return op.constant(matrix.floats())
        rounded, step = matrix.rounded()
        return op.multiply(op.convert(op.constant(rounded), "f32"), op.constant(step[:, None]))
